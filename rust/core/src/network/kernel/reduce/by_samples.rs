//! Registers hold samples: what is left to do is to add up their lanes.

use std::array::from_fn;

use super::{Panels, Rows};
use crate::isa::Isa;
use crate::network::kernel::aligned::Aligned;
use crate::network::kernel::real::Real;
use crate::network::kernel::taps::Taps;
use crate::network::kernel::vector::{Kernel, Simd, Vector};

/// A tile of sums: its registers, and one for each channel's x and one for dy, are all there are.
const ROWS: usize = 4;
const CHANNELS: usize = 3;

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
pub(super) fn reduce<T: Real>(
    isa: Isa,
    taps: &Taps,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    let channels = [dy, x].map(|value| value.channels * panels * T::LANES);
    let mut room = Aligned::room(channels[0] + channels[1]);
    let (dy_room, x_room) = room.split_at_mut(channels[0]);
    let dy = Rows::new(dy, taps.positions(), panels, dy_room);
    let x = Rows::new(x, taps.source_positions(), panels, x_room);
    for tap in 0..taps.taps() {
        let runs = runs(taps, tap, panels, (dy.panel, x.panel));
        T::dispatch(isa, Reduction { runs: &runs, dy: &dy, x: &x, out, tap, taps: taps.taps() });
    }
}

/// Positions that follow each other in dy as in x: which columns of row 0 the first ones are, and
/// how many there are.
struct Run {
    dy: usize,
    x: usize,
    length: usize,
}

/// The positions that meet in a tap.
fn runs(taps: &Taps, tap: usize, panels: usize, strides: (usize, usize)) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for panel in 0..panels {
        for position in 0..taps.positions() {
            let Some(source) = taps.source(position, tap) else { continue };
            let dy = panel * strides.0 + position;
            let x = panel * strides.1 + source;
            match runs.last_mut() {
                Some(run) if (dy - run.dy, x.wrapping_sub(run.x)) == (run.length, run.length) => {
                    run.length += 1;
                }
                _ => runs.push(Run { dy, x, length: 1 }),
            }
        }
    }
    runs
}

struct Reduction<'a, T: Real> {
    runs: &'a [Run],
    dy: &'a Rows<'a, T>,
    x: &'a Rows<'a, T>,
    /// `[row][channel][tap]`.
    out: &'a mut [T],
    tap: usize,
    taps: usize,
}

impl<T: Real> Kernel<T> for Reduction<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        match (self.dy.count, self.x.count) {
            (1, 1) => self.tiles::<V, 1, 1, L>(simd),
            (1, _) => self.tiles::<V, 1, 4, L>(simd),
            _ => self.tiles::<V, ROWS, CHANNELS, L>(simd),
        }
    }
}

impl<T: Real> Reduction<'_, T> {
    #[inline(always)]
    fn tiles<V: Vector<Number = T>, const R: usize, const K: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
    ) {
        let (rows, channels) = (self.dy.count, self.x.count);
        for row in (0..rows).step_by(R) {
            for channel in (0..channels).step_by(K) {
                let sums = self.sums::<V, R, K, L>(simd, row, channel);
                for (row, sums) in (row..rows).zip(sums) {
                    for (channel, sum) in (channel..channels).zip(sums) {
                        self.out[(row * channels + channel) * self.taps + self.tap] += sum.total();
                    }
                }
            }
        }
    }

    /// The sums of R rows with K channels, lane by lane. Past the last row or channel it is the
    /// last one's again.
    #[inline(always)]
    fn sums<V: Vector<Number = T>, const R: usize, const K: usize, const L: usize>(
        &self,
        simd: Simd<V>,
        row: usize,
        channel: usize,
    ) -> [[V; K]; R] {
        let dy: [&[[T; L]]; R] = from_fn(|r| self.dy.columns(row + r));
        let x: [&[[T; L]]; K] = from_fn(|k| self.x.columns(channel + k));
        let mut sums = [[simd.splat(T::ZERO); K]; R];
        for run in self.runs {
            let dy = dy.map(|dy| &dy[run.dy..][..run.length]);
            let x = x.map(|x| &x[run.x..][..run.length]);
            for position in 0..run.length {
                for lane in (0..L).step_by(V::LEN) {
                    let x = x.map(|x| simd.load(&x[position][lane..]));
                    for (sums, dy) in sums.iter_mut().zip(dy) {
                        let dy = simd.load(&dy[position][lane..]);
                        for (sum, &x) in sums.iter_mut().zip(&x) {
                            *sum = V::mul_add(dy, x, *sum);
                        }
                    }
                }
            }
        }
        sums
    }
}

impl<T: Real> Rows<'_, T> {
    /// The columns of a row, and those after it.
    #[inline(always)]
    fn columns<const L: usize>(&self, row: usize) -> &[[T; L]] {
        &self.values.as_chunks::<L>().0[row.min(self.count - 1) * self.row..]
    }
}
