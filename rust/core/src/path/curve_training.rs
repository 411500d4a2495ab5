//! Curve training: control points that minimise the mean loss along their curve.

mod state;

pub use self::state::CurveTrainingOptions;
use self::state::State;
use super::history::Evaluation;
use super::optimizer::Optimizer;
use super::polyline::{Polyline, require_path_memory, require_same_ends, validate_ends};
use super::schedule::Cycle;
use crate::batch_sampler::{BatchSampler, require_batches, require_same_batches};
use crate::error::Error;
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::objective::BatchedObjective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, Resumable, Solver, Status};
use crate::vector::{combine, norm};

/// The random stream of sampled points, disjoint from those of batches, directions and probes.
const STREAM: u64 = 1 << 41;

/// Points of an evaluation that are in memory together.
const CHUNK: usize = 8;

/// A curve between two minima whose inner control points minimise E L(θ(t)), t uniform on [0, 1].
///
/// θ(t) = Σⱼ cⱼ(t) Pⱼ is linear in the control points, so ∂L/∂Pⱼ = cⱼ(t) ∇L(θ(t)). A step samples t
/// by strata, one in each of several equal parts of [0, 1], each on a mini-batch of its own.
/// Evaluations on all data and cycles of steps alternate, and an evaluation is last.
///
/// # Reference
/// Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), *Loss surfaces, mode connectivity, and fast
/// ensembling of DNNs*, section 3 and equation 2.
pub struct CurveTraining<S> {
    control: Polyline<S>,
    /// The control points before the last step, where losses are finite.
    last_finite: Polyline<S>,
    best: Polyline<S>,
    optimizer: Optimizer<S>,
    sampler: BatchSampler,
    state: State,
}

impl<S: Scalar> CurveTraining<S> {
    /// The straight segment from `first` to `last`, with equally spaced control points; nothing is
    /// evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the ends do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        first: &[S],
        last: &[S],
        options: CurveTrainingOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        validate_ends(objective.dim(), first, last)?;
        require_path_memory::<S>(options.bends, first.len())?;
        require_steps::<S>(&options, first.len())?;
        let control = Polyline::straight(first, last, options.bends)?;
        let batches = require_batches(objective)?;
        Ok(Self {
            last_finite: control.clone(),
            best: control.clone(),
            optimizer: Optimizer::new(options.optimizer, control.interior().len()),
            sampler: BatchSampler::new(options.seed, batches),
            state: State::new(options, batches),
            control,
        })
    }

    /// The curve of a checkpoint, with the arrays `control`, `best` and `memory`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a curve.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state: State = checkpoint.parse_record("a curve")?;
        let control = Polyline::new(checkpoint.take_vectors("control")?, checkpoint.dim)?;
        let best = Polyline::new(checkpoint.take_vectors("best")?, checkpoint.dim)?;
        state.validate(control.count())?;
        require_same_ends(&control, &best)?;
        require_steps::<S>(&state.options, control.dim())?;
        let (kind, entries) = (state.options.optimizer, control.interior().len());
        let moments = checkpoint.take_vectors("memory")?;
        Ok(Self {
            last_finite: control.clone(),
            best,
            optimizer: Optimizer::resume(kind, entries, &moments, state.optimizer_steps)?,
            sampler: BatchSampler::new(state.options.seed, state.batches),
            state,
            control,
        })
    }

    /// The current control points, ends included.
    #[must_use]
    pub fn control(&self) -> &Polyline<S> {
        &self.control
    }

    /// The control points of the curve with the lowest maximal loss of all evaluations.
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

    /// The highest loss of the last evaluation minus that of the higher end.
    #[must_use]
    pub fn barrier(&self) -> f64 {
        self.state.barrier
    }

    /// The norm of the last step's gradient.
    #[must_use]
    pub fn gradient_norm(&self) -> f64 {
        self.state.gradient_norm
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

    /// Evaluates the current curve on all data, so that [`best`](Self::best) includes it.
    ///
    /// # Errors
    /// Those of the objective, and [`Error::NonFinite`].
    pub fn evaluate(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        // The number of intervals is rounded up to a multiple of the segments of a polygonal chain, so
        // that its corners are evaluated.
        let segments = self.control.count() - 1;
        let count = (self.state.options.between + 1).next_multiple_of(segments) + 1;
        let parameters: Vec<_> = (0..count).map(|i| i as f64 / (count - 1) as f64).collect();
        let mut losses = vec![0.0; count];
        for (parameters, losses) in parameters.chunks(CHUNK).zip(losses.chunks_mut(CHUNK)) {
            objective.losses(&self.points(parameters)?, losses, cancel)?;
        }
        if let Some(index) = losses.iter().position(|loss| !loss.is_finite()) {
            self.restore_last_finite();
            return Err(self.state.non_finite_error(parameters[index], losses[index]));
        }
        let max_loss = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.state.lowest_max_loss.is_none_or(|lowest| max_loss < lowest) {
            self.best = self.control.clone();
            self.state.lowest_max_loss = Some(max_loss);
        }
        let barrier = max_loss - losses[0].max(losses[count - 1]);
        self.state.record_evaluation(max_loss, barrier, count);
        Ok(())
    }

    /// One step of stochastic gradient descent.
    fn descend(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cycle: Cycle,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let (dim, draws) = (self.control.dim(), self.state.options.draws);
        let parameters = self.sample_parameters();
        let batches = self.sampler.take(self.state.drawn, draws);
        let mut losses = vec![0.0; draws];
        let mut gradients = vec![S::default(); draws * dim];
        let points = self.points(&parameters)?;
        objective.gradients_on(&points, &batches, &mut losses, &mut gradients, cancel)?;
        let rows: Vec<_> = gradients.chunks(dim).collect();
        let not_finite = |i: &usize| !(losses[*i].is_finite() && norm(rows[*i]).is_finite());
        if let Some(index) = (0..draws).find(not_finite) {
            self.restore_last_finite();
            return Err(self.state.non_finite_error(parameters[index], losses[index]));
        }
        let coefficients: Vec<_> = parameters.iter().map(|&t| self.coefficients(t)).collect();
        let mut forces = Vec::with_capacity(self.control.interior().len());
        for point in 1..self.control.count() - 1 {
            let weight = |c: &Vec<f64>| -c[point] / draws as f64;
            forces.extend(combine(&rows, &coefficients.iter().map(weight).collect::<Vec<_>>())?);
        }
        self.last_finite = self.control.clone();
        self.optimizer.step(self.control.interior_mut(), &forces, cycle.rate);
        self.state.record_step(norm(&forces));
        Ok(())
    }

    /// One random t in each of `draws` equal parts of [0, 1].
    fn sample_parameters(&self) -> Vec<f64> {
        let draws = self.state.options.draws;
        let stream = Gaussian::new(self.state.options.seed, STREAM);
        let uniform = |i: usize| stream.uniforms(self.state.drawn + i as u64)[1];
        (0..draws).map(|i| (i as f64 + uniform(i)) / draws as f64).collect()
    }

    fn coefficients(&self, t: f64) -> Vec<f64> {
        self.state.options.kind.coefficients(self.control.count(), t)
    }

    /// The points θ(t), row-major.
    fn points(&self, parameters: &[f64]) -> Result<Vec<S>, Error> {
        let rows: Vec<_> = (0..self.control.count()).map(|i| self.control.row(i)).collect();
        let mut points = Vec::with_capacity(parameters.len() * self.control.dim());
        for &t in parameters {
            points.extend(combine(&rows, &self.coefficients(t))?);
        }
        Ok(points)
    }

    fn restore_last_finite(&mut self) {
        self.control = self.last_finite.clone();
        self.reset_optimizer();
    }

    fn reset_optimizer(&mut self) {
        let entries = self.control.interior().len();
        self.optimizer = Optimizer::new(self.state.options.optimizer, entries);
    }
}

