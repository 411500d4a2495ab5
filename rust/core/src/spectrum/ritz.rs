//! Selection of Ritz values, and bounds on their errors.

use serde::{Deserialize, Serialize};

/// The requested part of the spectrum; largest and smallest are algebraic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The algebraically largest, descending.
    Largest,
    /// The algebraically smallest, ascending.
    Smallest,
    /// The largest absolute values, descending.
    Magnitude,
    /// `count` from each end, descending; all where there are fewer.
    Both,
}

impl Which {
    /// The number of pairs requested by `count` in a space of this dimension.
    #[must_use]
    pub fn pairs(self, count: usize, space: usize) -> usize {
        let ends = if self == Self::Both { 2 } else { 1 };
        (ends * count).min(space)
    }

    /// The indices of the first `pairs` of ascending values in this order.
    #[must_use]
    pub fn select(self, values: &[f64], pairs: usize) -> Vec<usize> {
        let n = values.len();
        let pairs = pairs.min(n);
        match self {
            Self::Largest => (n - pairs..n).rev().collect(),
            Self::Smallest => (0..pairs).collect(),
            Self::Both => {
                let high = pairs.div_ceil(2);
                (n - high..n).rev().chain((0..pairs - high).rev()).collect()
            }
            Self::Magnitude => {
                let mut order: Vec<usize> = (0..n).rev().collect();
                order.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()));
                order.truncate(pairs);
                order
            }
        }
    }
}

/// Bounds on |λ − θᵢ| for all Ritz values: rᵢ, or rᵢ²/gap where that is less and the gap to every
/// other Ritz value's interval is larger than rᵢ.
///
/// The second assumes, as usual, that eigenvalues which no Ritz value approximates lie outside the gap.
///
/// # Reference
/// Parlett (1998), *The Symmetric Eigenvalue Problem*, theorems 4.5.1 and 11.7.1.
#[must_use]
pub fn error_bounds(values: &[f64], residuals: &[f64]) -> Vec<f64> {
    let bound = |i: usize| {
        let r: f64 = residuals[i];
        let others = (0..values.len()).filter(|&j| j != i);
        let gap = others.map(|j| (values[j] - values[i]).abs() - residuals[j]);
        let gap = gap.fold(f64::INFINITY, f64::min);
        if gap > r && gap.is_finite() { r.min(r * (r / gap)) } else { r }
    };
    (0..values.len()).map(bound).collect()
}
