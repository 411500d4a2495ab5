//! The diagonal matrix that scales steps.

use super::options::Preconditioner;
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// G = 1, or G = 1/(√v + λ) with v = Σ (1 − α) αᵗ⁻ˢ mean(∇L²) / (1 − αᵗ), where the mean is over chains.
///
/// All chains share v: it is a mean over more gradients then, and all sample with the same G. It
/// is learned in the steps of the burn-in alone. With a G that depends on θ the term Γ(θ), the
/// divergence of G, would be needed for the posterior to be invariant (Li et al. 2016),
/// which all practical versions leave out; with a fixed G it is 0, and nothing is left out.
///
/// # Reference
/// Li, Chen, Carlson, Carin (2016), *Preconditioned stochastic gradient Langevin dynamics for deep
/// neural networks*; the denominator 1 − αᵗ, which makes v a weighted mean from the first
/// step on, is that of Kingma and Ba (2015), section 3.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    kind: Preconditioner,
    /// Σ (1 − α) αᵗ⁻ˢ mean(∇L²); empty for G = 1.
    accumulator: Vec<f64>,
    /// G; empty for G = 1.
    diagonal: Vec<f64>,
}

impl Scales {
    /// The matrix before the first gradient: 1.
    pub fn new(kind: Preconditioner, dim: usize) -> Self {
        let dim = if kind == Preconditioner::None { 0 } else { dim };
        Self { kind, accumulator: vec![0.0; dim], diagonal: vec![1.0; dim] }
    }

    /// The matrix of a checkpoint, after so many updates.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the accumulator cannot be one.
    pub fn resume(
        kind: Preconditioner,
        dim: usize,
        accumulator: Vec<f64>,
        updates: usize,
    ) -> Result<Self, Error> {
        let mut scales = Self::new(kind, dim);
        require!(
            accumulator.len() == scales.accumulator.len()
                && accumulator.iter().all(|mean| mean.is_finite() && *mean >= 0.0),
            "got {} numbers of an accumulator for {dim} parameters; pass those of the checkpoint",
            accumulator.len()
        );
        scales.accumulator = accumulator;
        if updates > 0 {
            scales.set_diagonal(updates);
        }
        Ok(scales)
    }

    /// Learns from the gradients of all chains, row-major, as update number `updates`, from 1.
    pub fn update<S: Scalar>(&mut self, gradients: &[S], updates: usize) {
        let Preconditioner::Rmsprop { decay, .. } = self.kind else { return };
        let dim = self.accumulator.len();
        let chains = gradients.len() / dim.max(1);
        if chains == 0 {
            return;
        }
        let mut squares = vec![0.0; dim];
        for row in gradients.chunks(dim) {
            for (sum, slope) in squares.iter_mut().zip(row) {
                *sum += slope.widen() * slope.widen();
            }
        }
        for (mean, sum) in self.accumulator.iter_mut().zip(&squares) {
            *mean = decay * *mean + (1.0 - decay) * sum / chains as f64;
        }
        self.set_diagonal(updates);
    }

    fn set_diagonal(&mut self, updates: usize) {
        let Preconditioner::Rmsprop { decay, damping } = self.kind else { return };
        let weight = 1.0 - libm::pow(decay, updates as f64);
        for (entry, mean) in self.diagonal.iter_mut().zip(&self.accumulator) {
            *entry = 1.0 / ((mean / weight).sqrt() + damping);
        }
    }

    /// Entry i of G.
    pub fn entry(&self, index: usize) -> f64 {
        self.diagonal.get(index).copied().unwrap_or(1.0)
    }

    /// What is learned so far.
    pub fn accumulator(&self) -> &[f64] {
        &self.accumulator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_squares_by_hand() {
        let kind = Preconditioner::Rmsprop { decay: 0.5, damping: 1.0 };
        let mut scales = Scales::new(kind, 2);
        assert_eq!(scales.entry(0), 1.0);
        scales.update(&[3.0, 0.0, 4.0, 0.0], 1);
        assert_eq!(scales.entry(0), 1.0 / (12.5_f64.sqrt() + 1.0));
        assert_eq!(scales.entry(1), 1.0);
        scales.update(&[2.0, 1.0], 2);
        let mean: f64 = (0.25 * 12.5 + 0.5 * 4.0) / 0.75;
        assert_eq!(scales.entry(0), 1.0 / (mean.sqrt() + 1.0));
        let again = Scales::resume(kind, 2, scales.accumulator().to_vec(), 2).expect("its own");
        assert_eq!(again.entry(1), scales.entry(1));
        assert!(Scales::resume(kind, 2, vec![-1.0, 0.0], 2).is_err());
    }
}
