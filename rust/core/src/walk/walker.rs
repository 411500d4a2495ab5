//! The walk: steps along flat directions that preserve the loss.

use serde::{Deserialize, Serialize};

use super::null_space::RitzDecomposition;
use super::options::{WalkOptions, WalkStep};
use crate::critical::Point;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, RecordReader, Resumable, Solver, Status, to_record};
use crate::spectrum::CountedOperator;
use crate::vector::{combine, dot, norm};

/// The random stream of directions, disjoint from those of other users of a seed.
const STREAM: u64 = 1 << 45;
/// A flat part below this share of its vector is rounding.
const MIN_FLAT_SHARE: f64 = 1e-6;
/// The maximum number of halvings of a step, and of random directions.
const MAX_HALVINGS: usize = 30;
const MAX_DIRECTIONS: u64 = 3;
/// A step below this share of the maximum length makes no progress.
const MIN_LENGTH: f64 = 1e-3;
/// By which factor a step may be longer than the last one.
const GROWTH: f64 = 1.5;
/// The number of Newton steps that take a point back to the floor, and the share of the drift that
/// each must leave at most.
const MAX_CORRECTIONS: usize = 8;
const CORRECTED: f64 = 0.5;
/// The share of the tolerance above which the drift of the loss is corrected.
const DRIFT: f64 = 0.25;

/// The state of a walk besides its vectors; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    options: WalkOptions,
    #[serde(rename = "strides")]
    steps: Vec<WalkStep>,
    length: f64,
    /// The number of random directions drawn.
    drawn: u64,
    products: usize,
    evaluations: usize,
    #[serde(rename = "arrival")]
    status: Status,
}

const READER: RecordReader = RecordReader("a walk");

impl State {
    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a walk can be in.
    fn validate(&self) -> Result<(), Error> {
        use Status::{MaxSteps, Reached, Running, Stalled};
        self.options.validate()?;
        READER.require_status(self.status, &[Running, Reached, Stalled, MaxSteps])?;
        READER.require_finite(&[("length", self.length)], 0.0)?;
        READER.require_counts(&[
            ("drawn", self.drawn),
            ("products", self.products as u64),
            ("evaluations", self.evaluations as u64),
        ])?;
        let possible = !self.steps.is_empty() && self.steps.len() - 1 <= self.options.max_steps;
        READER.require("strides", possible)?;
        self.steps.iter().try_for_each(|step| {
            let signed = [("strides", step.loss), ("strides", step.curvature)];
            READER.require_finite(&signed, f64::NEG_INFINITY)?;
            let sizes = [step.distance, step.length, step.scale].map(|size| ("strides", size));
            READER.require_finite(&sizes, 0.0)
        })
    }
}

/// A walk away from a start, along directions of small curvature.
///
/// The direction is the flat part of the last one (of a random one at first): what is left of it
/// without the Ritz vectors of its Krylov space whose |value| exceeds a share of the largest, which is
/// in the null space of H once the space is invariant. A step along it is halved until the loss is
/// within the tolerance of that of the start; where the loss has drifted, a Newton step in the steep
/// directions takes it back.
pub struct Walker<S> {
    /// All points, row-major; the first is the start.
    points: Vec<S>,
    /// The direction of the last step; empty before the first.
    direction: Vec<S>,
    state: State,
}

impl<S: Scalar> Walker<S> {
    /// A walk from θ, where it evaluates the loss.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, [`Error::NonFinite`] where the loss is not
    /// finite, and those of the objective.
    pub fn new(
        objective: &dyn Objective<S>,
        theta: Vec<S>,
        options: WalkOptions,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        options.validate()?;
        require!(
            theta.len() == objective.dim(),
            "got a start of {} entries; pass one of {}",
            theta.len(),
            objective.dim()
        );
        let mut loss = [0.0];
        objective.losses(&theta, &mut loss, cancel)?;
        if !loss[0].is_finite() {
            return Err(Error::NonFinite(format!(
                "the loss is {} at the start; begin where it is finite",
                loss[0]
            )));
        }
        let state = State {
            options,
            steps: vec![WalkStep { loss: loss[0], ..WalkStep::default() }],
            length: options.stride,
            drawn: 0,
            products: 0,
            evaluations: 1,
            status: Status::Running,
        };
        Ok(Self { points: theta, direction: Vec::new(), state })
    }

