//! Steps that keep the loss.

use serde::{Deserialize, Serialize};

use super::flat::Seen;
use super::outcome::{Arrival, Stride, WalkOptions};
use crate::critical::Point;
use crate::error::{Error, require};
use crate::monitor::{Cancel, stepped};
use crate::objective::Objective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::spectrum::Products;
use crate::vector::{combine, dot, norm};

/// The stream of random directions, apart from those of other users of a seed.
const STREAM: u64 = 1 << 45;
/// A part of a direction that is shorter than this is rounding.
const NOTHING: f64 = 1e-6;
/// Halvings of a step, and new directions, that are tried.
const TRIED: usize = 30;
const DRAWN: u64 = 3;
/// A step that is shorter than this, in units of the longest, leads nowhere.
const SHORTEST: f64 = 1e-3;
/// By how much a step may be longer than the one before it.
const GROWTH: f64 = 1.5;
/// The share of the tolerance from which on a step is corrected.
const DRIFT: f64 = 0.25;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    options: WalkOptions,
    strides: Vec<Stride>,
    length: f64,
    drawn: u64,
    products: usize,
    evaluations: usize,
    arrival: Arrival,
}

/// A walk that owns its points and goes on step by step.
///
/// A direction is what is left of the last one (at first of a random one) without the Ritz vectors of
/// its own Krylov space whose |value| exceeds a share of the largest: exact in the null space once
/// the space is invariant. A step along it is halved until the loss is within the tolerance of the
/// start's; where the loss has drifted, Newton's method takes it back in the steep directions alone.
pub struct Walker<S> {
    /// All points, row-major; the first is the start.
    points: Vec<S>,
    direction: Vec<S>,
    state: State,
}

