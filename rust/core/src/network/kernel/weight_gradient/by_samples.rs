//! Weight gradient with samples in a register, whose lanes are summed at the end.

use super::rows::{Panels, Rows};
use crate::isa::Isa;
use crate::network::kernel::aligned::AlignedScratch;
use crate::network::kernel::gather_table::GatherTable;
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, Simd, Vector};

/// Rows and channels of a tile of sums: with a register for each channel of x and one for dy, it takes
/// all registers.
const ROWS: usize = 4;
const CHANNELS: usize = 3;

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
pub(super) fn add_weight_gradient<T: Real>(
    isa: Isa,
    table: &GatherTable,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    let channels = [dy, x].map(|value| value.channels * panels * T::LANES);
    let mut scratch = AlignedScratch::with_len(channels[0] + channels[1]);
    let (dy_scratch, x_scratch) = scratch.split_at_mut(channels[0]);
    let dy = Rows::new(dy, table.positions(), panels, dy_scratch);
    let x = Rows::new(x, table.source_positions(), panels, x_scratch);
    let runs = |tap| runs(table, tap, panels, (dy.panel, x.panel));
    let runs: Vec<_> = (0..table.taps()).map(runs).collect();
    T::dispatch(isa, WeightGradient { runs: &runs, dy: &dy, x: &x, out });
}

/// A run of positions that are contiguous in dy and in x: the first columns in row 0, and the length.
struct Run {
    dy: usize,
    x: usize,
    length: usize,
}

/// The runs of positions that are paired through a tap.
fn runs(table: &GatherTable, tap: usize, panels: usize, strides: (usize, usize)) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for panel in 0..panels {
        for position in 0..table.positions() {
            let Some(source) = table.source(position, tap) else { continue };
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

struct WeightGradient<'a, T: Real> {
    /// By tap.
    runs: &'a [Vec<Run>],
    dy: &'a Rows<'a, T>,
    x: &'a Rows<'a, T>,
    /// `[row][channel][tap]`.
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for WeightGradient<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        match (self.dy.count, self.x.count) {
            (1, 1) => self.tiles::<V, 1, 1, L>(simd),
            (1, _) => self.tiles::<V, 1, 4, L>(simd),
            (_, 1) => self.tiles::<V, ROWS, 1, L>(simd),
            _ => self.tiles::<V, ROWS, CHANNELS, L>(simd),
        }
    }
}

impl<T: Real> WeightGradient<'_, T> {
    #[inline(always)]
    fn tiles<V: Vector<Number = T>, const R: usize, const K: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
    ) {
        let (rows, channels, taps) = (self.dy.count, self.x.count, self.runs.len());
        // The rows of a tile stay in the L1 cache for all taps.
        for row in (0..rows).step_by(R) {
            for (tap, runs) in self.runs.iter().enumerate() {
                for channel in (0..channels).step_by(K) {
                    let sums = self.sums::<V, R, K, L>(simd, runs, row, channel);
                    for (row, sums) in (row..rows).zip(&sums) {
                        for (channel, sum) in (channel..channels).zip(sums) {
                            self.out[(row * channels + channel) * taps + tap] += sum.sum_lanes();
                        }
                    }
                }
            }
        }
    }

    /// The sums of R rows with K channels, lane by lane. Past the last row or channel, the last one is
    /// read again.
    #[inline(always)]
    fn sums<V: Vector<Number = T>, const R: usize, const K: usize, const L: usize>(
        &self,
        simd: Simd<V>,
        runs: &[Run],
        row: usize,
        channel: usize,
    ) -> [[V; K]; R] {
        let (dy, x) = (self.dy.several::<R, L>(row), self.x.several::<K, L>(channel));
        let mut sums = [[simd.splat(T::ZERO); K]; R];
        for run in runs {
            let (dy, x) = (cut(&dy, run.dy, run.length), cut(&x, run.x, run.length));
            for position in 0..run.length {
                for lane in (0..L).step_by(V::LEN) {
                    let mut columns = [simd.splat(T::ZERO); K];
                    for (column, x) in columns.iter_mut().zip(&x) {
                        *column = simd.load(&x[position][lane..]);
                    }
                    for (sums, dy) in sums.iter_mut().zip(&dy) {
                        let dy = simd.load(&dy[position][lane..]);
                        for (sum, &x) in sums.iter_mut().zip(&columns) {
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
    /// The columns from each of N rows on.
    #[inline(always)]
    fn several<const N: usize, const L: usize>(&self, first: usize) -> [&[[T; L]]; N] {
        let columns = self.values.as_chunks::<L>().0;
        let mut several = [columns; N];
        for (n, row) in several.iter_mut().enumerate() {
            *row = &columns[(first + n).min(self.count - 1) * self.row..];
        }
        several
    }
}

/// The same range of several rows.
#[inline(always)]
fn cut<'a, S, const N: usize>(rows: &[&'a [S]; N], start: usize, length: usize) -> [&'a [S]; N] {
    let mut part = *rows;
    for row in &mut part {
        *row = &row[start..][..length];
    }
    part
}
