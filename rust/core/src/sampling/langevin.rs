//! The solver: Langevin dynamics of many chains.

use super::chains::Chains;
use super::options::{GradientData, LangevinOptions};
use super::preconditioner::Scales;
use super::state::{READER, State};
use crate::batch_sampler::{BatchSampler, require_batches, require_same_batches};
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::objective::BatchedObjective;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, Resumable, Solver, Status, to_record};
use crate::vector::norm;

/// C chains that sample p(θ) ∝ exp(−nβ L(θ) − γ/2 ‖θ − θ₀‖²), all from θ₀.
///
/// θ ← θ − ε/2 G (nβ ∇L_b(θ) + γ (θ − θ₀)) + √(ε G) ξ, with gradients on all data, or of each
/// chain and step on a mini-batch b of its own from a seeded sequence of permutations. The burn-in comes
/// first; then every `thinning` steps are a draw, the last point of them, of which L_b(θ) is kept. L_b(θ₀)
/// on the same batch is kept as its reference: their difference has the expectation of L(θ) − L(θ₀) and a
/// smaller variance than L_b(θ).
///
/// A chain whose point, loss or gradient is not finite, or with nβ (L_b − L₀) > 10⁶ d, where L₀ is the mean
/// loss of the first step, has diverged: its point stays where it was, and later draws are NaN.
///
/// # Reference
/// Welling, Teh (2011), *Bayesian learning via stochastic gradient Langevin dynamics*; Leimkuhler,
/// Matthews (2013), *Rational construction of stochastic numerical methods for molecular sampling*;
/// Lau, Furman, Wang, Murfet, Wei (2023), *The local learning coefficient: a singularity-aware
/// complexity measure*.
pub struct Langevin<S> {
    chains: Chains<S>,
    scales: Scales,
    sampler: BatchSampler,
    state: State,
    /// L_b of every draw, and L_b(θ₀), row-major (draws, chains).
    losses: Vec<f64>,
    references: Vec<f64>,
}