impl<S: Scalar> Walker<S> {
    /// A walk from a point, where it evaluates the loss.
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
        require!(
            options.distance > 0.0
                && options.tolerance >= 0.0
                && options.stride > 0.0
                && options.flat >= 0.0
                && options.krylov > 0,
            "got {options:?}; pass a distance and a stride above 0, none below 0, krylov from 1"
        );
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
            strides: vec![Stride { loss: loss[0], ..Stride::default() }],
            length: options.stride,
            drawn: 0,
            products: 0,
            evaluations: 1,
            arrival: Arrival::Running,
        };
        Ok(Self { points: theta, direction: Vec::new(), state })
    }

    /// Goes on with what [`record`](Self::record), [`points`](Self::points) and
    /// [`direction`](Self::direction) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is not such a record.
    pub fn resumed(record: &str, points: Vec<S>, direction: Vec<S>) -> Result<Self, Error> {
        let state: State = serde_json::from_str(record).map_err(|error| {
            Error::Invalid(format!("got a text that is no record of a walk: {error}"))
        })?;
        require!(
            points.len().is_multiple_of(state.strides.len()),
            "got {} numbers for {} points; pass those of the same walk",
            points.len(),
            state.strides.len()
        );
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

    /// The number of parameters.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.points.len() / self.state.strides.len()
    }

    /// The start, and what every step has brought.
    #[must_use]
    pub fn strides(&self) -> &[Stride] {
        &self.state.strides
    }

    /// Whether and how it has ended.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        self.state.arrival
    }

    /// Hessian products and losses so far.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.state.products, self.state.evaluations)
    }

    /// Everything but the vectors, as text.
    #[must_use]
    pub fn record(&self) -> String {
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    /// Steps until it has ended (true) or `tick`, called after every step, says false.
    ///
    /// # Errors
    /// Those of the objective and of `tick`; the walk is as it was after the last whole step.
    pub fn run(
        &mut self,
        objective: &dyn Objective<S>,
        cancel: &Cancel,
        tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let running = |walk: &Self| walk.arrival() == Arrival::Running;
        stepped(self, running, |walk| walk.step(objective, cancel), tick)
    }

    /// One step.
    ///
    /// # Errors
    /// Those of the objective; the walk is then as it was before.
    pub fn step(&mut self, objective: &dyn Objective<S>, cancel: &Cancel) -> Result<(), Error> {
        let mut next = self.state.clone();
        let Some((direction, seen)) = self.direct(objective, &mut next, cancel)? else {
            next.arrival = Arrival::Stalled;
            self.state = next;
            return Ok(());
        };
        let found = self.advance(objective, &direction, &mut next, cancel)?;
        let Some((theta, loss, length)) = found else {
            next.arrival = Arrival::Stalled;
            self.state = next;
            return Ok(());
        };
        let (theta, loss) = corrected(objective, theta, loss, seen.scale, &mut next, cancel)?;
        let distance = norm(&self.away(&theta)?);
        next.length = (GROWTH * length).min(next.options.stride);
        next.strides.push(Stride { loss, distance, length, ..seen });
        if distance >= next.options.distance * (1.0 - 1e-6) {
            next.arrival = Arrival::Reached;
        } else if next.strides.len() > next.options.max_steps {
            next.arrival = Arrival::MaxSteps;
        }
        self.points.extend(theta);
        (self.direction, self.state) = (direction, next);
        Ok(())
    }

    fn here(&self) -> &[S] {
        &self.points[self.points.len() - self.dim()..]
    }

    /// The way from the start to a point.
    fn away(&self, theta: &[S]) -> Result<Vec<S>, Error> {
        combine(&[theta, &self.points[..self.dim()]], &[1.0, -1.0])
    }

    /// A flat unit vector, which goes on as the last one where that is possible.
    fn direct(
        &self,
        objective: &dyn Objective<S>,
        next: &mut State,
        cancel: &Cancel,
    ) -> Result<Option<(Vec<S>, Stride)>, Error> {
        let operator = objective.curvature_at(self.here())?;
        let mut products = Products::new(&*operator, cancel, next.products);
        for attempt in 0..=DRAWN {
            let mut wish = self.direction.clone();
            if attempt > 0 || wish.is_empty() {
                wish = vec![S::default(); self.dim()];
                Gaussian::new(next.options.seed, STREAM + next.drawn).fill(0, &mut wish);
                next.drawn += 1;
            }
            let seen = Seen::of(&wish, &mut products, next.options.krylov)?;
            next.products = products.count();
            let scale = self.state.strides.iter().fold(seen.scale, |most, s| most.max(s.scale));
            let (flat, curvature) = seen.flat(next.options.flat * scale);
            let size = norm(&flat);
            if size > NOTHING * norm(&wish) {
                let mut unit = combine(&[&flat], &[1.0 / size])?;
                if dot(&self.away(self.here())?, &unit)? < 0.0 {
                    unit = combine(&[&unit], &[-1.0])?;
                }
                return Ok(Some((unit, Stride { curvature, scale, ..Stride::default() })));
            }
        }
        Ok(None)
    }

    /// The longest step of those tried after which the loss is within the tolerance.
    fn advance(
        &self,
        objective: &dyn Objective<S>,
        unit: &[S],
        next: &mut State,
        cancel: &Cancel,
    ) -> Result<Option<(Vec<S>, f64, f64)>, Error> {
        let away = self.away(self.here())?;
        let (along, far) = (dot(&away, unit)?, norm(&away));
        // Where the sphere of the wanted distance is met: h² + 2 h (d·v) + |d|² = D².
        let room = next.options.distance.powi(2) - far * far + along * along;
        let most = room.max(0.0).sqrt() - along;
        let highest = next.strides[0].loss + next.options.tolerance;
        let mut length = next.length.min(most.max(0.0));
        for _ in 0..TRIED {
            if length <= SHORTEST * next.options.stride {
                return Ok(None);
            }
            let theta = combine(&[self.here(), unit], &[1.0, length])?;
            let mut loss = [0.0];
            objective.losses(&theta, &mut loss, cancel)?;
            next.evaluations += 1;
            // A loss that is NaN is beyond every tolerance.
            if loss[0] <= highest {
                return Ok(Some((theta, loss[0], length)));
            }
            length /= 2.0;
        }
        Ok(None)
    }
}

/// The same point, taken back by Newton's method where the loss has drifted, if that lowers it.
fn corrected<S: Scalar>(
    objective: &dyn Objective<S>,
    theta: Vec<S>,
    loss: f64,
    scale: f64,
    next: &mut State,
    cancel: &Cancel,
) -> Result<(Vec<S>, f64), Error> {
    if loss - next.strides[0].loss <= DRIFT * next.options.tolerance {
        return Ok((theta, loss));
    }
    let here = Point::at(objective, theta, cancel)?;
    let operator = objective.curvature_at(&here.theta)?;
    let mut products = Products::new(&*operator, cancel, next.products);
    let seen = Seen::of(&here.gradient, &mut products, next.options.krylov)?;
    (next.products, next.evaluations) = (products.count(), next.evaluations + 2);
    let steep = seen.steep(next.options.flat * scale.max(seen.scale));
    let back = combine(&[&here.theta, &steep], &[1.0, -1.0])?;
    let mut lower = [0.0];
    objective.losses(&back, &mut lower, cancel)?;
    Ok(if lower[0] < loss { (back, lower[0]) } else { (here.theta, loss) })
}
