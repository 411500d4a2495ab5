//! AutoNEB: nudged elastic bands that are refined where they are too coarse.

mod state;

pub use self::state::AutoNebOptions;
use self::state::State;
use super::history::Evaluation;
use super::neb::{force, tangent};
use super::optimizer::Optimizer;
use super::polyline::{Polyline, require_path_memory, require_same_ends, validate_ends};
use super::refinement::{LossProfile, NewPivot};
use super::schedule::Cycle;
use crate::batch_sampler::{BatchSampler, require_batches, require_same_batches};
use crate::error::Error;
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::objective::BatchedObjective;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, Resumable, Solver, Status};

/// The decay of the moving average of a pivot's energy over the losses of mini-batches.
const ENERGY_DECAY: f64 = 0.9;

/// A nudged elastic band between two minima.
///
/// Evaluations and cycles of relaxation alternate, and an evaluation is last. An evaluation computes
/// the loss along the whole band on all data: it records the best band so far, and inserts pivots
/// where the loss rises above the linear interpolation between two of them. In a cycle the pivots move
/// along the force perpendicular to the band, each on a mini-batch of its own.
///
/// # Reference
/// Draxler, Veschgini, Salmhofer, Hamprecht (2018), *Essentially no barriers in neural network
/// energy landscape*, algorithm 1; Kolsbjerg, Groves, Hammer (2016), *An automated nudged elastic
/// band method*.
pub struct AutoNeb<S> {
    band: Polyline<S>,
    /// The band before the last step, whose losses are finite.
    last_finite: Polyline<S>,
    best: Polyline<S>,
    optimizer: Optimizer<S>,
    sampler: BatchSampler,
    state: State,
}

impl<S: Scalar> AutoNeb<S> {
    /// The straight band from `first` to `last`; nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the ends do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        first: &[S],
        last: &[S],
        options: AutoNebOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        validate_ends(objective.dim(), first, last)?;
        require_path_memory::<S>(options.pivots, first.len())?;
        require_evaluation::<S>(options.pivots, options.between, first.len())?;
        let band = Polyline::straight(first, last, options.pivots)?;
        let batches = require_batches(objective)?;
        Ok(Self {
            last_finite: band.clone(),
            best: band.clone(),
            optimizer: Optimizer::new(options.optimizer, band.interior().len()),
            sampler: BatchSampler::new(options.seed, batches),
            state: State::new(options, batches),
            band,
        })
    }

    /// The band of a checkpoint, with the arrays `band`, `best` and `memory`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a band.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state = State::from_checkpoint(&checkpoint)?;
        let band = Polyline::new(checkpoint.take_vectors("band")?, checkpoint.dim)?;
        let best = Polyline::new(checkpoint.take_vectors("best")?, checkpoint.dim)?;
        state.validate(band.count())?;
        require_same_ends(&band, &best)?;
        require_evaluation::<S>(band.count(), state.options.between, band.dim())?;
        let (kind, entries) = (state.options.optimizer, band.interior().len());
        let moments = checkpoint.take_vectors("memory")?;
        Ok(Self {
            last_finite: band.clone(),
            best,
            optimizer: Optimizer::resume(kind, entries, &moments, state.optimizer_steps)?,
            sampler: BatchSampler::new(state.options.seed, state.batches),
            state,
            band,
        })
    }

    /// The current band.
    #[must_use]
    pub fn band(&self) -> &Polyline<S> {
        &self.band
    }

    /// The band with the lowest maximal loss of all evaluations.
    #[must_use]
    pub fn best(&self) -> &Polyline<S> {
        &self.best
    }

    /// The evaluations on all data.
    #[must_use]
    pub fn history(&self) -> &[Evaluation] {
        &self.state.history
    }

    /// Steps so far, of all cycles.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The highest energy of the pivots minus that of the higher end.
    #[must_use]
    pub fn barrier(&self) -> f64 {
        self.state.barrier()
    }

    /// The largest norm, over the pivots, of the force perpendicular to the band.
    #[must_use]
    pub fn force(&self) -> f64 {
        self.state.force
    }

    /// The moments of the optimizer, as one vector.
    #[must_use]
    pub fn optimizer_state(&self) -> Vec<S> {
        self.optimizer.state().0
    }

    /// Evaluations of the loss on all data, and gradients on single batches.
    #[must_use]
    pub fn evaluations(&self) -> (usize, usize) {
        (self.state.losses, self.state.gradients)
    }

    /// Evaluates the current band on all data, so that [`best`](Self::best) includes it.
    ///
    /// # Errors
    /// Those of the objective, and [`Error::NonFinite`].
    pub fn evaluate(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.evaluate_losses(objective, cancel).map(|_| ())
    }

    /// The losses at the pivots, then those between them, on all data.
    fn evaluate_losses(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<Vec<f64>, Error> {
        cancel.check()?;
        let count = self.band.count();
        let between = self.state.options.between;
        let mut losses = vec![0.0; count + (count - 1) * between];
        let (pivots, others) = losses.split_at_mut(count);
        objective.losses(self.band.rows(), pivots, cancel)?;
        // One segment at a time: all points together would take many times the memory of the band.
        for (segment, losses) in others.chunks_mut(between).enumerate() {
            objective.losses(&self.band.subdivide(segment, between)?, losses, cancel)?;
        }
        if let Some(index) = losses.iter().position(|loss| !loss.is_finite()) {
            let location = if index < count {
                format!("pivot {index} of {count}")
            } else {
                let segment = (index - count) / self.state.options.between.max(1);
                format!("the segment from pivot {segment} to {} of {count}", segment + 1)
            };
            let loss = losses[index];
            self.restore_last_finite();
            return Err(self.state.non_finite_error(&location, loss));
        }
        let max_loss = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.state.lowest_max_loss.is_none_or(|lowest| max_loss < lowest) {
            self.best = self.band.clone();
            self.state.lowest_max_loss = Some(max_loss);
        }
        self.state.record_evaluation(&losses[..count], max_loss);
        Ok(losses)
    }

    /// Inserts pivots and starts the next cycle, or terminates.
    fn refine(&mut self, losses: &[f64]) -> Result<(), Error> {
        let options = &self.state.options;
        let (pivots, between) = losses.split_at(self.band.count());
        let max_new = options.max_pivots.saturating_sub(self.band.count() - 2);
        let new = LossProfile { pivots, between }.find_new_pivots(options.insertion, max_new);
        self.state.update_status(self.state.converged && new.is_empty());
        if self.state.status != Status::Running {
            return Ok(());
        }
        let energies = insert_energies(pivots, &new);
        self.band = self.band.insert(&new)?;
        self.last_finite = self.band.clone();
        self.reset_optimizer();
        self.state.start_cycle(energies);
        Ok(())
    }

    /// One step of all pivots.
    fn relax(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cycle: Cycle,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let dim = self.band.dim();
        let inner = self.band.count() - 2;
        let batches = self.sampler.take(self.state.drawn, inner);
        let mut losses = vec![0.0; inner];
        let mut gradients = vec![S::default(); inner * dim];
        let pivots = self.band.interior();
        objective.gradients_on(pivots, &batches, &mut losses, &mut gradients, cancel)?;
        let decay = if self.state.batches > 1 { ENERGY_DECAY } else { 0.0 };
        let energies = self.state.average_energies(&losses, decay);
        let climbing = self.state.climbing_pivot(&energies);
        let springs = self.spring_forces()?;
        let (mut forces, mut max_force) = (Vec::with_capacity(gradients.len()), 0.0_f64);
        for (index, gradient) in gradients.chunks(dim).enumerate() {
            let pivot = index + 1;
            let along = tangent(&self.band, &energies, pivot)?;
            let climbs = climbing == Some(pivot);
            let (total, perpendicular) = force(&along, gradient, springs[index], climbs)?;
            if !(losses[index].is_finite() && perpendicular.is_finite()) {
                let location = format!("pivot {pivot} of {}", self.band.count());
                self.restore_last_finite();
                return Err(self.state.non_finite_error(&location, losses[index]));
            }
            forces.extend(total);
            max_force = max_force.max(perpendicular);
        }
        self.last_finite = self.band.clone();
        self.optimizer.step(self.band.interior_mut(), &forces, cycle.rate);
        if self.state.options.spring.is_none() {
            self.band.equalise(climbing)?;
        }
        self.state.record_step(energies, max_force, inner);
        Ok(())
    }

    /// The spring force on each inner pivot along the band; 0 without springs.
    fn spring_forces(&self) -> Result<Vec<f64>, Error> {
        let Some(stiffness) = self.state.options.spring else {
            return Ok(vec![0.0; self.band.count() - 2]);
        };
        let lengths = self.band.lengths()?;
        Ok(lengths.windows(2).map(|sides| stiffness * (sides[1] - sides[0])).collect())
    }

    fn restore_last_finite(&mut self) {
        self.band = self.last_finite.clone();
        self.reset_optimizer();
    }

    fn reset_optimizer(&mut self) {
        let entries = self.band.interior().len();
        self.optimizer = Optimizer::new(self.state.options.optimizer, entries);
    }
}

