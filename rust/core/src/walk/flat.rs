//! The part of a vector in which a Hessian is nearly zero, and the rest.

use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::{Eigen, Krylov, Products, eigen};

/// What a Hessian does to a vector, as its Krylov space sees it.
pub(super) struct Seen<S> {
    space: Krylov<S>,
    pairs: Eigen,
    /// The largest |Ritz value|.
    pub scale: f64,
}

impl<S: Scalar> Seen<S> {
    /// Grows the space of a vector to `limit` products, or until it is invariant.
    pub fn of(vector: &[S], products: &mut Products<'_, S>, limit: usize) -> Result<Self, Error> {
        let mut space = Krylov::new(vector, limit)?;
        while !space.finished() {
            space.advance(products)?;
        }
        let pairs = eigen(&space.matrix());
        let scale = pairs.values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        Ok(Self { space, pairs, scale })
    }

    /// The part of the vector along Ritz vectors whose |value| is at most `most`, and vᵀHv / vᵀv of
    /// that part.
    pub fn flat(&self, most: f64) -> (Vec<S>, f64) {
        let shares = self.shares(|value| if value.abs() <= most { 1.0 } else { 0.0 });
        let squares = |weight: &dyn Fn(f64) -> f64| -> f64 {
            let parts = self.pairs.values.iter().zip(&self.pairs.vectors);
            let within = parts.filter(|(value, _)| value.abs() <= most);
            within.map(|(&value, vector)| weight(value) * vector[0] * vector[0]).sum()
        };
        let size = squares(&|_| 1.0);
        let curvature = if size > 0.0 { squares(&|value| value) / size } else { 0.0 };
        (self.space.combinations(&[shares]), curvature)
    }

    /// Σ (zᵢ·g) / |λᵢ| zᵢ over Ritz values above `most` in size: what Newton's method takes off.
    pub fn steep(&self, most: f64) -> Vec<S> {
        let shares = self.shares(|value| if value.abs() > most { 1.0 / value.abs() } else { 0.0 });
        self.space.combinations(&[shares])
    }

    /// Coefficients in the basis of f(T) applied to the vector.
    fn shares(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut found = vec![0.0; self.pairs.values.len()];
        for (&value, vector) in self.pairs.values.iter().zip(&self.pairs.vectors) {
            let weight = f(value) * vector[0] * self.space.start();
            for (entry, part) in found.iter_mut().zip(vector) {
                *entry += weight * part;
            }
        }
        found
    }
}
