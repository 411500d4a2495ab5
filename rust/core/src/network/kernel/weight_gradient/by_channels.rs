//! Weight gradient with channels in a register: every sample adds a multiple of its x to a row.

mod tiles;

use std::ops::Range;

use tiles::{COLUMNS, WeightGradient};

use super::rows::{Panels, Rows};
use crate::isa::Isa;
use crate::network::kernel::aligned::AlignedScratch;
use crate::network::kernel::gather_table::GatherTable;
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, MAX_LEN, Simd, Vector, transpose};

/// Units of channels that are transposed at once: as many as have their sums in registers at once, so
/// that they stay in the L1 cache while all rows read them.
const UNITS: usize = 4;

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
pub(super) fn add_weight_gradient<T: Real>(
    isa: Isa,
    table: &GatherTable,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    let (positions, sources) = (table.positions(), table.source_positions());
    let per_group = (COLUMNS / positions).clamp(1, panels);
    let width = x.channels.next_multiple_of(T::LANES);
    let slab = (UNITS * T::LANES).min(width);
    let (transposed, rows_scratch) =
        (per_group * sources * T::LANES * slab, dy.channels * panels * T::LANES);
    // Sums with the layout of `out` are added there directly.
    let direct = table.taps() == 1 && width == x.channels;
    let count = if direct { 0 } else { table.taps() * dy.channels * width };
    let mut scratch = AlignedScratch::with_len(transposed + rows_scratch + count);
    let (transposed, scratch) = scratch.split_at_mut(transposed);
    let (rows_scratch, scratch) = scratch.split_at_mut(rows_scratch);
    let sums = &mut scratch[..count];
    sums.fill(T::ZERO);
    let rows = dy.channels;
    let dy = Rows::new(dy, positions, panels, rows_scratch);
    // The sums of a slab of channels stay in the L2 cache while all panels add to them.
    for channel in (0..x.channels).step_by(slab) {
        let x = Panels {
            values: &x.values[channel * sources * T::LANES..],
            channels: slab.min(x.channels - channel),
            stride: x.stride,
        };
        let channels = channel..channel + x.channels.next_multiple_of(T::LANES);
        for first in (0..panels).step_by(per_group) {
            let group = first..panels.min(first + per_group);
            T::dispatch(
                isa,
                TransposeLanes { x: &x, positions: sources, panels: group.clone(), transposed },
            );
            let reduction = WeightGradient {
                table,
                dy: &dy.from(first),
                panels: group.len(),
                transposed,
                channels: channels.clone(),
                width,
                sums: if direct { &mut *out } else { &mut *sums },
            };
            T::dispatch(isa, reduction);
        }
    }
    if !direct {
        isa.run(
            #[inline(always)]
            || add(sums, (table.taps(), rows, x.channels), out),
        );
    }
}

/// out[row][c][tap] += sums[tap][row][c].
#[inline(always)]
fn add<T: Real>(sums: &[T], (taps, rows, channels): (usize, usize, usize), out: &mut [T]) {
    let width = sums.len() / (taps * rows);
    for (index, sums) in sums.chunks_exact(width).enumerate() {
        let (tap, row) = (index / rows, index % rows);
        let out = &mut out[row * channels * taps..][..channels * taps];
        if taps == 1 {
            for (out, &sum) in out.iter_mut().zip(sums) {
                *out += sum;
            }
        } else {
            for (out, &sum) in out.chunks_exact_mut(taps).zip(sums) {
                out[tap] += sum;
            }
        }
    }
}

/// Transposes some panels of x to `[unit of channels][panel][position][lane][channel of the unit]`.
struct TransposeLanes<'a, T> {
    x: &'a Panels<'a, T>,
    positions: usize,
    panels: Range<usize>,
    transposed: &'a mut [T],
}

impl<T: Real> Kernel<T> for TransposeLanes<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let Self { x, positions, panels, transposed } = self;
        let (unit, panel) = (panels.len() * positions * L, positions * L);
        let transposed = transposed.as_chunks_mut::<L>().0;
        for (index, first) in panels.map(|panel| panel * x.stride).enumerate() {
            let columns = x.values[first..].as_chunks::<L>().0;
            for (position, channel) in (0..positions)
                .flat_map(|position| (0..x.channels).step_by(V::LEN).map(move |c| (position, c)))
            {
                for lane in (0..L).step_by(V::LEN) {
                    let mut square = [simd.splat(T::ZERO); MAX_LEN];
                    let valid = x.channels - channel;
                    let from = &columns[channel * positions + position..];
                    // With a constant number of rows, all stay in registers.
                    if valid >= V::LEN {
                        for (row, register) in square.iter_mut().enumerate().take(V::LEN) {
                            *register = simd.load(&from[row * positions][lane..]);
                        }
                    } else {
                        for (row, register) in square.iter_mut().enumerate().take(valid) {
                            *register = simd.load(&from[row * positions][lane..]);
                        }
                    }
                    transpose(&mut square);
                    let offset = channel / L * unit + index * panel + position * L + lane;
                    for (row, register) in transposed[offset..][..V::LEN].iter_mut().zip(square) {
                        register.store(&mut row[channel % L..]);
                    }
                }
            }
        }
    }
}
