//! Weights of chosen samples that reproduce known mean losses, and estimates of unknown ones.

use rayon::prelude::*;

use super::factor::{Factor, Gram};
use crate::error::{Error, require};
use crate::threads::install;
use crate::vector::inner_product;

/// The least and the largest factor between a sample's weight and the inverse of its probability.
pub const BOUNDS: [f64; 2] = [0.05, 20.0];

/// The price of a relative error of a pilot's mean, against the distance of the weights from theirs.
const RIDGE: f64 = 1e-4;

/// A relative error of a pilot's mean at which Newton's method has arrived.
const ARRIVED: f64 = 1e-11;
/// Newton's method ends in a finite number of steps, in practice fewer than ten.
const MAX_STEPS: usize = 100;

/// The least part of a residual that the regression may be thought to have left over.
const MIN_REST: f64 = 0.05;

/// An estimate of a mean loss, with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Σ wᵢ yᵢ.
    pub value: f64,
    /// The linearised standard error over random choices of the samples.
    pub standard_error: f64,
}

/// Weights w of m samples out of n that reproduce K known means.
///
/// With the auxiliaries aᵢ (sample i's losses at the pilots, each in units of that pilot's scale),
/// base weights dᵢ = 1 / (n πᵢ) and targets t, the weights wᵢ = dᵢ gᵢ minimise
///
/// ½ Σ dᵢ (gᵢ − 1)² + ‖A w − t‖² / (2 · 10⁻⁴)  under  0.05 ≤ gᵢ ≤ 20.
///
/// The solution is gᵢ = clip(1 + λ'aᵢ), where λ minimises a convex, piecewise quadratic function of
/// K variables; Newton's method with a line search ends at it in finitely many steps.
///
/// The standard error of an estimate Σ wᵢ yᵢ is that of the generalised regression estimator: with
/// the residuals eᵢ = yᵢ − β'aᵢ of the regression with weights d and the same ridge, leverages hᵢ and
/// the remaining error A w − t,
///
/// s² = Σ (1 − πᵢ) wᵢ² eᵢ² / (1 − hᵢ) + (β'(A w − t))².
///
/// # Reference
/// Deville, Särndal (1992), *Calibration estimators in survey sampling*, J. Am. Stat. Assoc. 87,
/// sections 2 to 4 (case 7 of the distances); Särndal, Swensson, Wretman (1989), *The weighted
/// residual technique for estimating the variance of the general regression estimator*, Biometrika
/// 76; MacKinnon, White (1985), *Some heteroskedasticity-consistent covariance matrix estimators*,
/// J. Econometrics 29 (the leverages).
///
/// # Example
/// ```
/// use landscape_core::surface::subset::Calibration;
///
/// // Two of four samples with losses 1, 2, 3, 4 at the only pilot, whose mean is 2.5.
/// let calibration = Calibration::fit(vec![1.0, 4.0], &[2.5], &[0.5, 0.5], 4)?;
/// let estimate = calibration.estimate(&[2.0, 8.0])[0];
/// assert!((estimate.value - 5.0).abs() < 1e-3);
/// # Ok::<(), landscape_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Row-major (K, m).
    auxiliaries: Vec<f64>,
    base: Vec<f64>,
    weights: Vec<f64>,
    /// wᵢ √((1 − πᵢ) / (1 − hᵢ)).
    residual_weights: Vec<f64>,
    /// A w − t.
    errors: Vec<f64>,
    /// Of A diag(d) A' + ridge.
    normal: Factor,
}

impl Calibration {
    /// Calibrates the weights of m samples.
    ///
    /// # Arguments
    /// * `auxiliaries` — row-major (K, m): the samples' losses at the pilots over the pilots' scales.
    /// * `targets` — the K mean losses of all samples over the same scales.
    /// * `inclusion` — the m probabilities with which the samples were chosen.
    /// * `population` — the number n of all samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] when shapes differ, there is no sample or no pilot, a number is not finite
    /// or a probability is not in (0, 1].
    pub fn fit(
        auxiliaries: Vec<f64>,
        targets: &[f64],
        inclusion: &[f64],
        population: usize,
    ) -> Result<Self, Error> {
        let (pilots, samples) = (targets.len(), inclusion.len());
        require!(
            pilots > 0 && samples > 0 && auxiliaries.len() == pilots * samples,
            "got {} losses of {samples} samples at {pilots} pilots; pass one for each pair, and at \
             least one",
            auxiliaries.len()
        );
        require!(
            samples <= population,
            "got {samples} samples of {population}; pass no more than there are"
        );
        require!(
            auxiliaries.iter().chain(targets).all(|value| value.is_finite()),
            "a loss at a pilot is not finite; leave that pilot out"
        );
        require!(
            inclusion.iter().all(|&probability| probability > 0.0 && probability <= 1.0),
            "an inclusion probability is not in (0, 1]; pass those of the selection"
        );
        let base = base_weights(inclusion, population);
        let table: Vec<&[f64]> = auxiliaries.chunks_exact(samples).collect();
        let gram = Gram::of(&table, &base);
        Ok(Self::with_gram(auxiliaries, targets, inclusion, base, &gram))
    }

