//! Simplex training: connecting points of simplices with low loss and large volume.

mod state;

pub use self::state::SimplexTrainingOptions;
use self::state::State;
use super::optimizer::Optimizer;
use super::simplicial_complex::{SimplicialComplex, simplex_weights};
use crate::batch_sampler::{BatchSampler, require_batches, require_same_batches};
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::objective::BatchedObjective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, Resumable, Solver, Status};
use crate::vector::{combine, norm};

/// The random streams of barycentric coordinates, one a connecting point, disjoint from those of
/// batches and curves.
const WEIGHT_STREAMS: u64 = 1 << 42;
/// The random streams of starts.
const START_STREAMS: u64 = 1 << 43;

/// A simplicial complex through minima, whose connecting points are trained one after the other.
///
/// A connecting point minimises E L(θ) − λⱼ log V(K), θ uniform in the simplices, all of equal weight;
/// those before it are fixed. λⱼ = λ* / max(1, |log V(K)|) with the volume at its start, because log V
/// grows with the number of dimensions and would outweigh the loss. The first one between several
/// minima has λ = 0, since the simplices are segments there.
///
/// # Reference
/// Benton, Maddox, Lotfi, Wilson (2021), *Loss surface simplexes for mode connecting volumes and
/// fast ensembling*, section 4. There λⱼ = λ* / log V(K), which changes its sign at a volume of 1.
pub struct SimplexTraining<S> {
    complex: SimplicialComplex<S>,
    /// The last vertex before the last step, where losses are finite.
    last_finite: Vec<S>,
    optimizer: Optimizer<S>,
    sampler: BatchSampler,
    state: State,
}

impl<S: Scalar> SimplexTraining<S> {
    /// The minima, row-major (minima, dim), without a connecting point; nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the minima do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        minima: Vec<S>,
        options: SimplexTrainingOptions,
    ) -> Result<Self, Error> {
        let dim = objective.dim();
        options.validate(dim)?;
        let modes = minima.len() / dim.max(1);
        let complex = SimplicialComplex::new(minima, dim, modes)?;
        let equal = (0..modes).find(|&i| (0..i).any(|j| complex.row(i) == complex.row(j)));
        require!(
            equal.is_none() && complex.count() == modes,
            "got the same point twice among {modes} minima; pass different ones"
        );
        require_complex::<S>(&options, modes, dim)?;
        let batches = require_batches(objective)?;
        Ok(Self {
            last_finite: complex.row(modes - 1).to_vec(),
            optimizer: Optimizer::new(options.optimizer, dim),
            sampler: BatchSampler::new(options.seed, batches),
            state: State::new(options, batches, modes),
            complex,
        })
    }

    /// The complex of a checkpoint, with the arrays `vertices` and `memory`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of simplex training.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state: State = checkpoint.parse_record("a complex")?;
        let vertices = checkpoint.take_vectors("vertices")?;
        state.validate(checkpoint.dim)?;
        let finite = vertices.iter().all(|entry| entry.widen().is_finite());
        let complex = SimplicialComplex::new(vertices, checkpoint.dim, state.modes)?;
        require!(
            complex.count() == state.modes.saturating_add(state.connectors) && finite,
            "got {} vertices for {} minima and {} connecting points; pass those of the checkpoint",
            complex.count(),
            state.modes,
            state.connectors
        );
        require_complex::<S>(&state.options, state.modes, checkpoint.dim)?;
        let moments = checkpoint.take_vectors("memory")?;
        let (kind, dim) = (state.options.optimizer, checkpoint.dim);
        Ok(Self {
            last_finite: complex.row(complex.count() - 1).to_vec(),
            optimizer: Optimizer::resume(kind, dim, &moments, state.optimizer_steps)?,
            sampler: BatchSampler::new(state.options.seed, state.batches),
            state,
            complex,
        })
    }

    /// The current complex.
    #[must_use]
    pub fn complex(&self) -> &SimplicialComplex<S> {
        &self.complex
    }

    /// Steps so far, of all connecting points.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The mean loss at the points of the last step; NaN before the first.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.state.loss.unwrap_or(f64::NAN)
    }

    /// log V(K) before the last step; NaN where there was no volume, or no step yet.
    #[must_use]
    pub fn log_volume(&self) -> f64 {
        self.state.log_volume.unwrap_or(f64::NAN)
    }

    /// The moments of the optimizer, as one vector.
    #[must_use]
    pub fn optimizer_state(&self) -> Vec<S> {
        self.optimizer.state().0
    }

    /// Gradients of single batches so far.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.state.gradients
    }

    /// Adds a connecting point at the mean of all vertices. Where volume has weight it is displaced in a
    /// random direction, since the volume and its gradient may vanish at the mean.
    fn add_connector(&mut self) -> Result<(), Error> {
        let (options, dim) = (&self.state.options, self.complex.dim());
        let centre = self.complex.centre()?;
        let mut complex = self.complex.clone();
        let mut weight = 0.0;
        if self.state.is_regularised() {
            let mut normals = vec![0.0; dim];
            let stream = START_STREAMS + self.state.connectors as u64;
            Gaussian::new(options.seed, stream).fill(0, &mut normals);
            let radius = self.complex.radius()?;
            let radius = if radius > 0.0 { radius } else { 1.0 };
            let length = options.spread * radius / norm(&normals);
            let start = centre.iter().zip(&normals).map(|(c, g)| S::narrow(c.widen() + length * g));
            complex.push(&start.collect::<Vec<_>>());
            let volume = complex.log_volume_gradient()?;
            let log_volume = volume.map_or(f64::NEG_INFINITY, |(log_volume, _)| log_volume);
            require!(
                log_volume.is_finite() || options.volume == 0.0,
                "got the spread {}, which leaves connecting point {} without a volume in the \
                 precision of the vertices; pass a larger one",
                options.spread,
                self.state.connectors
            );
            weight = options.volume / log_volume.abs().max(1.0);
        } else {
            complex.push(&centre);
        }
        self.complex = complex;
        self.state.record_connector(weight);
        self.last_finite = self.complex.row(self.complex.count() - 1).to_vec();
        self.reset_optimizer();
        Ok(())
    }

    /// One step of the last connecting point.
    fn descend(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        rate: f64,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let (dim, samples) = (self.complex.dim(), self.state.options.samples);
        let count = samples * self.state.modes;
        let corners = self.state.connectors + 1;
        let stream = WEIGHT_STREAMS + self.state.connectors as u64;
        let stream = Gaussian::new(self.state.options.seed, stream);
        let weights = simplex_weights(&stream, self.state.gradients, count, corners);
        let mut points = Vec::with_capacity(count * dim);
        for (index, row) in weights.chunks(corners).enumerate() {
            points.extend(self.complex.point(index / samples, row)?);
        }
        let batches = self.sampler.take(self.state.gradients, count);
        let mut losses = vec![0.0; count];
        let mut gradients = vec![S::default(); count * dim];
        objective.gradients_on(&points, &batches, &mut losses, &mut gradients, cancel)?;
        drop(points);
        let is_finite = |index: &usize| {
            losses[*index].is_finite() && norm(&gradients[index * dim..][..dim]).is_finite()
        };
        if let Some(index) = (0..count).find(|index| !is_finite(index)) {
            self.complex.last_mut().copy_from_slice(&self.last_finite);
            self.reset_optimizer();
            return Err(self.state.non_finite_error(index / samples, losses[index]));
        }
        let volume = self.complex.log_volume_gradient()?;
        let last = weights.chunks(corners).map(|row| row[corners - 1]);
        let force = self.force(last, &gradients, volume.as_ref().map(|(_, weights)| &**weights))?;
        self.last_finite = self.complex.row(self.complex.count() - 1).to_vec();
        self.optimizer.step(self.complex.last_mut(), &force, rate);
        let mean = losses.iter().sum::<f64>() / count as f64;
        self.state.record_step(mean, volume.map(|(log_volume, _)| log_volume), count);
        Ok(())
    }

    /// −1/n Σᵢ wᵢ ∇L(θᵢ) + λ ∇ log V(K), where wᵢ is the last vertex's coordinate of θᵢ.
    fn force(
        &self,
        last: impl Iterator<Item = f64>,
        gradients: &[S],
        volume_gradient: Option<&[f64]>,
    ) -> Result<Vec<S>, Error> {
        let mut rows: Vec<&[S]> = gradients.chunks(self.complex.dim()).collect();
        let count = rows.len() as f64;
        let mut weights: Vec<_> = last.map(|weight| -weight / count).collect();
        if let Some(gradient) = volume_gradient.filter(|_| self.state.weight > 0.0) {
            rows.extend((0..self.complex.count()).map(|vertex| self.complex.row(vertex)));
            weights.extend(gradient.iter().map(|weight| self.state.weight * weight));
        }
        combine(&rows, &weights)
    }

    fn reset_optimizer(&mut self) {
        self.optimizer = Optimizer::new(self.state.options.optimizer, self.complex.dim());
    }
}

