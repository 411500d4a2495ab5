//! Iterative solvers: objects that own their state and advance one step at a time.
//!
//! A step is committed when it is complete. An error of the problem, of the progress callback or a
//! cancellation therefore leaves the solver as it was after the last step, and resuming it, in the
//! same process or from a checkpoint, gives the same bits as a run without interruption.

use serde::{Deserialize, Serialize};

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::objective::{BatchedObjective, Objective};
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// Whether a solver has terminated, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It has not terminated.
    Running,
    /// The result is within the tolerance.
    Converged,
    /// The schedule is completed.
    Complete,
    /// The whole space is spanned: the result is exact to rounding.
    Exhausted,
    /// A walk has covered its distance.
    Reached,
    /// The gradient lies in the null space of the Hessian: its norm has no descent direction.
    Flat,
    /// No step makes progress.
    Stalled,
    /// A number is not finite, or a loss is far beyond all that the method can produce.
    Diverged,
    /// The limit on operator products was reached.
    MaxProducts,
    /// The limit on steps was reached.
    MaxSteps,
}

impl Status {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Converged => "converged",
            Self::Complete => "complete",
            Self::Exhausted => "exhausted",
            Self::Reached => "reached",
            Self::Flat => "flat",
            Self::Stalled => "stalled",
            Self::Diverged => "diverged",
            Self::MaxProducts => "max_products",
            Self::MaxSteps => "max_steps",
        }
    }
}

/// What solvers are run on: an operator, an objective, or an objective with mini-batches.
pub trait Problem {
    /// The number of parameters, or of rows.
    fn dim(&self) -> usize;
}

impl<S: Scalar> Problem for dyn LinearOperator<S> + '_ {
    fn dim(&self) -> usize {
        LinearOperator::dim(self)
    }
}

impl<S: Scalar> Problem for dyn Objective<S> + '_ {
    fn dim(&self) -> usize {
        Objective::dim(self)
    }
}

impl<S: Scalar> Problem for dyn BatchedObjective<S> + '_ {
    fn dim(&self) -> usize {
        Objective::dim(self)
    }
}

/// An iterative method on a problem whose vectors have entries of type `Scalar`.
pub trait Solver {
    /// The storage type of vectors.
    type Scalar: Scalar;

    /// What it is run on, such as `dyn LinearOperator<S>`. The solver does not keep it: every step
    /// borrows it anew.
    type Problem<'a>: Problem + ?Sized;

    /// The dimension of the problem.
    fn dim(&self) -> usize;

    /// Whether it has terminated, and why.
    fn status(&self) -> Status;

    /// Refuses a problem that is not the one that the solver began with, as far as it can tell.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the difference.
    fn accept(&self, problem: &Self::Problem<'_>) -> Result<(), Error> {
        let (given, dim) = (problem.dim(), self.dim());
        require!(
            given == dim,
            "got a problem of {given} dimensions for vectors of {dim} entries; pass the one that \
             the solver was created for"
        );
        Ok(())
    }

