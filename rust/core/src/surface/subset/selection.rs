//! Samples drawn without replacement, with probabilities proportional to their share of the losses.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::random::Gaussian;

/// The part of the probabilities that is the same for all samples: it bounds every weight by
/// n / (0.2 m) times the mean, whatever a sample's loss was at the pilots.
const UNIFORM: f64 = 0.2;

/// Streams of the seed that no direction and no probe uses.
const STREAM: u64 = 0x5355_4253 << 32;

/// Chosen samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Their positions, in increasing order.
    pub rows: Vec<usize>,
    /// The probability with which each of them is chosen.
    pub inclusion: Vec<f64>,
}

/// Draws `count` samples with inclusion probabilities πᵢ ∝ 0.8 shareᵢ / Σ share + 0.2 / n, cut at 1.
///
/// Pareto sampling: with uniform uᵢ, the `count` samples with the smallest
/// uᵢ (1 − πᵢ) / ((1 − uᵢ) πᵢ) are chosen. The uᵢ belong to the samples, so that a larger draw of
/// the same number keeps most of the samples of a smaller one.
///
/// # Errors
/// [`Error::Invalid`] unless 0 < count ≤ n and the shares are finite and not negative.
///
/// # Reference
/// Rosén (1997), *On sampling with probability proportional to size*, J. Stat. Plan. Inference 62.
///
/// # Example
/// ```
/// use landscape_core::surface::subset::select;
///
/// let selection = select(&[1.0, 100.0, 1.0, 1.0], 2, 7, 0)?;
/// assert_eq!(selection.rows.len(), 2);
/// assert!(selection.rows.contains(&1));
/// # Ok::<(), landscape_core::Error>(())
/// ```
pub fn select(shares: &[f64], count: usize, seed: u64, draw: u32) -> Result<Selection, Error> {
    let samples = shares.len();
    require!(
        (1..=samples).contains(&count),
        "got {count} of {samples} samples to choose; pass from 1 to {samples}"
    );
    for (i, share) in shares.iter().enumerate() {
        require!(
            share.is_finite() && *share >= 0.0,
            "share {i} is {share}; pass finite numbers that are not negative"
        );
    }
    require_memory::<(f64, f64, usize)>(&format!("{samples} samples"), &[samples])?;
    let inclusion = inclusion_probabilities(shares, count);
    let stream = Gaussian::new(seed, STREAM | u64::from(draw));
    let rank = |i: usize| {
        let [_, uniform] = stream.uniforms(i as u64);
        let probability = inclusion[i];
        let odds = uniform / (1.0 - uniform) * (1.0 - probability) / probability;
        // A certain sample comes before any other.
        (if probability >= 1.0 { -1.0 } else { odds }, i)
    };
    let mut ranks: Vec<_> = (0..samples).map(rank).collect();
    ranks.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut rows: Vec<_> = ranks[..count].iter().map(|rank| rank.1).collect();
    rows.sort_unstable();
    let inclusion = rows.iter().map(|&row| inclusion[row]).collect();
    Ok(Selection { rows, inclusion })
}

/// min(1, c pᵢ) with Σ = count, p the mixture of the shares and the uniform distribution.
fn inclusion_probabilities(shares: &[f64], count: usize) -> Vec<f64> {
    let samples = shares.len() as f64;
    let total: f64 = shares.iter().sum();
    let mixed = |share: &f64| {
        let own = if total > 0.0 { share / total } else { 1.0 / samples };
        (1.0 - UNIFORM) * own + UNIFORM / samples
    };
    let sizes: Vec<f64> = shares.iter().map(mixed).collect();
    let mut factor = count as f64 / sizes.iter().sum::<f64>();
    // Samples that are certain leave the others a larger factor, which can make more of them certain.
    loop {
        let certain = sizes.iter().filter(|&&size| factor * size >= 1.0).count();
        let rest: f64 = sizes.iter().filter(|&&size| factor * size < 1.0).sum();
        let next = if rest > 0.0 { (count - certain.min(count)) as f64 / rest } else { factor };
        if next <= factor {
            return sizes.iter().map(|size| (factor * size).min(1.0)).collect();
        }
        factor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_the_count_and_none_exceeds_one() {
        let shares: Vec<f64> = (0..50).map(|i| f64::from(i).powi(4)).collect();
        for count in [1, 7, 30, 49, 50] {
            let inclusion = inclusion_probabilities(&shares, count);
            let sum: f64 = inclusion.iter().sum();
            assert!((sum - count as f64).abs() < 1e-9, "{count}: {sum}");
            assert!(inclusion.iter().all(|p| *p > 0.0 && *p <= 1.0));
            assert!(inclusion.is_sorted());
        }
    }

    #[test]
    fn samples_are_chosen_as_often_as_their_probabilities_say() {
        let shares = [1.0, 2.0, 4.0, 8.0, 1.0, 0.0];
        let inclusion = inclusion_probabilities(&shares, 3);
        let mut counts = [0.0; 6];
        let draws = 4000;
        for seed in 0..draws {
            for row in select(&shares, 3, seed, 0).expect("valid").rows {
                counts[row] += 1.0 / draws as f64;
            }
        }
        for (count, probability) in counts.iter().zip(&inclusion) {
            assert!((count - probability).abs() < 0.04, "{counts:?} {inclusion:?}");
        }
    }
}