impl<S: Scalar> Langevin<S> {
    /// Chains at θ₀. Nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the centre does not fit; [`Error::Memory`].
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        centre: Vec<S>,
        options: LangevinOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        let dim = objective.dim();
        require!(
            centre.len() == dim && norm(&centre).is_finite(),
            "got a centre of {} entries; pass a finite one of {dim}",
            centre.len()
        );
        require_chains::<S>(&options, dim)?;
        let batches = match options.data {
            GradientData::All => 1,
            GradientData::MiniBatch => require_batches(objective)?,
        };
        let points = centre.repeat(options.chains);
        Ok(Self {
            chains: Chains::new(centre, points, &options, 0),
            scales: Scales::new(options.preconditioner, dim),
            sampler: BatchSampler::new(options.seed, batches),
            state: State::new(options, batches),
            losses: Vec::new(),
            references: Vec::new(),
        })
    }

    /// The sampler of a checkpoint, with the arrays `centre` and `points`, and the numbers `accumulator`,
    /// `losses` and `references`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a sampler.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let state: State = checkpoint.parse_record("a Langevin sampler")?;
        let centre = checkpoint.take_vectors("centre")?;
        let points = checkpoint.take_vectors("points")?;
        let accumulator = checkpoint.take_numbers("accumulator")?;
        let losses = checkpoint.take_numbers("losses")?;
        let references = checkpoint.take_numbers("references")?;
        state.validate()?;
        let dim = checkpoint.dim;
        let (options, draws) = (state.options, state.draws());
        require_chains::<S>(&options, dim)?;
        READER.require("centre", dim > 0 && centre.len() == dim)?;
        READER.require("points", options.chains.checked_mul(dim) == Some(points.len()))?;
        let numbers = draws.checked_mul(options.chains);
        READER.require("losses", numbers == Some(losses.len()))?;
        READER.require("references", numbers == Some(references.len()))?;
        READER.require_entries("centre", &centre)?;
        READER.require_entries("points", &points)?;
        let scales = Scales::resume(options.preconditioner, dim, accumulator, state.updates())?;
        Ok(Self {
            chains: Chains::new(centre, points, &options, state.steps),
            scales,
            sampler: BatchSampler::new(options.seed, state.batches),
            state,
            losses,
            references,
        })
    }

    /// Options.
    #[must_use]
    pub fn options(&self) -> &LangevinOptions {
        &self.state.options
    }

    /// θ₀.
    #[must_use]
    pub fn centre(&self) -> &[S] {
        &self.chains.centre
    }

    /// The current point of every chain, row-major (chains, dim).
    #[must_use]
    pub fn points(&self) -> &[S] {
        &self.chains.points
    }

    /// The diagonal of G: that of the burn-in so far, fixed afterwards.
    #[must_use]
    pub fn preconditioner(&self) -> Vec<f64> {
        (0..self.dim()).map(|index| self.scales.entry(index)).collect()
    }

    /// What the preconditioner has learned, for checkpoints.
    #[must_use]
    pub fn accumulator(&self) -> &[f64] {
        self.scales.accumulator()
    }

    /// Steps of each chain so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// Draws of each chain so far.
    #[must_use]
    pub fn draws(&self) -> usize {
        self.state.draws()
    }

    /// Gradients so far, one for every point.
    #[must_use]
    pub fn gradients(&self) -> u64 {
        self.state.gradients
    }

    /// Whether each chain is running, complete or has diverged.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let alive =
            if self.status() == Status::Running { Status::Running } else { Status::Complete };
        let status = |&chain: &Status| if chain == Status::Running { alive } else { chain };
        self.state.chains.iter().map(status).collect()
    }

    /// The losses of all draws, row-major (draws, chains).
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The loss of the centre on the batch of each draw, row-major (draws, chains).
    #[must_use]
    pub fn references(&self) -> &[f64] {
        &self.references
    }

    /// The mean loss of the last draw over chains that have not diverged; NaN before the first draw.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        let last = &self.losses[self.losses.len().saturating_sub(self.state.options.chains)..];
        let finite: Vec<_> = last.iter().filter(|loss| loss.is_finite()).collect();
        finite.iter().copied().sum::<f64>() / finite.len() as f64
    }

    /// Losses and gradients at points, on batches where gradients are those of mini-batches.
    fn evaluate(
        &self,
        objective: &dyn BatchedObjective<S>,
        points: &[S],
        batches: &[usize],
        cancel: &Cancel,
    ) -> Result<(Vec<f64>, Vec<S>), Error> {
        let mut losses = vec![0.0; batches.len()];
        let mut gradients = vec![S::default(); points.len()];
        match self.state.options.data {
            GradientData::All => {
                objective.gradients(points, &mut losses, &mut gradients, cancel)?;
            }
            GradientData::MiniBatch => {
                objective.gradients_on(points, batches, &mut losses, &mut gradients, cancel)?;
            }
        }
        Ok((losses, gradients))
    }

    /// The loss of the centre on the batches that have none yet, by batch.
    fn missing_references(
        &self,
        objective: &dyn BatchedObjective<S>,
        batches: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<(usize, f64)>, Error> {
        let is_missing = |batch: &usize| self.state.references[*batch].is_none();
        let mut missing: Vec<_> = batches.iter().copied().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let points = self.chains.centre.repeat(missing.len());
        let (losses, _) = self.evaluate(objective, &points, &missing, cancel)?;
        if let Some(loss) = losses.iter().find(|loss| !loss.is_finite()) {
            return Err(Error::NonFinite(format!(
                "the loss of the centre is {loss} on a mini-batch; sample about a point at which it \
                 is finite"
            )));
        }
        Ok(missing.into_iter().zip(losses).collect())
    }
}

impl<S: Scalar> Solver for Langevin<S> {
    type Scalar = S;
    type Problem<'a> = dyn BatchedObjective<S> + 'a;

    fn dim(&self) -> usize {
        self.chains.centre.len()
    }

    fn status(&self) -> Status {
        self.state.status()
    }

