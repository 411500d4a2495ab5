//! What cross-entropy needs of exponentials, without the cancellation of log Σ eᶻ − z near 0.
//!
//! With m the greatest output, at the channel `top`, and r the sum of e^(z−m) over all others,
//!
//! −log p_c = (m − z_c) + log(1 + r),  1 − p_top = r / (1 + r):
//!
//! losses and slopes far below the rounding error of 1 stay exact to all digits.

use std::array::from_fn;

use crate::network::head::classes::top;
use crate::network::head::panel::{Block, Lanes, NOTHING, Outputs};
use crate::network::kernel::{exp, ln};

/// The rows of one position: its channels' places in a panel, in order.
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

    /// Where a channel's row starts.
    #[inline(always)]
    pub fn row(self, channel: usize) -> usize {
        self.first + channel * self.stride
    }
}

/// The softmax of one position in a block of lanes.
pub(super) struct Softmax {
    /// m.
    pub max: Lanes,
    /// The first channel that has it.
    pub top: Lanes,
    /// r; NaN where the softmax has no value.
    pub rest: Lanes,
}

impl Softmax {
    /// Finds it, and leaves e^(z−m) in `powers`, a row for each channel.
    #[inline(always)]
    pub fn new(
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        powers: &mut [Lanes],
    ) -> Self {
        let found = top(position.rows().map(|row| block.read(outputs.values, row)));
        let max = found.value;
        for (power, row) in powers.iter_mut().zip(position.rows()) {
            let z = block.read(outputs.values, row);
            *power = from_fn(|i| z[i] - max[i]);
        }
        exp(outputs.isa, powers.as_flattened_mut());
        // 0, but NaN where the greatest output is infinite or NaN.
        let mut rest: Lanes = from_fn(|i| 0.0 * max[i]);
        let mut channel = 0.0;
        for power in powers.iter() {
            // The top's own power is 1, or NaN where r is NaN already.
            let others: Lanes = from_fn(|i| if found.index[i] == channel { 0.0 } else { 1.0 });
            rest = from_fn(|i| rest[i] + others[i] * power[i]);
            channel += 1.0;
        }
        Self { max, top: found.index, rest }
    }

    /// log(1 + r).
    #[inline(always)]
    pub fn log_sum(&self, outputs: &Outputs<'_>) -> Lanes {
        let sum: Lanes = from_fn(|i| 1.0 + self.rest[i]);
        let mut log = sum;
        ln(outputs.isa, &mut log);
        // What rounding took from the sum, to first order.
        from_fn(|i| log[i] + (self.rest[i] - (sum[i] - 1.0)) / sum[i])
    }

    /// 1 / (1 + r): the probability at the top, and the factor from powers to probabilities.
    #[inline(always)]
    pub fn scale(&self) -> Lanes {
        from_fn(|i| 1.0 / (1.0 + self.rest[i]))
    }

    /// The top's own number of rows, one for each channel.
    #[inline(always)]
    pub fn at_top(&self, rows: impl Iterator<Item = Lanes>) -> Lanes {
        let (mut found, mut channel) = (NOTHING, 0.0);
        for row in rows {
            found = from_fn(|i| if self.top[i] == channel { row[i] } else { found[i] });
            channel += 1.0;
        }
        found
    }
}