    /// The walk of a checkpoint, with the arrays `points` and `direction`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a walk.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state: State = checkpoint.parse_record("a walk")?;
        let points = checkpoint.take_vectors("points")?;
        let direction = checkpoint.take_vectors("direction")?;
        state.validate()?;
        require!(
            !points.is_empty()
                && points.len().is_multiple_of(state.steps.len())
                && (direction.is_empty() || direction.len() == points.len() / state.steps.len()),
            "got {} numbers for {} points; pass those of the same walk",
            points.len(),
            state.steps.len()
        );
        READER.require_entries("points", &points)?;
        READER.require_entries("direction", &direction)?;
        Ok(Self { points, direction, state })
    }

    /// All points, row-major (steps + 1, dim).
    #[must_use]
    pub fn points(&self) -> &[S] {
        &self.points
    }

    /// The direction of the last step; empty before the first.
    #[must_use]
    pub fn direction(&self) -> &[S] {
        &self.direction
    }

    /// The start, and the state after every step.
    #[must_use]
    pub fn steps(&self) -> &[WalkStep] {
        &self.state.steps
    }

    /// Hessian products and evaluations of the loss so far.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.state.products, self.state.evaluations)
    }

    fn current(&self) -> &[S] {
        &self.points[self.points.len() - self.dim()..]
    }

    /// θ − θ₀, the displacement from the start.
    fn displacement(&self, theta: &[S]) -> Result<Vec<S>, Error> {
        combine(&[theta, &self.points[..self.dim()]], &[1.0, -1.0])
    }

    /// A flat unit vector: the flat part of the last direction, or of random ones where that vanishes.
    fn choose_direction(
        &self,
        objective: &dyn Objective<S>,
        next: &mut State,
        cancel: &Cancel,
    ) -> Result<Option<(Vec<S>, WalkStep)>, Error> {
        let hessian = objective.curvature_at(self.current())?;
        let mut hessian = CountedOperator::new(&*hessian, cancel, next.products);
        for attempt in 0..=MAX_DIRECTIONS {
            let mut start = self.direction.clone();
            if attempt > 0 || start.is_empty() {
                start = vec![S::default(); self.dim()];
                Gaussian::new(next.options.seed, STREAM + next.drawn).fill(0, &mut start);
                next.drawn += 1;
            }
            let ritz = RitzDecomposition::compute(&start, &mut hessian, next.options.krylov)?;
            next.products = hessian.count();
            let scale = self.state.steps.iter().fold(ritz.scale, |max, step| max.max(step.scale));
            let (flat, curvature) = ritz.flat_part(next.options.flat_tolerance * scale);
            let size = norm(&flat);
            if size > MIN_FLAT_SHARE * norm(&start) {
                let mut unit = combine(&[&flat], &[1.0 / size])?;
                if dot(&self.displacement(self.current())?, &unit)? < 0.0 {
                    unit = combine(&[&unit], &[-1.0])?;
                }
                return Ok(Some((unit, WalkStep { curvature, scale, ..WalkStep::default() })));
            }
        }
        Ok(None)
    }

    /// Takes the current point back to the floor where its loss has drifted, and stalls where it has
    /// not: from the slope of a valley no step is flat, and the floor may lead on.
    fn correct_or_stall(
        &mut self,
        objective: &dyn Objective<S>,
        mut next: State,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let start = next.steps[0].loss;
        let last = next.steps.last().copied().unwrap_or_default();
        let (mut theta, mut loss) = (self.current().to_vec(), last.loss);
        for _ in 0..MAX_CORRECTIONS {
            let before = loss;
            if before <= start {
                break;
            }
            (theta, loss) = correct_drift(objective, theta, loss, last.scale, &mut next, cancel)?;
            if loss - start > CORRECTED * (before - start) {
                break;
            }
        }
        let drifted = last.loss - start;
        let is_corrected = drifted > 0.0 && loss - start <= CORRECTED * drifted;
        if !is_corrected || next.steps.len() > next.options.max_steps {
            self.state = State { status: Status::Stalled, ..next };
            return Ok(());
        }
        let length = norm(&combine(&[&theta, self.current()], &[1.0, -1.0])?);
        let distance = norm(&self.displacement(&theta)?);
        next.length = next.options.stride;
        next.steps.push(WalkStep { loss, distance, length, ..last });
        if next.steps.len() > next.options.max_steps {
            next.status = Status::MaxSteps;
        }
        self.points.extend(theta);
        self.state = next;
        Ok(())
    }

    /// Backtracks along a direction until the loss is within the tolerance: point, loss and length.
    fn line_search(
        &self,
        objective: &dyn Objective<S>,
        unit: &[S],
        next: &mut State,
        cancel: &Cancel,
    ) -> Result<Option<(Vec<S>, f64, f64)>, Error> {
        let displacement = self.displacement(self.current())?;
        let (along, distance) = (dot(&displacement, unit)?, norm(&displacement));
        // The sphere of radius D about the start is met at h² + 2 h (d·v) + |d|² = D².
        let discriminant = next.options.distance.powi(2) - distance * distance + along * along;
        let max_length = discriminant.max(0.0).sqrt() - along;
        let max_loss = next.steps[0].loss + next.options.tolerance;
        let mut length = next.length.min(max_length.max(0.0));
        for _ in 0..MAX_HALVINGS {
            if length <= MIN_LENGTH * next.options.stride {
                return Ok(None);
            }
            let theta = combine(&[self.current(), unit], &[1.0, length])?;
            let mut loss = [0.0];
            objective.losses(&theta, &mut loss, cancel)?;
            next.evaluations += 1;
            // False where the loss is NaN.
            if loss[0] <= max_loss {
                return Ok(Some((theta, loss[0], length)));
            }
            length /= 2.0;
        }
        Ok(None)
    }
}

