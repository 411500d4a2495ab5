//! The error of calibrated estimates, by cross-validation over the pilots.

use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};

use super::calibration::{Calibration, Estimate, base_weights};
use super::factor::Gram;
use super::selection::{Selection, select};
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::threads::install;

/// Parts of the pilots that are predicted in turn from all others.
const FOLDS: usize = 8;
/// Draws of the samples of which the median one is used.
const DRAWS: u32 = 3;

/// The standard normal quantile of 0.1, for a bound on a variance that holds in 90 of 100 cases.
const LOWER_TENTH: f64 = -1.281_551_565_544_600_4;
/// That of 0.975.
const TWO_SIDED: f64 = 1.959_963_984_540_054;

/// The losses of all samples at the pilots, and their means.
#[derive(Clone, Copy, Debug)]
pub struct Pilots<'a> {
    /// K rows of n losses.
    pub losses: &'a [&'a [f32]],
    /// The mean of each row, more exact than the row's numbers are.
    pub means: &'a [f64],
    /// What an error at each pilot is relative to.
    pub scales: &'a [f64],
}

/// What cross-validation says about a number of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The draw of the samples whose error is the median one.
    pub selection: Selection,
    /// A bound on 95% of the relative errors.
    pub quantile95: f64,
    /// A bound on the largest relative error of so many points as were asked for.
    pub maximum: f64,
    /// By how much standard errors must be multiplied to agree with the errors at pilots; at least 1.
    pub inflation: f64,
    /// The relative error at each pilot, predicted from the other folds.
    pub errors: Vec<f64>,
    /// The largest relative error of a pilot that all pilots calibrate.
    pub residual: f64,
}

/// Assesses estimates from `count` samples: three draws, each cross-validated over eight folds.
///
/// Pilot k belongs to fold k mod 8; a fold's means are estimated by weights that the other pilots
/// calibrate. With σ the root mean square of the 3 K relative errors and
/// c = √(K / χ²), χ² the lower tenth of the distribution with K degrees of freedom, the bound on 95%
/// of the errors is the largest of 1.96 c σ, the 95th percentile of the median draw, and the errors of
/// the calibrated pilots themselves; that on the largest of N errors has the normal quantile of
/// 1 − 0.025 / N in place of 1.96. Standard errors are inflated by c times the root mean square of the
/// standardised errors.
///
/// # Errors
/// [`Error::Invalid`] when shapes differ, there are fewer than eight pilots, a scale is not positive or
/// a loss is not finite; those of [`select`].
pub fn assess(
    pilots: &Pilots<'_>,
    shares: &[f64],
    count: usize,
    seed: u64,
    points: usize,
) -> Result<Assessment, Error> {
    let size = pilots.losses.len();
    require!(
        size >= FOLDS && pilots.means.len() == size && pilots.scales.len() == size,
        "got {size} pilots with {} means and {} scales; pass at least {FOLDS}, and one each",
        pilots.means.len(),
        pilots.scales.len()
    );
    require!(
        pilots.losses.iter().all(|row| row.len() == shares.len()),
        "got pilots with other numbers of samples than the {} shares; pass one loss for each",
        shares.len()
    );
    require!(
        pilots.scales.iter().all(|scale| *scale > 0.0 && scale.is_finite()),
        "a scale is not positive; pass what errors are relative to"
    );
    require_memory::<f64>(
        &format!("{count} samples at {size} pilots"),
        &[size, count, 2 * DRAWS as usize],
    )?;
    let draws: Vec<Draw> = (0..DRAWS)
        .map(|draw| Draw::new(pilots, shares, count, seed, draw))
        .collect::<Result<_, _>>()?;
    let folds: Vec<_> =
        (0..draws.len()).flat_map(|draw| (0..FOLDS).map(move |fold| (draw, fold))).collect();
    let predict = |&(draw, fold): &(usize, usize)| draws[draw].predict(fold);
    let predictions: Vec<_> = install(|| folds.par_iter().map(predict).collect());
    let validations: Vec<Vec<Validation>> = predictions
        .chunks_exact(FOLDS)
        .map(|folds| (0..size).map(|pilot| folds[pilot % FOLDS][pilot / FOLDS]).collect())
        .collect();

    let mut order: Vec<usize> = (0..draws.len()).collect();
    let quantile = |draw: usize| upper_quantile(&validations[draw]);
    order.sort_by(|&a, &b| quantile(a).total_cmp(&quantile(b)));
    let median = order[order.len() / 2];
    let all = || validations.iter().flatten();
    let factor = (1.0 / lower_tenth(size as f64)).sqrt();
    let spread = factor * root_mean_square(all().map(|found| found.error));
    let draw = &draws[median];
    let residual = draw.calibrate(&(0..size).collect::<Vec<_>>()).residual();
    let errors: Vec<f64> = validations[median].iter().map(|found| found.error).collect();
    let largest = errors.iter().fold(0.0_f64, |largest, error| largest.max(error.abs()));
    let quantile95 = (TWO_SIDED * spread).max(quantile(median)).max(residual);
    Ok(Assessment {
        selection: draw.selection.clone(),
        quantile95,
        maximum: (simultaneous(points) * spread).max(largest).max(quantile95),
        inflation: (factor * root_mean_square(all().map(|found| found.score))).max(1.0),
        errors,
        residual,
    })
}

