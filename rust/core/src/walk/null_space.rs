//! The parts of a vector with small and with large curvature, from its Krylov space.

use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::{CountedOperator, Eigenpairs, KrylovSpace, eigh};

/// A Hessian projected on the Krylov space of a vector g, in its eigenbasis: H z ≈ λ z for each Ritz
/// pair (λ, z), exactly once the space is invariant.
pub(super) struct RitzDecomposition<S> {
    space: KrylovSpace<S>,
    pairs: Eigenpairs,
    /// The largest |Ritz value|.
    pub scale: f64,
}

impl<S: Scalar> RitzDecomposition<S> {
    /// Grows the space of a vector to `limit` products, or until it is invariant.
    ///
    /// # Errors
    /// Those of the operator.
    pub fn compute(
        vector: &[S],
        operator: &mut CountedOperator<'_, S>,
        limit: usize,
    ) -> Result<Self, Error> {
        let mut space = KrylovSpace::new(vector, limit)?;
        while !space.is_complete() {
            space.extend(operator)?;
        }
        let pairs = eigh(&space.matrix());
        let scale = pairs.values.iter().fold(0.0, |max: f64, value| max.max(value.abs()));
        Ok(Self { space, pairs, scale })
    }

    /// The part v of the vector along Ritz vectors with |λ| ≤ `threshold`, and vᵀHv / vᵀv.
    pub fn flat_part(&self, threshold: f64) -> (Vec<S>, f64) {
        let coefficients =
            self.apply_function(|value| if value.abs() <= threshold { 1.0 } else { 0.0 });
        let sum_squares = |weight: &dyn Fn(f64) -> f64| -> f64 {
            let pairs = self.pairs.values.iter().zip(&self.pairs.vectors);
            let flat = pairs.filter(|(value, _)| value.abs() <= threshold);
            flat.map(|(&value, vector)| weight(value) * vector[0] * vector[0]).sum()
        };
        let norm = sum_squares(&|_| 1.0);
        let curvature = if norm > 0.0 { sum_squares(&|value| value) / norm } else { 0.0 };
        (self.space.combinations(&[coefficients]), curvature)
    }

    /// Σ (zᵢ·g) / |λᵢ| zᵢ over |λᵢ| > `threshold`: the Newton step in the steep directions.
    pub fn steep_newton_step(&self, threshold: f64) -> Vec<S> {
        let inverse = |value: f64| if value.abs() > threshold { 1.0 / value.abs() } else { 0.0 };
        self.space.combinations(&[self.apply_function(inverse)])
    }

    /// The coefficients of f(H) g in the basis of the space.
    fn apply_function(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut coefficients = vec![0.0; self.pairs.values.len()];
        for (&value, vector) in self.pairs.values.iter().zip(&self.pairs.vectors) {
            let weight = f(value) * vector[0] * self.space.start_norm();
            for (coefficient, entry) in coefficients.iter_mut().zip(vector) {
                *coefficient += weight * entry;
            }
        }
        coefficients
    }
}