impl<S: Scalar> Solver for Walker<S> {
    type Scalar = S;
    type Problem<'a> = dyn Objective<S> + 'a;

    fn dim(&self) -> usize {
        self.points.len() / self.state.steps.len()
    }

    fn status(&self) -> Status {
        self.state.status
    }

    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let mut next = self.state.clone();
        let Some((direction, step)) = self.choose_direction(objective, &mut next, cancel)? else {
            return self.correct_or_stall(objective, next, cancel);
        };
        let accepted = self.line_search(objective, &direction, &mut next, cancel)?;
        let Some((theta, loss, length)) = accepted else {
            return self.correct_or_stall(objective, next, cancel);
        };
        let (mut theta, mut loss) = (theta, loss);
        if loss - next.steps[0].loss > DRIFT * next.options.tolerance {
            (theta, loss) = correct_drift(objective, theta, loss, step.scale, &mut next, cancel)?;
        }
        let distance = norm(&self.displacement(&theta)?);
        next.length = (GROWTH * length).min(next.options.stride);
        next.steps.push(WalkStep { loss, distance, length, ..step });
        if distance >= next.options.distance * (1.0 - 1e-6) {
            next.status = Status::Reached;
        } else if next.steps.len() > next.options.max_steps {
            next.status = Status::MaxSteps;
        }
        self.points.extend(theta);
        (self.direction, self.state) = (direction, next);
        Ok(())
    }
}

impl<S: Scalar> Resumable for Walker<S> {
    fn record(&self) -> String {
        to_record(&self.state)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![("points", self.points.clone()), ("direction", self.direction.clone())],
            numbers: Vec::new(),
        }
    }
}

/// The point and its loss after a Newton step in the steep directions, where the step decreases it.
fn correct_drift<S: Scalar>(
    objective: &dyn Objective<S>,
    theta: Vec<S>,
    loss: f64,
    scale: f64,
    next: &mut State,
    cancel: &Cancel,
) -> Result<(Vec<S>, f64), Error> {
    let point = Point::evaluate(objective, theta, cancel)?;
    next.evaluations += 1;
    if point.norm == 0.0 {
        return Ok((point.theta, loss)); // nothing leads down
    }
    let hessian = objective.curvature_at(&point.theta)?;
    let mut hessian = CountedOperator::new(&*hessian, cancel, next.products);
    let ritz = RitzDecomposition::compute(&point.gradient, &mut hessian, next.options.krylov)?;
    (next.products, next.evaluations) = (hessian.count(), next.evaluations + 1);
    let newton = ritz.steep_newton_step(next.options.flat_tolerance * scale.max(ritz.scale));
    let corrected = combine(&[&point.theta, &newton], &[1.0, -1.0])?;
    let mut lower = [0.0];
    objective.losses(&corrected, &mut lower, cancel)?;
    Ok(if lower[0] < loss { (corrected, lower[0]) } else { (point.theta, loss) })
}