/// The error at a pilot that was not used.
#[derive(Clone, Copy)]
struct Validation {
    /// In units of the pilot's scale.
    error: f64,
    /// In standard errors.
    score: f64,
}

/// One draw of the samples.
struct Draw {
    selection: Selection,
    /// K rows of the chosen samples' losses over the pilot's scale.
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
    base: Vec<f64>,
    /// Of the rows, which all folds share.
    gram: Gram,
}

impl Draw {
    fn new(
        pilots: &Pilots<'_>,
        shares: &[f64],
        count: usize,
        seed: u64,
        draw: u32,
    ) -> Result<Self, Error> {
        let selection = select(shares, count, seed, draw)?;
        let rows = pilots.losses.iter().zip(pilots.scales).map(|(losses, scale)| {
            selection.rows.iter().map(|&row| f64::from(losses[row]) / scale).collect()
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        let targets = pilots.means.iter().zip(pilots.scales).map(|(mean, scale)| mean / scale);
        let targets: Vec<f64> = targets.collect();
        require!(
            rows.iter().flatten().chain(&targets).all(|value| value.is_finite()),
            "a loss at a pilot is not finite; leave that pilot out"
        );
        let base = base_weights(&selection.inclusion, shares.len());
        let gram = Gram::of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), &base);
        Ok(Self { selection, rows, targets, base, gram })
    }

    fn calibrate(&self, pilots: &[usize]) -> Calibration {
        let auxiliaries = pilots.iter().flat_map(|&pilot| &self.rows[pilot]).copied().collect();
        let targets: Vec<f64> = pilots.iter().map(|&pilot| self.targets[pilot]).collect();
        let gram = self.gram.select(pilots);
        let inclusion = &self.selection.inclusion;
        Calibration::with_gram(auxiliaries, &targets, inclusion, self.base.clone(), &gram)
    }

    /// The errors at the pilots of a fold, whose means the others predict.
    fn predict(&self, fold: usize) -> Vec<Validation> {
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..self.rows.len()).partition(|pilot| pilot % FOLDS == fold);
        let calibration = self.calibrate(&kept);
        let losses: Vec<f64> = out.iter().flat_map(|&pilot| &self.rows[pilot]).copied().collect();
        let validate = |(estimate, &pilot): (Estimate, &usize)| {
            let error = estimate.value - self.targets[pilot];
            // What rounding leaves of an exact estimate counts as one standard error at most.
            let rounding = f64::EPSILON.sqrt() * estimate.value.abs().max(f64::MIN_POSITIVE);
            Validation { error, score: error / estimate.standard_error.max(rounding) }
        };
        calibration.estimate(&losses).into_iter().zip(&out).map(validate).collect()
    }
}

/// The smallest error that 95% of the errors do not exceed.
fn upper_quantile(validations: &[Validation]) -> f64 {
    let mut errors: Vec<f64> = validations.iter().map(|found| found.error.abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    // 95% of the count, rounded up
    errors[(19 * errors.len()).div_ceil(20) - 1]
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    (sum / f64::from(count)).sqrt()
}

/// The lower tenth of χ² over its degrees of freedom, to a percent from 3 degrees on (Wilson, Hilferty
/// 1931).
fn lower_tenth(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    (1.0 - spread + LOWER_TENTH * spread.sqrt()).powi(3)
}

/// What none of so many standard normal numbers exceeds with a probability of 95% (Bonferroni).
fn simultaneous(points: usize) -> f64 {
    Normal::standard().inverse_cdf(1.0 - 0.025 / points.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_their_tabulated_values() {
        for (freedom, expected) in [(8.0, 3.490), (24.0, 15.659), (100.0, 82.358)] {
            assert!((lower_tenth(freedom) * freedom - expected).abs() < 0.01 * expected);
        }
        assert!((simultaneous(1) - TWO_SIDED).abs() < 1e-6);
        assert!((simultaneous(2601) - 4.269).abs() < 0.01);
        let found = |error: f64| Validation { error, score: 0.0 };
        let errors: Vec<_> = (1..=20).map(|k| found(f64::from(k))).collect();
        assert_eq!(upper_quantile(&errors), 19.0);
        assert_eq!(upper_quantile(&errors[..8]), 8.0);
    }
}