impl<S: Scalar> Solver for SimplexTraining<S> {
    type Scalar = S;
    type Problem<'a> = dyn BatchedObjective<S> + 'a;

    fn dim(&self) -> usize {
        self.complex.dim()
    }

    fn status(&self) -> Status {
        self.state.status
    }

    fn accept(&self, objective: &Self::Problem<'_>) -> Result<(), Error> {
        require_same_batches(self.dim(), objective, self.state.batches)
    }

    /// One step of the last connecting point, which is added first where there is none to train. After
    /// [`Error::NonFinite`] it is where losses were finite last.
    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        if self.state.status != Status::Running {
            return Ok(());
        }
        if self.state.rate().is_none() {
            self.add_connector()?;
        }
        self.state.rate().map_or(Ok(()), |rate| self.descend(objective, rate, cancel))
    }
}

impl<S: Scalar> Resumable for SimplexTraining<S> {
    fn record(&self) -> String {
        self.state.to_record(self.optimizer.state().1)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("vertices", self.complex.rows().to_vec()),
                ("memory", self.optimizer_state()),
            ],
            numbers: Vec::new(),
        }
    }
}

/// # Errors
/// [`Error::Memory`] where the vertices or the points of a step do not fit into memory.
fn require_complex<S: Scalar>(
    options: &SimplexTrainingOptions,
    modes: usize,
    dim: usize,
) -> Result<(), Error> {
    let SimplexTrainingOptions { connectors, samples, .. } = *options;
    let what = format!("a complex of {modes} minima and {connectors} connecting points");
    require_memory::<S>(&what, &[modes.saturating_add(connectors), 3, dim])?;
    let what = format!("a step with {samples} points in each of {modes} simplices");
    require_memory::<S>(&what, &[samples, modes, 3, dim])?;
    require_memory::<f64>(&what, &[samples, modes, connectors.saturating_add(2)]).map(drop)
}
