//! Registers hold channels: every sample adds a multiple of its x to a row.

use std::array::from_fn;
use std::ops::Range;

use super::{Panels, Rows};
use crate::isa::Isa;
use crate::network::kernel::aligned::Aligned;
use crate::network::kernel::real::Real;
use crate::network::kernel::taps::Taps;
use crate::network::kernel::vector::{Kernel, LONGEST, Simd, Vector, transpose};

/// Terms that are added up in registers before they join the sums so far: enough for that to cost
/// little, few enough for rounding errors to stay small.
const TERMS: usize = 256;
/// Positions whose numbers stay in the first caches while all taps and rows pass over them.
const POSITIONS: usize = 64;

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
pub(super) fn reduce<T: Real>(
    isa: Isa,
    taps: &Taps,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    let (positions, sources) = (taps.positions(), taps.source_positions());
    let together = (TERMS / (positions * T::LANES)).clamp(1, panels);
    let width = x.channels.next_multiple_of(T::LANES);
    let (turned, moved) =
        (together * sources * T::LANES * width, dy.channels * together * T::LANES);
    let count = taps.taps() * dy.channels * width;
    let mut room = Aligned::room(turned + moved + count);
    let (turned, room) = room.split_at_mut(turned);
    let (moved, room) = room.split_at_mut(moved);
    let sums = &mut room[..count];
    sums.fill(T::ZERO);
    for first in (0..panels).step_by(together) {
        let group = first..panels.min(first + together);
        T::dispatch(isa, Turn { x, positions: sources, panels: group.clone(), turned });
        let dy = Rows::new(dy, positions, group.clone(), moved);
        let (turned, count) = (&*turned, group.len());
        T::dispatch(isa, Reduction { taps, dy, panels: count, width, turned, sums });
    }
    isa.run(
        #[inline(always)]
        || add(sums, (taps.taps(), dy.channels, x.channels), out),
    );
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
struct Turn<'a, T> {
    x: &'a Panels<'a, T>,
    positions: usize,
    panels: Range<usize>,
    turned: &'a mut [T],
}

impl<T: Real> Kernel<T> for Turn<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let Self { x, positions, panels, turned } = self;
        let (unit, panel) = (panels.len() * positions * L, positions * L);
        let turned = turned.as_chunks_mut::<L>().0;
        for (index, first) in panels.map(|panel| panel * x.stride).enumerate() {
            let columns = x.values[first..].as_chunks::<L>().0;
            for (position, channel) in (0..positions)
                .flat_map(|position| (0..x.channels).step_by(V::LEN).map(move |c| (position, c)))
            {
                for lane in (0..L).step_by(V::LEN) {
                    let mut square = [simd.splat(T::ZERO); LONGEST];
                    let held = (x.channels - channel).min(V::LEN);
                    for (row, register) in square.iter_mut().enumerate().take(held) {
                        let column = &columns[(channel + row) * positions + position];
                        *register = simd.load(&column[lane..]);
                    }
                    transpose(&mut square);
                    let place = channel / L * unit + index * panel + position * L + lane;
                    for (row, register) in turned[place..][..V::LEN].iter_mut().zip(square) {
                        register.store(&mut row[channel % L..]);
                    }
                }
            }
        }
    }
}

struct Reduction<'a, T: Real> {
    taps: &'a Taps,
    dy: Rows<'a, T>,
    panels: usize,
    width: usize,
    turned: &'a [T],
    /// `[tap][row][channel]`.
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for Reduction<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let positions = self.taps.positions();
        for first in (0..positions).step_by(POSITIONS) {
            let chunk = first..positions.min(first + POSITIONS);
            for tap in 0..self.taps.taps() {
                self.rows::<V, C, L>(simd, tap, chunk.clone());
            }
        }
    }
}

impl<T: Real> Reduction<'_, T> {
    /// All rows, in tiles that fill the registers.
    #[inline(always)]
    fn rows<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        tap: usize,
        positions: Range<usize>,
    ) {
        let rows = self.dy.count;
        let mut row = 0;
        while C == 1 && row + 8 <= rows {
            self.tile::<V, 8, C, L>(simd, tap, positions.clone(), row);
            row += 8;
        }
        while row < rows {
            self.tile::<V, 4, C, L>(simd, tap, positions.clone(), row);
            row += 4;
        }
    }

    /// R rows; past the last one it is the last one again.
    #[inline(always)]
    fn tile<V: Vector<Number = T>, const R: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        tap: usize,
        positions: Range<usize>,
        row: usize,
    ) {
        let rows = self.dy.count;
        for unit in 0..self.width / L {
            let found = self.sums::<V, R, C, L>(simd, tap, positions.clone(), row, unit);
            for (r, found) in found.into_iter().enumerate().take(rows - row) {
                let place = (tap * rows + row + r) * self.width + unit * L;
                let sums = self.sums[place..place + L].chunks_exact_mut(V::LEN);
                for (sum, found) in sums.zip(found) {
                    (simd.load(sum) + found).store(sum);
                }
            }
        }
    }

    /// What R rows make of L channels.
    #[inline(always)]
    fn sums<V: Vector<Number = T>, const R: usize, const C: usize, const L: usize>(
        &self,
        simd: Simd<V>,
        tap: usize,
        positions: Range<usize>,
        row: usize,
        unit: usize,
    ) -> [[V; C]; R] {
        let (sources, last) = (self.taps.source_positions(), self.dy.count - 1);
        let dy = self.dy.values.as_chunks::<L>().0;
        let turned = &self.turned.as_chunks::<L>().0[unit * self.panels * sources * L..];
        let mut sums = [[simd.splat(T::ZERO); C]; R];
        for panel in 0..self.panels {
            for position in positions.clone() {
                let Some(source) = self.taps.source(position, tap) else { continue };
                let place = panel * self.dy.panel + position;
                let dy: [&[T; L]; R] = from_fn(|r| &dy[place + (row + r).min(last) * self.dy.row]);
                let column = &turned[(panel * sources + source) * L..][..L];
                for lane in 0..L {
                    let x = &column[lane];
                    let x: [V; C] = from_fn(|c| simd.load(&x[c * V::LEN..]));
                    for (sums, dy) in sums.iter_mut().zip(dy) {
                        let dy = simd.splat(dy[lane]);
                        for (sum, &x) in sums.iter_mut().zip(&x) {
                            *sum = V::mul_add(x, dy, *sum);
                        }
                    }
                }
            }
        }
        sums
    }
}
