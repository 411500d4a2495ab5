//! Binary cross-entropy with logits: w [(1 − t) log(1 + eᶻ) + q t log(1 + e⁻ᶻ)].

use std::array::from_fn;

use crate::error::{Error, require};
use crate::network::head::elements::{Noise, Rule};
use crate::network::head::panel::Lanes;
use crate::network::kernel::{Isa, exp, softplus};

/// Weights w of elements and q of their positive targets.
pub(super) struct Bce {
    weights: Vec<f64>,
    positive: Vec<f64>,
}

impl Bce {
    /// Absent weights are 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is a finite weight for each of `width` elements.
    pub fn new(
        width: usize,
        weights: Option<Vec<f64>>,
        positive: Option<Vec<f64>>,
    ) -> Result<Self, Error> {
        let checked = |name: &str, weights: Option<Vec<f64>>| {
            let weights = weights.unwrap_or_else(|| vec![1.0; width]);
            require!(
                weights.len() == width && weights.iter().all(|weight| weight.is_finite()),
                "BCE with logits got {} numbers as {name}; pass {width} finite ones",
                weights.len()
            );
            Ok(weights)
        };
        Ok(Self {
            weights: checked("weight", weights)?,
            positive: checked("pos_weight", positive)?,
        })
    }
}

/// The sigmoids σ(z) and σ(−z), neither of which is found as 1 minus the other.
#[inline]
fn sigmoids(isa: Isa, z: &Lanes) -> (Lanes, Lanes) {
    let mut small: Lanes = from_fn(|i| -z[i].abs());
    exp(isa, &mut small);
    let likely: Lanes = from_fn(|i| 1.0 / (1.0 + small[i]));
    let pick = |i: usize, sign: f64| {
        let numerator = if z[i] * sign < 0.0 { small[i] } else { 1.0 };
        numerator * likely[i]
    };
    (from_fn(|i| pick(i, 1.0)), from_fn(|i| pick(i, -1.0)))
}

impl Rule for Bce {
    const NAME: &'static str = "BCE with logits";
    const HAS_LIKELIHOOD: bool = true;
    const HAS_HITS: bool = true;

    #[inline]
    fn losses(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let mut bend: Lanes = from_fn(|i| -z[i].abs());
        softplus(isa, &mut bend);
        from_fn(|i| {
            let (negative, positive) = (z[i].max(0.0) + bend[i], (-z[i]).max(0.0) + bend[i]);
            // PyTorch's loss of a logit of −∞ is NaN at every target, as ∞ − ∞.
            let limit = z[i].min(0.0) * 0.0;
            w * ((1.0 - t[i]) * negative + q * t[i] * positive + limit)
        })
    }

    #[inline]
    fn slopes(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let (yes, no) = sigmoids(isa, z);
        from_fn(|i| w * ((1.0 - t[i]) * yes[i] - q * t[i] * no[i]))
    }

    #[inline]
    fn hessians(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let (yes, no) = sigmoids(isa, z);
        from_fn(|i| w * ((1.0 - t[i]) + q * t[i]) * yes[i] * no[i])
    }

    /// The slope is w σ(z) at t = 0 and −w q σ(−z) at t = 1.
    #[inline]
    fn noise(&self, isa: Isa, element: usize, z: &Lanes) -> Noise {
        let (w, q) = (self.weights[element], self.positive[element]);
        let (yes, no) = sigmoids(isa, z);
        let step: Lanes = from_fn(|i| w * (yes[i] + q * no[i]));
        Noise {
            mean: from_fn(|i| w * (1.0 - q) * yes[i] * no[i]),
            variance: from_fn(|i| step[i] * step[i] * yes[i] * no[i]),
        }
    }

    fn is_hit(z: f64, t: f64) -> bool {
        (z > 0.0) == (t > 0.5)
    }
}
