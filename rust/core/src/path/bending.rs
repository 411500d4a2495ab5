//! Control points that descend under uniformly drawn points of their curve.

mod state;

pub use self::state::BendingOptions;
use self::state::State;
use super::autoneb::Look;
use super::chain::{Chain, check_ends};
use super::descent::Descent;
use super::draw::Draw;
use super::outcome::{Cycle, Ending};
use crate::error::Error;
use crate::monitor::{Cancel, stepped};
use crate::objective::BatchedObjective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// The stream of the drawn parameters, apart from those of batches, directions and probes.
const STREAM: u64 = 1 << 41;

/// Points of a look that are held at once.
const TOGETHER: usize = 8;

/// A curve between two minima whose inner control points minimise E L(θ(t)), t uniform on [0, 1].
///
/// θ(t) = Σⱼ cⱼ(t) Pⱼ is linear in its control points, so that ∂L/∂Pⱼ = cⱼ(t) ∇L(θ(t)). A step draws
/// one t in each of several equal parts of [0, 1], each with a batch of its own.
///
/// # Reference
/// Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), *Loss surfaces, mode connectivity, and fast
/// ensembling of DNNs*, section 3 and equation 2.
pub struct Bending<S> {
    control: Chain<S>,
    good: Chain<S>,
    best: Chain<S>,
    descent: Descent<S>,
    draw: Draw,
    state: State,
}

