//! How much of each class's −log p the cross-entropy of a target takes.

use std::array::from_fn;

use crate::network::loss::classes::{IGNORED, Labels};
use crate::network::loss::cross_entropy::CrossEntropy;
use crate::network::loss::panel::{Block, Lanes, NOTHING};
use crate::network::loss::softmax::Softmax;

/// What the outputs are compared with.
pub(super) enum Truth {
    /// Classes.
    Labels(Labels),
    /// Probabilities of classes, row-major (samples, channels · positions).
    Probabilities(Vec<f64>),
}

/// What the gradients need of the amounts of a position.
pub(super) struct Amounts {
    /// A = Σ a.
    pub total: Lanes,
    /// Σ a without the top's.
    pub beyond_top: Lanes,
}

impl CrossEntropy {
    /// Fills the amounts of a position, a row for each channel: all 0 where the target is ignored.
    #[inline(always)]
    pub(super) fn amounts(&self, block: &Block<'_>, position: usize, amounts: &mut [Lanes]) {
        let (kept, spread) = (1.0 - self.smoothing, self.smoothing / self.shape.channels as f64);
        match &self.truth {
            Truth::Labels(labels) => {
                let labels = labels.at(block, position);
                let spread = labels.map(|label| if label == IGNORED { 0.0 } else { spread });
                let labels = labels.map(f64::from);
                let mut channel = 0.0;
                for (row, weight) in amounts.iter_mut().zip(&self.weights) {
                    *row = from_fn(|i| {
                        weight * (spread[i] + if labels[i] == channel { kept } else { 0.0 })
                    });
                    channel += 1.0;
                }
            }
            Truth::Probabilities(probabilities) => {
                let features = self.shape.features();
                for (channel, (row, weight)) in amounts.iter_mut().zip(&self.weights).enumerate() {
                    let index = channel * self.shape.positions() + position;
                    *row = NOTHING;
                    for (amount, sample) in row.iter_mut().zip(block.samples) {
                        let probability = probabilities[sample * features + index];
                        *amount = weight * (kept * probability + spread);
                    }
                }
            }
        }
    }
}

impl Amounts {
    /// Those of a position's rows.
    #[inline(always)]
    pub fn new(softmax: &Softmax, amounts: &[Lanes]) -> Self {
        let (mut total, mut beyond_top, mut channel) = (NOTHING, NOTHING, 0.0);
        for amount in amounts {
            total = from_fn(|i| total[i] + amount[i]);
            let others: Lanes = from_fn(|i| if softmax.top[i] == channel { 0.0 } else { 1.0 });
            beyond_top = from_fn(|i| beyond_top[i] + others[i] * amount[i]);
            channel += 1.0;
        }
        Self { total, beyond_top }
    }
}
