//! One ascent: its rule, its best point and how it ended.

use serde::{Deserialize, Serialize};

use super::auto_pgd::AutoPgd;
use super::lbfgs::Lbfgs;
use super::options::{AscentMethod, AscentOptions};
use super::projected::Projected;
use super::rule::{Evaluation, Next, Rule};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::solver::Status;
use crate::vector::norm;

/// The state of a rule, whichever it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Default")]
enum State<S> {
    Projected(Projected<S>),
    AutoPgd(AutoPgd<S>),
    Lbfgs(Lbfgs<S>),
}

/// Evaluates an expression for the rule of a state.
macro_rules! for_rule {
    ($state:expr, $rule:ident => $body:expr) => {
        match $state {
            State::Projected($rule) => $body,
            State::AutoPgd($rule) => $body,
            State::Lbfgs($rule) => $body,
        }
    };
}

/// The ascent from one start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Default")]
pub(super) struct Row<S> {
    pub status: Status,
    /// The highest finite loss; None before the first.
    pub best_loss: Option<f64>,
    /// None before the start is evaluated, and after the end.
    state: Option<State<S>>,
    /// The number of vectors of the state, for records.
    vectors: usize,
    /// The point to evaluate, in scaled coordinates.
    #[serde(skip)]
    pub trial: Vec<S>,
    /// The point of the highest loss.
    #[serde(skip)]
    pub best: Vec<S>,
}

impl<S: Scalar> Row<S> {
    pub fn new(start: Vec<S>) -> Self {
        let best = start.clone();
        let (status, best_loss) = (Status::Running, None);
        Self { status, best_loss, state: None, vectors: 0, trial: start, best }
    }

    /// Takes the evaluation of the point to evaluate, the one after so many steps.
    pub fn advance(&mut self, options: &AscentOptions, loss: f64, h: &[S], step: usize) {
        if loss.is_finite() && self.best_loss.is_none_or(|best| loss > best) {
            (self.best_loss, self.best) = (Some(loss), self.trial.clone());
        }
        let size = norm(h);
        if !(loss.is_finite() && size.is_finite()) {
            return self.end(Status::Diverged);
        }
        if size == 0.0 {
            return self.end(Status::Converged); // no direction leads up
        }
        let u = std::mem::take(&mut self.trial);
        let evaluation = Evaluation { u: &u, loss, h, step };
        let next = match &mut self.state {
            Some(state) => for_rule!(state, rule => rule.advance(options, evaluation)),
            empty => {
                let (state, next) = begin(options, evaluation);
                *empty = Some(state);
                next
            }
        };
        match next {
            Next::End(status) => {
                self.trial = u;
                self.end(status);
            }
            Next::Evaluate(_) if step >= options.steps => {
                self.trial = u;
                let is_schedule = !matches!(options.method, AscentMethod::Lbfgs { .. });
                self.end(if is_schedule { Status::Complete } else { Status::MaxSteps });
            }
            Next::Evaluate(trial) => {
                self.trial = trial;
                self.vectors = self.memory().len();
            }
        }
    }

    fn end(&mut self, status: Status) {
        (self.status, self.state, self.vectors) = (status, None, 0);
    }

    /// The vectors of the state of its rule.
    pub fn memory(&self) -> Vec<&[S]> {
        self.state.as_ref().map_or_else(Vec::new, |state| for_rule!(state, rule => rule.vectors()))
    }

    /// Takes the vectors of a checkpoint: the point to evaluate, the best one, and those of its rule, the
    /// next rows of `memory`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record and the vectors are not those of a row.
    pub fn restore(
        &mut self,
        options: &AscentOptions,
        [trial, best]: [Vec<S>; 2],
        memory: &mut impl Iterator<Item = Vec<S>>,
    ) -> Result<(), Error> {
        let vectors: Vec<_> = memory.take(self.vectors).collect();
        let is_own = match (&self.state, options.method) {
            (None, _) => vectors.is_empty(),
            (Some(State::Projected(_)), AscentMethod::Projected { .. })
            | (Some(State::AutoPgd(_)), AscentMethod::AutoPgd)
            | (Some(State::Lbfgs(_)), AscentMethod::Lbfgs { .. }) => true,
            _ => false,
        };
        require!(
            is_own && vectors.len() == self.vectors,
            "got a row of an ascent whose state is not that of its method; pass a checkpoint of one \
             ascent"
        );
        if let Some(state) = &mut self.state {
            for_rule!(state, rule => rule.restore(vectors))?;
        }
        (self.trial, self.best) = (trial, best);
        Ok(())
    }

    /// Whether the row has the state of a rule.
    pub fn has_begun(&self) -> bool {
        self.state.is_some()
    }
}

fn begin<S: Scalar>(options: &AscentOptions, start: Evaluation<'_, S>) -> (State<S>, Next<S>) {
    match options.method {
        AscentMethod::Projected { .. } => wrap(State::Projected, Rule::begin(options, start)),
        AscentMethod::AutoPgd => wrap(State::AutoPgd, Rule::begin(options, start)),
        AscentMethod::Lbfgs { .. } => wrap(State::Lbfgs, Rule::begin(options, start)),
    }
}

fn wrap<S, R>(
    state: impl FnOnce(R) -> State<S>,
    (rule, next): (R, Next<S>),
) -> (State<S>, Next<S>) {
    (state(rule), next)
}
