//! Operator products that are counted and checked.

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// An operator that counts its products and rejects those that are not finite.
///
/// The count belongs to the solver, not to the operator: a resumed solver continues it.
pub struct CountedOperator<'a, S: Scalar> {
    operator: &'a dyn LinearOperator<S>,
    cancel: &'a Cancel,
    count: usize,
}

impl<'a, S: Scalar> CountedOperator<'a, S> {
    /// Wraps an operator of which the solver has computed `count` products before.
    #[must_use]
    pub fn new(operator: &'a dyn LinearOperator<S>, cancel: &'a Cancel, count: usize) -> Self {
        Self { operator, cancel, count }
    }

    /// The number of rows of the operator.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.operator.dim()
    }

    /// The number of vectors multiplied so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// A v for the k rows of `block`, row-major (k, dim), into `out` of the same shape.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a product holds NaN or an infinity, and those of the operator.
    pub fn apply(&mut self, block: &[S], out: &mut [S]) -> Result<(), Error> {
        let dim = self.dim();
        require!(
            block.len() == out.len() && block.len().is_multiple_of(dim),
            "got {} numbers for vectors of {dim} entries; pass a multiple",
            block.len()
        );
        self.cancel.check()?;
        self.operator.apply(block, out, self.cancel)?;
        for product in out.chunks(dim) {
            self.count += 1;
            if let Some(entry) = product.iter().position(|value| !value.widen().is_finite()) {
                return Err(Error::NonFinite(format!(
                    "entry {entry} of product {} is {:?}; the loss is not finite, or not twice \
                     differentiable, near this point: look at loss and gradient there, or compute \
                     in float64",
                    self.count, product[entry]
                )));
            }
        }
        Ok(())
    }
}
