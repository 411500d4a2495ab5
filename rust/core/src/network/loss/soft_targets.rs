//! Soft targets of cross-entropy: the coefficient of each class's −log p in the loss.

use std::array::from_fn;

use crate::network::loss::classes::Labels;
use crate::network::loss::panel::{Lanes, ZEROS};
use crate::network::loss::softmax::Softmax;

/// The targets of cross-entropy.
pub(super) enum Truth {
    /// Classes.
    Labels(Labels),
    /// Probabilities of classes, row-major (samples, channels · positions).
    Probabilities(Vec<f64>),
}

/// Sums of the soft targets of a position, which gradients need.
pub(super) struct SoftTargetSums {
    /// A = Σ a.
    pub total: Lanes,
    /// Σ a over all channels but the one with the greatest output.
    pub beyond_top: Lanes,
}

impl SoftTargetSums {
    /// Sums over the rows of a position.
    #[inline(always)]
    pub fn new(softmax: &Softmax, amounts: &[Lanes]) -> Self {
        let (mut total, mut beyond_top, mut channel) = (ZEROS, ZEROS, 0.0);
        for amount in amounts {
            total = from_fn(|i| total[i] + amount[i]);
            let others: Lanes = from_fn(|i| if softmax.top[i] == channel { 0.0 } else { 1.0 });
            beyond_top = from_fn(|i| beyond_top[i] + others[i] * amount[i]);
            channel += 1.0;
        }
        Self { total, beyond_top }
    }
}