    /// The same for valid arguments, and the Gram matrix of the auxiliaries under the base weights.
    pub(super) fn with_gram(
        auxiliaries: Vec<f64>,
        targets: &[f64],
        inclusion: &[f64],
        base: Vec<f64>,
        gram: &Gram,
    ) -> Self {
        let table: Vec<&[f64]> = auxiliaries.chunks_exact(base.len()).collect();
        let factors = calibrate(&table, &base, targets, gram);
        let weights: Vec<f64> = base.iter().zip(&factors).map(|(d, g)| d * g).collect();
        let errors = table.iter().zip(targets).map(|(a, t)| inner_product(a, &weights) - t);
        let errors = errors.collect();
        let normal = Factor::of(gram, RIDGE);
        let norms = normal.squared_norms(&table);
        let rest = |((weight, probability), (d, norm)): ((&f64, &f64), (&f64, f64))| {
            let leverage = d * norm;
            weight * ((1.0 - probability) / (1.0 - leverage).max(MIN_REST)).sqrt()
        };
        let chosen = weights.iter().zip(inclusion).zip(base.iter().zip(norms));
        let residual_weights = chosen.map(rest).collect();
        Self { auxiliaries, base, weights, residual_weights, errors, normal }
    }

    /// wᵢ, which sum to about 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The largest error of a pilot's mean that the bounds and the ridge leave, in units of its scale.
    #[must_use]
    pub fn residual(&self) -> f64 {
        self.errors.iter().fold(0.0, |largest, error| largest.max(error.abs()))
    }

    /// The mean losses at points of which the samples' losses are known, row-major (points, m).
    ///
    /// A loss that is not finite makes the estimate of its point not finite, and of no other.
    #[must_use]
    pub fn estimate(&self, losses: &[f64]) -> Vec<Estimate> {
        let rows = losses.par_chunks_exact(self.weights.len());
        install(|| rows.map(|row| self.estimate_one(row)).collect())
    }

    fn estimate_one(&self, losses: &[f64]) -> Estimate {
        let value = inner_product(&self.weights, losses);
        let table = || self.auxiliaries.chunks_exact(self.weights.len());
        let weighted: Vec<f64> = self.base.iter().zip(losses).map(|(d, y)| d * y).collect();
        let slopes = self.normal.solve(table().map(|a| inner_product(a, &weighted)).collect());
        let mut residuals = losses.to_vec();
        for (a, slope) in table().zip(&slopes) {
            for (residual, a) in residuals.iter_mut().zip(a) {
                *residual -= slope * a;
            }
        }
        for (residual, weight) in residuals.iter_mut().zip(&self.residual_weights) {
            *residual *= weight;
        }
        let variance = inner_product(&residuals, &residuals);
        let missed = inner_product(&slopes, &self.errors);
        Estimate { value, standard_error: variance.sqrt().hypot(missed) }
    }
}

/// dᵢ = 1 / (n πᵢ).
pub(super) fn base_weights(inclusion: &[f64], population: usize) -> Vec<f64> {
    inclusion.iter().map(|probability| 1.0 / (population as f64 * probability)).collect()
}

/// The factors gᵢ: λ minimises Φ(λ) = Σ dᵢ G(1 + λ'aᵢ) + ridge |λ|² / 2 − t'λ, where G' = clip.
fn calibrate(table: &[&[f64]], base: &[f64], targets: &[f64], gram: &Gram) -> Vec<f64> {
    let mut at = Dual::new(table, base, targets, vec![0.0; targets.len()]);
    for _ in 0..MAX_STEPS {
        if at.gradient.iter().all(|slope| slope.abs() <= ARRIVED) {
            break;
        }
        let fixed: Vec<usize> = (0..base.len()).filter(|&i| !is_free(at.raw[i])).collect();
        let curvature = gram.without(table, base, &fixed);
        let step = Factor::of(&curvature, RIDGE).solve(at.gradient.clone());
        let descent = inner_product(&step, &at.gradient);
        let mut length = 1.0;
        let next = loop {
            let moved =
                at.multipliers.iter().zip(&step).map(|(lambda, step)| lambda - length * step);
            let next = Dual::new(table, base, targets, moved.collect());
            if next.value <= at.value - 1e-4 * length * descent {
                break Some(next);
            }
            length /= 2.0;
            if length < 1e-9 {
                break None; // rounding is all that is left
            }
        };
        let Some(next) = next else { break };
        at = next;
    }
    at.raw.iter().map(|x| x.clamp(BOUNDS[0], BOUNDS[1])).collect()
}

fn is_free(x: f64) -> bool {
    x > BOUNDS[0] && x < BOUNDS[1]
}

/// The dual function at a point.
struct Dual {
    multipliers: Vec<f64>,
    /// 1 + λ'aᵢ.
    raw: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

impl Dual {
    fn new(table: &[&[f64]], base: &[f64], targets: &[f64], multipliers: Vec<f64>) -> Self {
        let mut raw = vec![1.0; base.len()];
        for (a, lambda) in table.iter().zip(&multipliers) {
            for (x, a) in raw.iter_mut().zip(*a) {
                *x += lambda * a;
            }
        }
        let [low, high] = BOUNDS;
        let integral = |x: f64| match x {
            x if x < low => low * x - low * low / 2.0,
            x if x > high => high * x - high * high / 2.0,
            x => x * x / 2.0,
        };
        let integrals: Vec<f64> = raw.iter().map(|&x| integral(x)).collect();
        let weights: Vec<f64> = raw.iter().zip(base).map(|(x, d)| d * x.clamp(low, high)).collect();
        let value = inner_product(base, &integrals)
            + RIDGE / 2.0 * inner_product(&multipliers, &multipliers)
            - inner_product(targets, &multipliers);
        let slope = |((a, t), lambda): ((&&[f64], &f64), &f64)| {
            inner_product(a, &weights) + RIDGE * lambda - t
        };
        let gradient = table.iter().zip(targets).zip(&multipliers).map(slope).collect();
        Self { multipliers, raw, value, gradient }
    }
}
