//! The interface of rules: from an evaluation to the next point.

use super::options::AscentOptions;
use crate::error::Error;
use crate::solver::Status;

/// A point in scaled coordinates, with its loss and its gradient h by these coordinates, all finite.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a, S> {
    pub u: &'a [S],
    pub loss: f64,
    pub h: &'a [S],
    /// Steps before it: 0 at the start.
    pub step: usize,
}

/// What a rule does after an evaluation.
pub(super) enum Next<S> {
    /// Evaluates a point.
    Evaluate(Vec<S>),
    /// Ends.
    End(Status),
}

/// A rule with its state, for one row.
pub(super) trait Rule<S>: Sized {
    /// Its state after the evaluation of the start.
    fn begin(options: &AscentOptions, start: Evaluation<'_, S>) -> (Self, Next<S>);

    /// Takes the evaluation of the point that it asked for.
    fn advance(&mut self, options: &AscentOptions, evaluation: Evaluation<'_, S>) -> Next<S>;

    /// The vectors of its state.
    fn vectors(&self) -> Vec<&[S]>;

    /// Takes the vectors of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the state and the vectors do not fit.
    fn restore(&mut self, vectors: Vec<Vec<S>>) -> Result<(), Error>;
}
