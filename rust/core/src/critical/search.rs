//! Steps until a point is critical.

use serde::{Deserialize, Serialize};

use super::newton;
use super::outcome::{Ending, Method, SearchOptions, Step};
use super::point::Point;
use super::saddle_free;
use crate::error::{Error, require};
use crate::monitor::{Cancel, stepped};
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::vector::norm;

/// All that a search is but its vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    options: SearchOptions,
    loss: f64,
    first: f64,
    /// Of the last step of saddle-free Newton.
    damping: f64,
    /// Of the next step of Newton-MR.
    radius: f64,
    steps: Vec<Step>,
    products: usize,
    evaluations: usize,
    ending: Ending,
}

/// The damping of the first saddle-free step, in units of the largest |Ritz value|.
const DAMPING: f64 = 1e-3;
/// The length of the first step of Newton-MR at most, in units of the norm of θ, or of 1.
const RADIUS: f64 = 1.0;

/// A search that owns its state and goes on step by step.
pub struct Search<S> {
    point: Point<S>,
    state: State,
}

impl<S: Scalar> Search<S> {
    /// A search from a point, where it evaluates the loss and its gradient.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, [`Error::NonFinite`] where the loss or the
    /// gradient is not finite, and those of the objective.
    pub fn new(
        objective: &dyn Objective<S>,
        theta: Vec<S>,
        options: SearchOptions,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        require!(
            options.tolerance >= 0.0 && options.negative >= 0.0 && options.krylov > 0,
            "got tolerance {}, negative {} and krylov {}; pass none below 0, and krylov from 1",
            options.tolerance,
            options.negative,
            options.krylov
        );
        require!(
            theta.len() == objective.dim(),
            "got a start of {} entries; pass one of {}",
            theta.len(),
            objective.dim()
        );
        let point = Point::at(objective, theta, cancel)?.finite()?;
        let state = State {
            options,
            loss: point.loss,
            first: point.norm,
            damping: DAMPING,
            radius: RADIUS * norm(&point.theta).max(1.0),
            steps: vec![Step { loss: point.loss, gradient_norm: point.norm, length: 0.0 }],
            products: 0,
            evaluations: 1,
            ending: Ending::Running,
        };
        let mut made = Self { point, state };
        made.judge();
        Ok(made)
    }

    /// Goes on with what [`record`](Self::record) and [`point`](Self::point) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is not such a record.
    pub fn resumed(record: &str, theta: Vec<S>, gradient: Vec<S>) -> Result<Self, Error> {
        let state: State = serde_json::from_str(record).map_err(|error| {
            Error::Invalid(format!("got a text that is no record of a search: {error}"))
        })?;
        Ok(Self { point: Point::known(theta, state.loss, gradient), state })
    }

    /// Where it is.
    #[must_use]
    pub fn point(&self) -> &Point<S> {
        &self.point
    }

    /// Everything else, as text.
    #[must_use]
    pub fn record(&self) -> String {
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    /// Whether and how it has ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.state.ending
    }

    /// The start, and what every step brought.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.state.steps
    }

    /// Hessian products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.state.products
    }

    /// Points so far at which the loss was evaluated, with its gradient or without.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.state.evaluations
    }

    /// One step.
    ///
    /// # Errors
    /// Those of the objective; the search is then as it was before.
    pub fn step(&mut self, objective: &dyn Objective<S>, cancel: &Cancel) -> Result<(), Error> {
        let options = self.state.options;
        let (mut damping, mut radius) = (self.state.damping, self.state.radius);
        let found = match options.method {
            Method::NewtonMr => {
                let bounds = (self.state.first, &mut radius);
                newton::step(objective, &self.point, bounds, &options, cancel)
            }
            Method::SaddleFree => {
                saddle_free::step(objective, &self.point, &mut damping, &options, cancel)
            }
        }?;
        (self.state.damping, self.state.radius) = (damping, radius);
        self.state.products += found.products;
        self.state.evaluations += found.evaluations;
        self.state.ending = found.ending;
        if let Some(point) = found.point {
            self.point = point;
            self.state.loss = self.point.loss;
            self.state.steps.push(Step {
                loss: self.point.loss,
                gradient_norm: self.point.norm,
                length: found.length,
            });
        }
        self.judge();
        Ok(())
    }

    /// Steps until it has ended (true) or `tick`, called after every step, says false.
    ///
    /// # Errors
    /// Those of the objective and of `tick`; the search is as it was after the last whole step.
    pub fn run(
        &mut self,
        objective: &dyn Objective<S>,
        cancel: &Cancel,
        tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let running = |search: &Self| search.ending() == Ending::Running;
        stepped(self, running, |search| search.step(objective, cancel), tick)
    }

    /// Ends the search where the point is good enough or the steps are used up.
    fn judge(&mut self) {
        if self.state.ending != Ending::Running {
            return;
        }
        let critical = self.point.norm <= self.state.options.tolerance;
        // A saddle is critical too; whether it is one takes products, and so a step.
        if critical && self.state.options.method == Method::NewtonMr {
            self.state.ending = Ending::Converged;
        } else if self.state.steps.len() > self.state.options.max_steps {
            self.state.ending = Ending::MaxSteps;
        }
    }
}