    fn accept(&self, objective: &Self::Problem<'_>) -> Result<(), Error> {
        if self.state.options.data == GradientData::MiniBatch {
            return require_same_batches(self.dim(), objective, self.state.batches);
        }
        let (given, dim) = (objective.dim(), self.dim());
        require!(
            given == dim,
            "got a problem of {given} dimensions for vectors of {dim} entries; pass the one that the \
             solver was created for"
        );
        Ok(())
    }

    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        cancel.check()?;
        if self.status() != Status::Running {
            return Ok(());
        }
        let (options, step, dim) = (self.state.options, self.state.steps, self.dim());
        let running = self.state.running();
        let position = (step as u64).saturating_mul(options.chains as u64);
        let batch_of_chain = self.sampler.take(position, options.chains);
        let batches: Vec<_> = running.iter().map(|&chain| batch_of_chain[chain]).collect();
        let points: Vec<S> =
            running.iter().flat_map(|&chain| self.chains.point(chain)).copied().collect();
        let (losses, gradients) = self.evaluate(objective, &points, &batches, cancel)?;
        drop(points);
        let is_draw = options.is_draw(step);
        let found = if is_draw {
            self.missing_references(objective, &batches, cancel)?
        } else {
            Vec::new()
        };
        if step == 0 && losses.iter().any(|loss| !loss.is_finite()) {
            return Err(Error::NonFinite(format!(
                "the losses of the centre are {losses:?}; sample about a point at which they are \
                 finite"
            )));
        }
        // Nothing below fails: the step is complete.
        self.state.gradients += (running.len() + found.len()) as u64;
        for (batch, loss) in found {
            self.state.references[batch] = Some(loss);
        }
        if step == 0 {
            self.state.initial_loss = Some(losses.iter().sum::<f64>() / losses.len() as f64);
        }
        let mut row = vec![[f64::NAN; 2]; options.chains];
        for (index, &chain) in running.iter().enumerate() {
            let gradient = &gradients[index * dim..][..dim];
            if self.state.is_divergent(losses[index], dim) || !norm(gradient).is_finite() {
                self.state.chains[chain] = Status::Diverged;
            } else if let Some(reference) = self.state.references[batches[index]] {
                row[chain] = [losses[index], reference];
            }
        }
        if is_draw {
            self.losses.extend(row.iter().map(|[loss, _]| loss));
            self.references.extend(row.iter().map(|[_, reference]| reference));
        }
        let is_alive = |chain: usize| self.state.chains[chain] == Status::Running;
        let alive: Vec<_> = (0..running.len()).filter(|&index| is_alive(running[index])).collect();
        if step < options.burn_in {
            let rows = alive.iter().flat_map(|&index| &gradients[index * dim..][..dim]);
            self.scales.update(&rows.copied().collect::<Vec<_>>(), step + 1);
        }
        let mut of_chains = vec![None; options.chains];
        for index in alive {
            of_chains[running[index]] = Some(&gradients[index * dim..][..dim]);
        }
        let finite = self.chains.advance(&options, &self.scales, step, &of_chains);
        for (status, _) in self.state.chains.iter_mut().zip(finite).filter(|(_, finite)| !finite) {
            *status = Status::Diverged;
        }
        self.state.steps += 1;
        Ok(())
    }
}

impl<S: Scalar> Resumable for Langevin<S> {
    fn record(&self) -> String {
        to_record(&self.state)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("centre", self.chains.centre.clone()),
                ("points", self.chains.points.clone()),
            ],
            numbers: vec![
                ("accumulator", self.accumulator().to_vec()),
                ("losses", self.losses.clone()),
                ("references", self.references.clone()),
            ],
        }
    }
}

/// # Errors
/// [`Error::Memory`] where the points and draws of all chains do not fit into memory.
fn require_chains<S>(options: &LangevinOptions, dim: usize) -> Result<(), Error> {
    let what = format!("a sampler of {} chains", options.chains);
    require_memory::<S>(&what, &[options.chains, 6, dim])?;
    let what = format!("{} draws of {} chains", options.draws, options.chains);
    require_memory::<f64>(&what, &[options.draws, options.chains, 2]).map(drop)
}
