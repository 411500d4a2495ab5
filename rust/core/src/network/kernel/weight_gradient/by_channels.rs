//! Registers hold channels: every sample adds a multiple of its x to a row.

mod tiles;

use std::ops::Range;

use tiles::{COLUMNS, WeightGradient};

use super::rows::{Panels, Rows};
use crate::isa::Isa;
use crate::network::kernel::aligned::AlignedScratch;
use crate::network::kernel::gather_table::GatherTable;
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, MAX_LEN, Simd, Vector, transpose};

/// Units of channels that are transposed at a time: as many as have their sums in registers together,
/// so that they stay in the first cache while all rows pass over them.
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
    let together = (COLUMNS / positions).clamp(1, panels);
    let width = x.channels.next_multiple_of(T::LANES);
    let slab = (UNITS * T::LANES).min(width);
    let (transposed, moved) =
        (together * sources * T::LANES * slab, dy.channels * panels * T::LANES);
    // Sums that lie as they do in `out` need no place of their own.
    let direct = table.taps() == 1 && width == x.channels;
    let count = if direct { 0 } else { table.taps() * dy.channels * width };
    let mut scratch = AlignedScratch::with_len(transposed + moved + count);
    let (transposed, scratch) = scratch.split_at_mut(transposed);
    let (moved, scratch) = scratch.split_at_mut(moved);
    let own = &mut scratch[..count];
    own.fill(T::ZERO);
    let rows = dy.channels;
    let dy = Rows::new(dy, positions, panels, moved);
    // The sums of a slab stay in a near cache while all panels add to them.
    for channel in (0..x.channels).step_by(slab) {
        let x = Panels {
            values: &x.values[channel * sources * T::LANES..],
            channels: slab.min(x.channels - channel),
            stride: x.stride,
        };
        let channels = channel..channel + x.channels.next_multiple_of(T::LANES);
        for first in (0..panels).step_by(together) {
            let group = first..panels.min(first + together);
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
                sums: if direct { &mut *out } else { &mut *own },
            };
            T::dispatch(isa, reduction);
        }
    }
    if !direct {
        isa.run(
            #[inline(always)]
            || add(own, (table.taps(), rows, x.channels), out),
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

/// Some panels of x as `[unit of channels][panel][position][lane][channel of the unit]`.
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
                    let held = x.channels - channel;
                    let from = &columns[channel * positions + position..];
                    // Of a number that is known, all stay in registers.
                    if held >= V::LEN {
                        for (row, register) in square.iter_mut().enumerate().take(V::LEN) {
                            *register = simd.load(&from[row * positions][lane..]);
                        }
                    } else {
                        for (row, register) in square.iter_mut().enumerate().take(held) {
                            *register = simd.load(&from[row * positions][lane..]);
                        }
                    }
                    transpose(&mut square);
                    let place = channel / L * unit + index * panel + position * L + lane;
                    for (row, register) in transposed[place..][..V::LEN].iter_mut().zip(square) {
                        register.store(&mut row[channel % L..]);
                    }
                }
            }
        }
    }
}