    /// Advances by one step.
    ///
    /// # Errors
    /// Those of the problem, after which the solver is as it was before the step, and
    /// [`Error::NonFinite`] where a number that it cannot work with is not finite.
    fn step(&mut self, problem: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error>;

    /// Steps until the solver terminates (true) or `tick`, called after every step, returns false
    /// (then whether it has terminated).
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept), of [`step`](Self::step) and of `tick`.
    fn run(
        &mut self,
        problem: &Self::Problem<'_>,
        cancel: &Cancel,
        mut tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error>
    where
        Self: Sized,
    {
        self.accept(problem)?;
        while self.status() == Status::Running {
            self.step(problem, cancel)?;
            if !tick(self)? {
                return Ok(self.status() != Status::Running);
            }
        }
        Ok(true)
    }
}

/// The largest count that a record may hold: below it a count is exact in f64, and sums do not overflow.
pub(crate) const MAX_COUNT: u64 = 1 << 53;

/// Checks of the fields of a record, in the error of the reader.
pub(crate) struct RecordReader(pub &'static str);

impl RecordReader {
    /// # Errors
    /// [`Error::Invalid`] that names a field unless a condition on it holds.
    pub fn require(&self, field: &str, condition: bool) -> Result<(), Error> {
        require!(
            condition,
            "got a record of {} whose {field} cannot be: it was damaged or changed after it was \
             written; restore it from a copy, or begin anew with another file",
            self.0
        );
        Ok(())
    }

    /// # Errors
    /// [`Error::Invalid`] unless counts are within [`MAX_COUNT`].
    pub fn require_counts(&self, counts: &[(&str, u64)]) -> Result<(), Error> {
        counts.iter().try_for_each(|&(field, count)| self.require(field, count <= MAX_COUNT))
    }

    /// # Errors
    /// [`Error::Invalid`] unless numbers are finite and at least `least`.
    pub fn require_finite(&self, numbers: &[(&str, f64)], least: f64) -> Result<(), Error> {
        let valid = |number: f64| number.is_finite() && number >= least;
        numbers.iter().try_for_each(|&(field, number)| self.require(field, valid(number)))
    }

    /// # Errors
    /// [`Error::Invalid`] unless the entries of an array are finite.
    pub fn require_entries<S: Scalar>(&self, name: &str, entries: &[S]) -> Result<(), Error> {
        self.require(name, entries.iter().all(|entry| entry.widen().is_finite()))
    }

    /// # Errors
    /// [`Error::Invalid`] unless the status is one that the solver has.
    pub fn require_status(&self, status: Status, known: &[Status]) -> Result<(), Error> {
        self.require("status", known.contains(&status))
    }
}

/// The state of a solver: a JSON record, and arrays by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<S> {
    /// Options, counters and scalars.
    pub record: String,
    /// The dimension of the problem.
    pub dim: usize,
    /// Arrays of the problem's storage type, most of them rows of `dim` entries.
    pub vectors: Vec<(&'static str, Vec<S>)>,
    /// Arrays of f64.
    pub numbers: Vec<(&'static str, Vec<f64>)>,
}

impl<S: Scalar> Checkpoint<S> {
    /// Removes an array of the storage type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none of this name.
    pub fn take_vectors(&mut self, name: &str) -> Result<Vec<S>, Error> {
        take(&mut self.vectors, name)
    }

    /// Removes an array of f64.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none of this name.
    pub fn take_numbers(&mut self, name: &str) -> Result<Vec<f64>, Error> {
        take(&mut self.numbers, name)
    }

    /// Parses the record.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not the record of `solver`.
    pub(crate) fn parse_record<T: for<'a> Deserialize<'a>>(
        &self,
        solver: &str,
    ) -> Result<T, Error> {
        serde_json::from_str(&self.record).map_err(|cause| {
            Error::Invalid(format!(
                "got a text that is not the record of {solver}: {cause}; pass the record of a \
                 checkpoint"
            ))
        })
    }
}

fn take<T>(arrays: &mut Vec<(&'static str, Vec<T>)>, name: &str) -> Result<Vec<T>, Error> {
    let index = arrays.iter().position(|(known, _)| *known == name).ok_or_else(|| {
        Error::Invalid(format!(
            "got a checkpoint without the array {name:?}; pass all of its arrays"
        ))
    })?;
    Ok(arrays.swap_remove(index).1)
}

/// A solver whose state can be saved.
///
/// `resume`, the constructor that takes a [`Checkpoint`], is each solver's own: some need options or
/// a file besides.
pub trait Resumable: Solver {
    /// Options, counters and scalars as JSON: the record of a checkpoint.
    fn record(&self) -> String;

    /// A copy of the state, from which `resume` makes the same solver again.
    fn checkpoint(&self) -> Checkpoint<Self::Scalar>;
}

/// A state as the record of a checkpoint.
///
/// # Panics
/// Never: a record holds numbers, options and lists of them.
pub(crate) fn to_record<T: Serialize>(state: &T) -> String {
    serde_json::to_string(state).expect("plain data")
}