impl<S: Scalar> Solver for AutoNeb<S> {
    type Scalar = S;
    type Problem<'a> = dyn BatchedObjective<S> + 'a;

    fn dim(&self) -> usize {
        self.band.dim()
    }

    fn status(&self) -> Status {
        self.state.status
    }

    fn accept(&self, objective: &Self::Problem<'_>) -> Result<(), Error> {
        require_same_batches(self.dim(), objective, self.state.batches)
    }

    /// One evaluation, or one step of all pivots. After [`Error::NonFinite`] the band is the last one
    /// whose losses were finite.
    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        match self.state.cycle() {
            Some(cycle) if self.state.relaxing => self.relax(objective, cycle, cancel),
            _ => {
                let losses = self.evaluate_losses(objective, cancel)?;
                self.refine(&losses)
            }
        }
    }
}

impl<S: Scalar> Resumable for AutoNeb<S> {
    fn record(&self) -> String {
        self.state.to_record(self.optimizer.state().1)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("band", self.band.rows().to_vec()),
                ("best", self.best.rows().to_vec()),
                ("memory", self.optimizer_state()),
            ],
            numbers: Vec::new(),
        }
    }
}

/// # Errors
/// [`Error::Memory`] where the points of an evaluation do not fit into memory.
fn require_evaluation<S: Scalar>(pivots: usize, between: usize, dim: usize) -> Result<(), Error> {
    let what = format!("an evaluation with {between} points between two pivots");
    require_memory::<S>(&what, &[between, dim])?;
    require_memory::<f64>(&what, &[pivots.saturating_add(2), between.saturating_add(1)]).map(drop)
}

/// The energies of the pivots, with those of the new ones between them.
fn insert_energies(pivots: &[f64], new: &[NewPivot]) -> Vec<f64> {
    let after = |index| new.iter().filter(move |pivot| pivot.segment == index);
    let with_new =
        |(index, &loss)| std::iter::once(loss).chain(after(index).map(|pivot| pivot.loss));
    pivots.iter().enumerate().flat_map(with_new).collect()
}