impl<S: Scalar> Bending<S> {
    /// The straight segment from `first` to `last`, its control points at equal distances; nothing
    /// is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the ends do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        first: &[S],
        last: &[S],
        options: BendingOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        check_ends(objective.dim(), first, last)?;
        let (control, batches) =
            (Chain::straight(first, last, options.bends)?, objective.batches()?);
        Ok(Self {
            good: control.clone(),
            best: control.clone(),
            descent: Descent::new(options.rule, control.interior().len()),
            draw: Draw::new(options.seed, batches),
            state: State::new(options, batches),
            control,
        })
    }

    /// Goes on with what [`record`](Self::record), [`control`](Self::control), [`best`](Self::best)
    /// and [`memory`](Self::memory) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they do not belong together.
    pub fn resumed(
        record: &str,
        dim: usize,
        control: Vec<S>,
        best: Vec<S>,
        memory: &[S],
    ) -> Result<Self, Error> {
        let state = State::read(record)?;
        let control = Chain::new(control, dim)?;
        let entries = control.interior().len();
        Ok(Self {
            good: control.clone(),
            best: Chain::new(best, dim)?,
            descent: Descent::resumed(state.options.rule, entries, memory, state.moves)?,
            draw: Draw::new(state.options.seed, state.batches),
            state,
            control,
        })
    }

    /// The control points, where they are.
    #[must_use]
    pub fn control(&self) -> &Chain<S> {
        &self.control
    }

    /// Those of the curve whose highest loss was the lowest, of all that were looked at.
    #[must_use]
    pub fn best(&self) -> &Chain<S> {
        &self.best
    }

    /// The optimiser's memory, as one vector.
    #[must_use]
    pub fn memory(&self) -> Vec<S> {
        self.descent.state().0
    }

    /// Everything else, as text.
    #[must_use]
    pub fn record(&self) -> String {
        self.state.text(self.descent.state().1)
    }

    /// Whether and how it has ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.state.ending
    }

    /// What every look has found.
    #[must_use]
    pub fn looks(&self) -> &[Look] {
        &self.state.looks
    }

    /// Steps so far, of all cycles.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The highest loss of the last look, less that of the higher end.
    #[must_use]
    pub fn barrier(&self) -> f64 {
        self.state.barrier
    }

    /// The norm of the last step's gradient.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.state.slope
    }

    /// Points at which the loss of all data was evaluated, and gradients of single batches.
    #[must_use]
    pub fn evaluations(&self) -> (usize, usize) {
        (self.state.losses, self.state.gradients)
    }

    /// One look, or one step.
    ///
    /// # Errors
    /// Those of the objective, after which it is as it was before, and [`Error::NonFinite`], after
    /// which the control points are the last ones whose losses were finite.
    pub fn step(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        match self.state.cycle() {
            Some(cycle) if self.state.descending => self.descend(objective, cycle, cancel),
            _ => {
                self.settle(objective, cancel)?;
                if !self.state.begin() {
                    let entries = self.control.interior().len();
                    self.descent = Descent::new(self.state.options.rule, entries);
                }
                Ok(())
            }
        }
    }

    /// Steps until it has ended (true) or `tick`, called after every step, says false.
    ///
    /// # Errors
    /// Those of the objective and of `tick`.
    pub fn run(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
        tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let running = |search: &Self| search.ending() == Ending::Running;
        stepped(self, running, |search| search.step(objective, cancel), tick)
    }

    /// Looks at the curve where it is, on all data, so that [`best`](Self::best) knows of it.
    ///
    /// # Errors
    /// Those of the objective, and [`Error::NonFinite`].
    pub fn settle(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        // Every bend of a polygonal chain is among the places, whose number is kept or rounded up.
        let segments = self.control.count() - 1;
        let count = (self.state.options.between + 1).next_multiple_of(segments) + 1;
        let places: Vec<_> = (0..count).map(|i| i as f64 / (count - 1) as f64).collect();
        let mut losses = vec![0.0; count];
        for (few, found) in places.chunks(TOGETHER).zip(losses.chunks_mut(TOGETHER)) {
            objective.losses(&self.points(few)?, found, cancel)?;
        }
        if let Some(place) = losses.iter().position(|loss| !loss.is_finite()) {
            let (t, loss) = (places[place], losses[place]);
            self.retreat();
            return Err(self.state.not_finite(t, loss));
        }
        let highest = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.state.best.is_none_or(|best| highest < best) {
            self.best = self.control.clone();
            self.state.best = Some(highest);
        }
        self.state.seen(highest, highest - losses[0].max(losses[count - 1]), count);
        Ok(())
    }

    fn descend(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cycle: Cycle,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let (dim, draws) = (self.control.dim(), self.state.options.draws);
        let places = self.places();
        let batches = self.draw.take(self.state.drawn, draws);
        let mut losses = vec![0.0; draws];
        let mut gradients = vec![S::default(); draws * dim];
        let points = self.points(&places)?;
        objective.gradients_on(&points, &batches, &mut losses, &mut gradients, cancel)?;
        let rows: Vec<_> = gradients.chunks(dim).collect();
        let unsound = |i: &usize| !(losses[*i].is_finite() && norm(rows[*i]).is_finite());
        if let Some(place) = (0..draws).find(unsound) {
            let error = self.state.not_finite(places[place], losses[place]);
            self.retreat();
            return Err(error);
        }
        let count = self.control.count();
        let weights: Vec<_> = places.iter().map(|&t| self.coefficients(t)).collect();
        let mut forces = Vec::with_capacity(self.control.interior().len());
        for point in 1..count - 1 {
            let share = |c: &Vec<f64>| -c[point] / draws as f64;
            forces.extend(combine(&rows, &weights.iter().map(share).collect::<Vec<_>>())?);
        }
        self.good = self.control.clone();
        self.descent.step(self.control.interior_mut(), &forces, cycle.rate);
        self.state.moved(norm(&forces));
        Ok(())
    }

    /// One parameter in each equal part of [0, 1].
    fn places(&self) -> Vec<f64> {
        let draws = self.state.options.draws;
        let stream = Gaussian::new(self.state.options.seed, STREAM);
        let within = |i: usize| stream.uniforms(self.state.drawn + i as u64)[1];
        (0..draws).map(|i| (i as f64 + within(i)) / draws as f64).collect()
    }

    fn coefficients(&self, t: f64) -> Vec<f64> {
        self.state.options.kind.coefficients(self.control.count(), t)
    }

    /// Points of the curve, row-major.
    fn points(&self, places: &[f64]) -> Result<Vec<S>, Error> {
        let rows: Vec<_> = (0..self.control.count()).map(|i| self.control.row(i)).collect();
        let mut points = Vec::with_capacity(places.len() * self.control.dim());
        for &t in places {
            points.extend(combine(&rows, &self.coefficients(t))?);
        }
        Ok(points)
    }

    fn retreat(&mut self) {
        self.control = self.good.clone();
        self.descent = Descent::new(self.state.options.rule, self.control.interior().len());
    }
}
