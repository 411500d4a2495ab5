//! What a Lanczos iteration is asked for, and how it ended.

use crate::error::{Error, require};
use crate::spectrum::wanted::Which;

/// What a Lanczos iteration is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The number of rows of the operator.
    pub dim: usize,
    /// How many pairs are wanted, from each end for [`Which::Both`].
    pub count: usize,
    /// Which pairs are wanted.
    pub which: Which,
    /// Largest residual of a converged pair, in units of the largest |Ritz value|.
    pub tolerance: f64,
    /// How many directions are kept before a restart.
    pub basis: usize,
    /// How many products may be made.
    pub max_products: usize,
    /// The seed of the random directions.
    pub seed: u64,
}

impl Options {
    /// The options, with a basis no larger than the space.
    pub(in crate::spectrum) fn checked(mut self, deflated: usize) -> Result<Self, Error> {
        require!(
            deflated < self.dim,
            "got {deflated} rows to deflate in {} dimensions; pass fewer",
            self.dim
        );
        let space = self.space(deflated);
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

    /// The dimension of the space that the deflated rows leave.
    pub(super) fn space(&self, deflated: usize) -> usize {
        self.dim - deflated
    }
}
