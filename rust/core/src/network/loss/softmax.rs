//! Softmax and log-softmax without the cancellation of log Σ eᶻ − z near 0.
//!
//! With m the greatest output, at the channel `top`, and r the sum of e^(z−m) over all others,
//!
//! −log p_c = (m − z_c) + log(1 + r),  1 − p_top = r / (1 + r):
//!
//! losses and gradients far below the rounding error of 1 stay exact to all digits.

use std::array::from_fn;

use crate::network::kernel::{exp, ln};
use crate::network::loss::classes::top;
use crate::network::loss::panel::{Block, Lanes, Outputs, WIDTH, ZEROS};

/// The rows of one position: the offsets of its channels in a panel.
#[derive(Clone, Copy)]
pub(super) struct Position {
    first: usize,
    stride: usize,
    end: usize,
}

impl Position {
    /// The rows of a position among `positions`.
    pub fn new(outputs: &Outputs<'_>, position: usize, positions: usize) -> Self {
        let (first, stride) = (position * outputs.lanes, positions * outputs.lanes);
        Self { first, stride, end: outputs.values.len() }
    }

    /// Where each channel's row starts.
    #[inline(always)]
    pub fn rows(self) -> impl Iterator<Item = usize> {
        (self.first..self.end).step_by(self.stride)
    }

    /// z − m of a block, a row for each channel.
    #[inline(always)]
    fn subtract(self, outputs: &Outputs<'_>, block: &Block<'_>, max: &Lanes, to: &mut [Lanes]) {
        for (to, row) in to.iter_mut().zip(self.rows()) {
            let z = block.read(outputs.values, row);
            *to = from_fn(|i| z[i] - max[i]);
        }
    }

    /// Where a channel's row starts.
    #[inline(always)]
    pub fn row(self, channel: usize) -> usize {
        self.first + channel * self.stride
    }
}

/// The log-sum of a position, which is all that losses need, for every block of a panel.
pub(super) struct LogSums<'a> {
    /// m.
    pub max: &'a [Lanes],
    /// log(1 + r).
    pub log: &'a [Lanes],
}

impl<'a> LogSums<'a> {
    /// The number of scratch rows of [`new`](Self::new).
    pub fn rows(outputs: &Outputs<'_>, channels: usize) -> usize {
        (channels + 3) * (outputs.lanes / WIDTH)
    }

    /// Computes the log-sum. The element-wise functions have long dependency chains, so all blocks of a panel
    /// are passed to them at once.
    #[inline(always)]
    pub fn new(outputs: &Outputs<'_>, position: Position, rows: &'a mut [Lanes]) -> Self {
        let blocks = outputs.lanes / WIDTH;
        let (max, rows) = rows.split_at_mut(blocks);
        let (log, rows) = rows.split_at_mut(blocks);
        let (rest, powers) = rows.split_at_mut(blocks);
        let channels = powers.len() / blocks;
        for ((block, max), powers) in
            outputs.blocks().zip(&mut *max).zip(powers.chunks_exact_mut(channels))
        {
            // NaN is not taken as the maximum, but makes the sum NaN, as an infinite maximum does.
            *max = [f64::NEG_INFINITY; WIDTH];
            for row in position.rows() {
                let z = block.read(outputs.values, row);
                *max = from_fn(|i| if z[i] > max[i] { z[i] } else { max[i] });
            }
            position.subtract(outputs, &block, max, powers);
        }
        exp(outputs.isa, powers.as_flattened_mut());
        for (rest, powers) in rest.iter_mut().zip(powers.chunks_exact(channels)) {
            // The sum includes the maximum's own power, which is 1.
            let (mut small, mut ones) = (ZEROS, [-1.0; WIDTH]);
            for power in powers {
                small = from_fn(|i| small[i] + if power[i] >= 1.0 { 0.0 } else { power[i] });
                ones = from_fn(|i| ones[i] + if power[i] >= 1.0 { 1.0 } else { 0.0 });
            }
            *rest = from_fn(|i| ones[i] + small[i]);
        }
        for (log, rest) in log.iter_mut().zip(&*rest) {
            *log = from_fn(|i| 1.0 + rest[i]);
        }
        ln(outputs.isa, log.as_flattened_mut());
        for (log, rest) in log.iter_mut().zip(&*rest) {
            // A first-order correction of the rounding error of the sum.
            *log = from_fn(|i| {
                let sum = 1.0 + rest[i];
                log[i] + (rest[i] - (sum - 1.0)) / sum
            });
        }
        Self { max, log }
    }
}

/// The softmax of one position in a block of lanes.
pub(super) struct Softmax {
    /// The first channel that has the greatest output.
    pub top: Lanes,
    /// r; NaN where the softmax has no value.
    pub rest: Lanes,
}

impl Softmax {
    /// Computes the softmax, and leaves e^(z−m) in `powers`, a row for each channel.
    #[inline(always)]
    pub fn new(
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        powers: &mut [Lanes],
    ) -> Self {
        let maximum = top(position.rows().map(|row| block.read(outputs.values, row)));
        let max = maximum.value;
        position.subtract(outputs, block, &max, powers);
        exp(outputs.isa, powers.as_flattened_mut());
        // 0, but NaN where the greatest output is infinite or NaN.
        let mut rest: Lanes = from_fn(|i| 0.0 * max[i]);
        let mut channel = 0.0;
        for power in powers.iter() {
            // The power at `top` is 1, or NaN where r is NaN.
            let others: Lanes = from_fn(|i| if maximum.index[i] == channel { 0.0 } else { 1.0 });
            rest = from_fn(|i| rest[i] + others[i] * power[i]);
            channel += 1.0;
        }
        Self { top: maximum.index, rest }
    }

    /// 1 / (1 + r): the probability at the top, and the factor from powers to probabilities.
    #[inline(always)]
    pub fn scale(&self) -> Lanes {
        from_fn(|i| 1.0 / (1.0 + self.rest[i]))
    }

    /// The row of the top channel, selected lane by lane from one row for each channel.
    #[inline(always)]
    pub fn at_top(&self, rows: impl Iterator<Item = Lanes>) -> Lanes {
        let (mut selected, mut channel) = (ZEROS, 0.0);
        for row in rows {
            selected = from_fn(|i| if self.top[i] == channel { row[i] } else { selected[i] });
            channel += 1.0;
        }
        selected
    }
}
