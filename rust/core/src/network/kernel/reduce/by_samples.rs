//! Registers hold samples: what is left to do is to add up their lanes.

use std::array::from_fn;

use super::Panels;
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
    let positions = (taps.positions(), taps.source_positions());
    let moved = [(dy, positions.0), (x, positions.1)].map(|(value, p)| value.gathered(panels, p));
    let dy = dy.rows(panels, positions.0, moved[0].as_ref());
    let x = x.rows(panels, positions.1, moved[1].as_ref());
    for tap in 0..taps.taps() {
        let runs = runs::<T>(taps, tap, panels, (dy.panel, x.panel));
        T::dispatch(isa, Reduction { runs: &runs, dy: &dy, x: &x, out, tap, taps: taps.taps() });
    }
}

/// Positions that follow each other in dy as in x: where the first ones lie in channel 0, and how
/// many there are.
struct Run {
    dy: usize,
    x: usize,
    length: usize,
}

/// The positions that meet in a tap.
fn runs<T: Real>(taps: &Taps, tap: usize, panels: usize, strides: (usize, usize)) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for panel in 0..panels {
        for position in 0..taps.positions() {
            let Some(source) = taps.source(position, tap) else { continue };
            let dy = panel * strides.0 + position * T::LANES;
            let x = panel * strides.1 + source * T::LANES;
            match runs.last_mut() {
                Some(run)
                    if (dy - run.dy, x.wrapping_sub(run.x))
                        == (run.length * T::LANES, run.length * T::LANES) =>
                {
                    run.length += 1;
                }
                _ => runs.push(Run { dy, x, length: 1 }),
            }
        }
    }
    runs
}

/// Channels of numbers: those of a channel are `stride` after those of the one before, and those of
/// a panel `panel` after those of the one before.
struct Rows<'a, T: Real> {
    values: &'a [T],
    channels: usize,
    stride: usize,
    panel: usize,
}

impl<T: Real> Panels<'_, T> {
    /// Flat features of several panels, next to those of the same channel in the other panels: as
    /// they lie, a power of two apart, they would evict each other from the cache.
    fn gathered(&self, panels: usize, positions: usize) -> Option<Aligned<T>> {
        let place = |channel: usize| move |panel: usize| panel * self.stride + channel * T::LANES;
        let places = (0..self.channels).flat_map(|channel| (0..panels).map(place(channel)));
        let apart = positions == 1 && panels > 1;
        apart.then(|| Aligned::gather(self.values, places, self.channels * panels))
    }

    /// The channels, as they lie here or as they were gathered.
    fn rows<'a>(
        &'a self,
        panels: usize,
        positions: usize,
        gathered: Option<&'a Aligned<T>>,
    ) -> Rows<'a, T> {
        let (channels, stride) = (self.channels, positions * T::LANES);
        if let Some(values) = gathered {
            return Rows { values, channels, stride: panels * stride, panel: stride };
        }
        Rows { values: self.values, channels, stride, panel: self.stride }
    }
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
        match (self.dy.channels, self.x.channels) {
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
        let (rows, channels) = (self.dy.channels, self.x.channels);
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
        let dy: [&[T]; R] = from_fn(|r| self.dy.channel(row + r));
        let x: [&[T]; K] = from_fn(|k| self.x.channel(channel + k));
        let mut sums = [[simd.splat(T::ZERO); K]; R];
        for run in self.runs {
            let dy = dy.map(|dy| &dy[run.dy..].as_chunks::<L>().0[..run.length]);
            let x = x.map(|x| &x[run.x..].as_chunks::<L>().0[..run.length]);
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
    #[inline(always)]
    fn channel(&self, channel: usize) -> &[T] {
        &self.values[channel.min(self.channels - 1) * self.stride..]
    }
}
