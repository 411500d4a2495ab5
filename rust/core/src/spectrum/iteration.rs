//! What all iterations on an operator share: they own their state, go on step by step, and stop.

use super::status::Status;
use crate::error::{Error, require};
use crate::monitor::{Cancel, stepped};
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// A computation by products with vectors of `S`.
pub trait Iteration<S: Scalar> {
    /// The number of rows of the operator.
    fn dim(&self) -> usize;

    /// How many products were made.
    fn products(&self) -> usize;

    /// Whether and how it has ended.
    fn status(&self) -> Status;

    /// Products of one block of vectors, and what follows from them.
    ///
    /// # Errors
    /// Those of the operator, and [`Error::NonFinite`]; the iteration is then as it was before.
    fn step(&mut self, operator: &dyn LinearOperator<S>, cancel: &Cancel) -> Result<(), Error>;

    /// Steps until it has ended (true) or `tick`, called after every step, says false.
    ///
    /// # Errors
    /// Those of the operator and of `tick`, and [`Error::NonFinite`]. The iteration is then as it was
    /// after the last whole step, and goes on from there with the same bits.
    fn run(
        &mut self,
        operator: &dyn LinearOperator<S>,
        cancel: &Cancel,
        tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error>
    where
        Self: Sized,
    {
        let (given, dim) = (operator.dim(), self.dim());
        require!(
            given == dim,
            "got an operator of {given} rows for vectors of {dim} entries; pass the one it began \
             with"
        );
        let running = |iteration: &Self| iteration.status() == Status::Running;
        stepped(self, running, |iteration| iteration.step(operator, cancel), tick)
    }
}
