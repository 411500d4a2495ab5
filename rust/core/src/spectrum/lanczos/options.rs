//! Options of a Lanczos iteration.

use serde::{Deserialize, Serialize};

use crate::error::{Error, require};
use crate::spectrum::ritz::Which;

/// What residuals are relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelativeTo {
    /// The largest |Ritz value| of the requested end of the spectrum.
    End,
    /// The largest |Ritz value| of all.
    #[default]
    Norm,
}

/// Options of a Lanczos iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanczosOptions {
    /// The number of rows of the operator.
    pub dim: usize,
    /// The number of pairs, from each end for [`Which::Both`].
    pub count: usize,
    /// The part of the spectrum.
    pub which: Which,
    /// The residual of a converged pair, in units of the reference.
    pub tolerance: f64,
    /// What residuals are relative to.
    pub relative_to: RelativeTo,
    /// The maximum number of basis vectors, at which the iteration restarts.
    pub basis: usize,
    /// The maximum number of products.
    pub max_products: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

impl LanczosOptions {
    /// The options, with a basis no larger than the space.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range.
    pub(in crate::spectrum) fn validate(mut self, deflated: usize) -> Result<Self, Error> {
        require!(
            deflated < self.dim,
            "got {deflated} rows to deflate in {} dimensions; pass fewer",
            self.dim
        );
        let space = self.dim - deflated;
        require!(
            (1..=space).contains(&self.count),
            "got count {}; pass 1 to {space}, the dimension of the space",
            self.count
        );
        require!(
            self.tolerance.is_finite() && self.tolerance >= 0.0,
            "got tolerance {}; pass one that is not negative",
            self.tolerance
        );
        require!(self.max_products > 0, "got max_products 0; pass at least 1");
        let least = (self.which.pairs(self.count, space) + 2).min(space);
        require!(
            self.basis >= least,
            "got a basis of {} vectors; pass at least {least}, two more than pairs are wanted",
            self.basis
        );
        self.basis = self.basis.min(space);
        Ok(self)
    }
}
