//! The solver for critical points: steps of Newton-MR or of saddle-free Newton.

use serde::{Deserialize, Serialize};

use super::newton_mr;
use super::options::{Method, SearchOptions, Step};
use super::point::Point;
use super::saddle_free;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, RecordReader, Resumable, Solver, Status, to_record};
use crate::vector::norm;

/// The damping of the first saddle-free step, in units of the largest |Ritz value|.
const INITIAL_DAMPING: f64 = 1e-3;
/// The trust radius of the first step of Newton-MR, in units of max(1, ‖θ‖).
const INITIAL_RADIUS: f64 = 1.0;

/// The state of a search besides its vectors; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    options: SearchOptions,
    loss: f64,
    #[serde(rename = "first")]
    initial_norm: f64,
    /// The damping of the last saddle-free step.
    damping: f64,
    /// The trust radius of the next step of Newton-MR.
    radius: f64,
    steps: Vec<Step>,
    products: usize,
    evaluations: usize,
    #[serde(rename = "ending")]
    status: Status,
}

const READER: RecordReader = RecordReader("a search");

impl State {
    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a search can be in.
    fn validate(&self) -> Result<(), Error> {
        use Status::{Converged, Flat, MaxSteps, Running, Stalled};
        self.options.validate()?;
        READER.require_status(self.status, &[Running, Converged, Flat, Stalled, MaxSteps])?;
        READER.require_finite(&[("loss", self.loss)], f64::NEG_INFINITY)?;
        READER.require_finite(&[("first", self.initial_norm), ("damping", self.damping)], 0.0)?;
        READER.require("radius", self.radius.is_finite() && self.radius > 0.0)?;
        READER.require_counts(&[
            ("products", self.products as u64),
            ("evaluations", self.evaluations as u64),
        ])?;
        let agrees = self.steps.last().is_some_and(|step| step.loss == self.loss);
        let possible = agrees && self.steps.len() - 1 <= self.options.max_steps;
        READER.require("steps", possible)?;
        self.steps.iter().try_for_each(|step| {
            READER.require_finite(&[("steps", step.loss)], f64::NEG_INFINITY)?;
            READER.require_finite(&[("steps", step.gradient_norm), ("steps", step.length)], 0.0)
        })
    }
}

/// A search for a critical point from a given start.
pub struct Search<S> {
    point: Point<S>,
    state: State,
}

impl<S: Scalar> Search<S> {
    /// A search from θ, where it evaluates the loss and its gradient.
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
        options.validate()?;
        require!(
            theta.len() == objective.dim(),
            "got a start of {} entries; pass one of {}",
            theta.len(),
            objective.dim()
        );
        let point = Point::evaluate(objective, theta, cancel)?.require_finite()?;
        let state = State {
            options,
            loss: point.loss,
            initial_norm: point.norm,
            damping: INITIAL_DAMPING,
            radius: INITIAL_RADIUS * norm(&point.theta).max(1.0),
            steps: vec![Step { loss: point.loss, gradient_norm: point.norm, length: 0.0 }],
            products: 0,
            evaluations: 1,
            status: Status::Running,
        };
        let mut search = Self { point, state };
        search.update_status();
        Ok(search)
    }

    /// The search of a checkpoint, with the arrays `theta` and `gradient`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a search.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state: State = checkpoint.parse_record("a search")?;
        let theta = checkpoint.take_vectors("theta")?;
        let gradient = checkpoint.take_vectors("gradient")?;
        require!(
            theta.len() == gradient.len() && !theta.is_empty(),
            "got {} parameters and {} derivatives; pass one for each",
            theta.len(),
            gradient.len()
        );
        state.validate()?;
        READER.require_entries("theta", &theta)?;
        READER.require_entries("gradient", &gradient)?;
        Ok(Self { point: Point::from_parts(theta, state.loss, gradient), state })
    }

    /// The current point.
    #[must_use]
    pub fn point(&self) -> &Point<S> {
        &self.point
    }

    /// The start, and the state after every step.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.state.steps
    }

    /// Hessian products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.state.products
    }

    /// Evaluations of the loss so far, with or without its gradient.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.state.evaluations
    }

    /// Terminates where the point is critical or no step is left.
    fn update_status(&mut self) {
        if self.state.status != Status::Running {
            return;
        }
        let critical = self.point.norm <= self.state.options.tolerance;
        // Saddle-free Newton does not stop at a saddle; whether it is one costs products, and a step.
        if critical && self.state.options.method == Method::NewtonMr {
            self.state.status = Status::Converged;
        } else if self.state.steps.len() > self.state.options.max_steps {
            self.state.status = Status::MaxSteps;
        }
    }
}

impl<S: Scalar> Solver for Search<S> {
    type Scalar = S;
    type Problem<'a> = dyn Objective<S> + 'a;

    fn dim(&self) -> usize {
        self.point.theta.len()
    }

    fn status(&self) -> Status {
        self.state.status
    }

    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let options = self.state.options;
        let (mut damping, mut radius) = (self.state.damping, self.state.radius);
        let result = match options.method {
            Method::NewtonMr => {
                let scales = (self.state.initial_norm, &mut radius);
                newton_mr::step(objective, &self.point, scales, &options, cancel)
            }
            Method::SaddleFree => {
                saddle_free::step(objective, &self.point, &mut damping, &options, cancel)
            }
        }?;
        (self.state.damping, self.state.radius) = (damping, radius);
        self.state.products += result.products;
        self.state.evaluations += result.evaluations;
        self.state.status = result.status;
        if let Some(point) = result.point {
            self.point = point;
            self.state.loss = self.point.loss;
            self.state.steps.push(Step {
                loss: self.point.loss,
                gradient_norm: self.point.norm,
                length: result.length,
            });
        }
        self.update_status();
        Ok(())
    }
}

impl<S: Scalar> Resumable for Search<S> {
    fn record(&self) -> String {
        to_record(&self.state)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("theta", self.point.theta.clone()),
                ("gradient", self.point.gradient.clone()),
            ],
            numbers: Vec::new(),
        }
    }
}
