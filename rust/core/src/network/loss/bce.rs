//! Binary cross-entropy with logits: w [(1 − t) log(1 + eᶻ) + q t log(1 + e⁻ᶻ)].

use std::array::from_fn;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::kernel::{exp, softplus};
use crate::network::loss::elements::{Noise, Rule};
use crate::network::loss::panel::Lanes;

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

/// The sigmoids σ(z) and σ(−z), neither computed as 1 minus the other.
#[inline(always)]
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

    #[inline(always)]
    fn losses(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let mut log_term: Lanes = from_fn(|i| -z[i].abs());
        softplus(isa, &mut log_term);
        from_fn(|i| {
            let (negative, positive) =
                (z[i].max(0.0) + log_term[i], (-z[i]).max(0.0) + log_term[i]);
            // PyTorch's loss of a logit of −∞ is NaN at every target, as ∞ − ∞.
            let limit = z[i].min(0.0) * 0.0;
            w * ((1.0 - t[i]) * negative + q * t[i] * positive + limit)
        })
    }

    #[inline(always)]
    fn gradients(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let (yes, no) = sigmoids(isa, z);
        from_fn(|i| w * ((1.0 - t[i]) * yes[i] - q * t[i] * no[i]))
    }

    #[inline(always)]
    fn hessians(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let (w, q) = (self.weights[element], self.positive[element]);
        let (yes, no) = sigmoids(isa, z);
        from_fn(|i| w * ((1.0 - t[i]) + q * t[i]) * yes[i] * no[i])
    }

    /// The gradient is w σ(z) at t = 0 and −w q σ(−z) at t = 1.
    #[inline(always)]
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

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, dense, near};

    const INFINITY: f64 = f64::INFINITY;

    fn of(target: f64) -> Case {
        Case::new(r#"{"kind":"bce_with_logits"}"#, 1, 1, dense(&[target], 1))
    }

    #[test]
    fn loss_agrees_with_pytorch() {
        near(&[of(0.3).loss(0, &[1.0])], &[1.013_261_687_518_222_8], 1e-13);
        near(&of(0.3).gradient(0, &[-1.0]), &[-0.031_058_578_630_004_885], 1e-13);
        let json = r#"{"kind":"bce_with_logits","weight":[1],"pos_weight":[2]}"#;
        let case = Case::new(json, 1, 1, dense(&[0.3], 1));
        near(&[case.loss(0, &[1.0])], &[1.107_240_193_773_689_8], 1e-13);
        near(&case.gradient(0, &[1.0]), &[0.350_376_152_219_006_4], 1e-13);
        let hessian = case.product(Curvature::Hessian, 0, &[1.0], &[1.0]);
        near(&hessian, &[0.255_595_513_213_926_43], 1e-13);
    }

    #[test]
    fn tiny_losses_are_accurate() {
        for scale in [1e-3, 1e-9, 1e-40, 1e-300_f64] {
            let z = scale.ln();
            let actual =
                [of(0.0).loss(0, &[z]), of(1.0).loss(0, &[-z]), -of(1.0).gradient(0, &[-z])[0]];
            let power = z.exp();
            let expected = [power.ln_1p(), power.ln_1p(), power / (1.0 + power)];
            for (actual, expected) in actual.into_iter().zip(expected) {
                assert!((actual / expected - 1.0).abs() < 1e-12, "{actual} is not {expected}");
            }
        }
    }

    #[test]
    fn infinite_outputs_behave_as_in_pytorch() {
        assert_eq!([of(0.0).loss(0, &[INFINITY]), of(0.3).loss(0, &[INFINITY])], [INFINITY; 2]);
        assert!(of(1.0).loss(0, &[INFINITY]).is_nan());
        for target in [0.0, 0.3, 1.0] {
            assert!(of(target).loss(0, &[-INFINITY]).is_nan());
            assert!(of(target).loss(0, &[f64::NAN]).is_nan());
            assert!(of(target).gradient(0, &[f64::NAN])[0].is_nan());
            assert_eq!(of(target).gradient(0, &[INFINITY]), [1.0 - target]);
            assert_eq!(of(target).gradient(0, &[-INFINITY]), [-target]);
            assert_eq!(of(target).product(Curvature::Hessian, 0, &[INFINITY], &[1.0]), [0.0]);
        }
        assert_eq!(of(0.0).loss(0, &[-800.0]), 0.0);
        assert_eq!(of(1.0).loss(0, &[-800.0]), 800.0);
    }

    #[test]
    fn fisher_matrix_is_the_mean_outer_product_of_gradients() {
        let json = r#"{"kind":"bce_with_logits","weight":[1,2],"pos_weight":[3,0.5]}"#;
        let case = |targets: &[f64; 2]| Case::new(json, 2, 1, dense(targets, 2));
        let z = [0.4, -1.1_f64];
        let probability = |i: usize, t: f64| {
            let yes = 1.0 / (1.0 + (-z[i]).exp());
            if t > 0.5 { yes } else { 1.0 - yes }
        };
        let mut expected = [0.0; 4];
        for targets in [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] {
            let gradient = case(&targets).gradient(0, &z);
            let p = probability(0, targets[0]) * probability(1, targets[1]);
            for (index, entry) in expected.iter_mut().enumerate() {
                *entry += p * gradient[index / 2] * gradient[index % 2];
            }
        }
        let actual = case(&[0.0, 0.0]).matrix(Curvature::Fisher, 0, &z).concat();
        near(&actual, &expected, 1e-13);
    }

    #[test]
    fn hits_are_outputs_on_the_side_of_the_target() {
        let guesses = Case::new(r#"{"kind":"bce_with_logits"}"#, 3, 1, dense(&[1.0, 0.0, 0.5], 3));
        assert_eq!(guesses.hits(0, &[0.1, 0.0, f64::NAN]), 3.0);
        assert_eq!(guesses.hits(0, &[0.0, 0.1, 0.1]), 0.0);
    }
}
