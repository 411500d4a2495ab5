//! Weight gradients against naive loops.

use super::{Panels, add_weight_gradient};
use crate::isa::Isa;
use crate::network::kernel::tests::{convolution, numbers, tables};
use crate::network::kernel::{GatherTable, Real};

fn reductions_agree<T: Real>() {
    for isa in Isa::available() {
        for table in tables() {
            let inners = [0, 1, 3, 7, 8, 17];
            let shapes = [0, 1, 2, 4, 5, 8, 13]
                .into_iter()
                .flat_map(|rows| inners.map(|inner| (rows, inner)));
            for (rows, inner) in shapes {
                for (panels, gap) in [(0, 0), (1, 0), (3, 0), (35, 2)] {
                    assert_gradient_agrees::<T>(isa, &table, (rows, inner), panels, gap * T::LANES);
                }
            }
        }
        // More channels than are transposed at a time: whole units, and a last one that is not full.
        for table in [GatherTable::identity(), convolution(4, 3, 1, 1)] {
            for (rows, inner) in [(7, 8 * T::LANES), (13, 5 * T::LANES + 3), (3, 64)] {
                assert_gradient_agrees::<T>(isa, &table, (rows, inner), 11, 0);
            }
        }
    }
}

/// Panels with `gap` numbers between them.
fn assert_gradient_agrees<T: Real>(
    isa: Isa,
    table: &GatherTable,
    (rows, inner): (usize, usize),
    panels: usize,
    gap: usize,
) {
    let (size, source_size) = (table.positions() * T::LANES, table.source_positions() * T::LANES);
    let (dy_stride, x_stride) = (rows * size + gap, inner * source_size + gap);
    let (dy, x) = (numbers::<T>(panels * dy_stride, 1), numbers::<T>(panels * x_stride, 2));
    let mut out = numbers::<T>(rows * inner * table.taps(), 3);
    let mut expected = out.clone();
    for (entry, sum) in expected.iter_mut().enumerate() {
        let (row, c) = (entry / table.taps() / inner, entry / table.taps() % inner);
        for (panel, p) in (0..panels).flat_map(|n| (0..table.positions()).map(move |p| (n, p))) {
            let Some(source) = table.source(p, entry % table.taps()) else { continue };
            for lane in 0..T::LANES {
                *sum += dy[panel * dy_stride + row * size + p * T::LANES + lane]
                    * x[panel * x_stride + c * source_size + source * T::LANES + lane];
            }
        }
    }
    let dy = Panels { values: &dy, channels: rows, stride: dy_stride };
    let x = Panels { values: &x, channels: inner, stride: x_stride };
    add_weight_gradient(isa, table, panels, &dy, &x, &mut out);
    assert_eq!(out, expected, "{isa:?} {rows}x{inner} {table:?} {panels} panels");
}

#[test]
fn weight_gradients_agree_with_naive_sums_for_all_tiles() {
    reductions_agree::<f32>();
    reductions_agree::<f64>();
}