impl<S: Scalar> Solver for CurveTraining<S> {
    type Scalar = S;
    type Problem<'a> = dyn BatchedObjective<S> + 'a;

    fn dim(&self) -> usize {
        self.control.dim()
    }

    fn status(&self) -> Status {
        self.state.status
    }

    fn accept(&self, objective: &Self::Problem<'_>) -> Result<(), Error> {
        require_same_batches(self.dim(), objective, self.state.batches)
    }

    /// One evaluation, or one step of all control points. After [`Error::NonFinite`] these are the last
    /// ones whose losses were finite.
    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        match self.state.cycle() {
            Some(cycle) if self.state.descending => self.descend(objective, cycle, cancel),
            _ => {
                self.evaluate(objective, cancel)?;
                self.state.start_cycle();
                if self.state.status == Status::Running {
                    self.reset_optimizer();
                }
                Ok(())
            }
        }
    }
}

impl<S: Scalar> Resumable for CurveTraining<S> {
    fn record(&self) -> String {
        self.state.to_record(self.optimizer.state().1)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("control", self.control.rows().to_vec()),
                ("best", self.best.rows().to_vec()),
                ("memory", self.optimizer_state()),
            ],
            numbers: Vec::new(),
        }
    }
}

/// # Errors
/// [`Error::Memory`] where the points of a step or of an evaluation do not fit into memory.
fn require_steps<S: Scalar>(options: &CurveTrainingOptions, dim: usize) -> Result<(), Error> {
    let CurveTrainingOptions { bends, draws, between, .. } = options;
    let what = format!("a step with {draws} draws");
    require_memory::<S>(&what, &[*draws, 2, dim])?;
    require_memory::<f64>(&what, &[*draws, bends.saturating_add(3)])?;
    let what = format!("an evaluation at {between} points of a curve of {bends} bends");
    require_memory::<f64>(&what, &[between.saturating_add(bends.saturating_add(3)), 2]).map(drop)
}
