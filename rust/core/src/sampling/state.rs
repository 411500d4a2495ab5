//! Counters, references and the fate of each chain.

use serde::{Deserialize, Serialize};

use super::options::{GradientData, LangevinOptions};
use crate::batch_sampler::validate_batches;
use crate::error::Error;
use crate::solver::{RecordReader, Status};

/// A chain has diverged when nβ (L − L₀) exceeds this multiple of the number of parameters, with the mean
/// loss L₀ of the first step. In a normal posterior its mean is half that number.
const HUGE: f64 = 1e6;

pub(super) const READER: RecordReader = RecordReader("a Langevin sampler");

/// The state of a sampler besides its vectors and draws; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: LangevinOptions,
    /// The number of mini-batches; 1 where gradients are means over all data.
    pub batches: usize,
    pub steps: usize,
    pub gradients: u64,
    /// The mean of the losses of the first step.
    pub initial_loss: Option<f64>,
    /// L(θ₀) on every batch that was needed so far.
    pub references: Vec<Option<f64>>,
    /// Running or Diverged.
    pub chains: Vec<Status>,
}

impl State {
    pub fn new(options: LangevinOptions, batches: usize) -> Self {
        Self {
            options,
            batches,
            steps: 0,
            gradients: 0,
            initial_loss: None,
            references: vec![None; batches],
            chains: vec![Status::Running; options.chains],
        }
    }

    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a sampler can be in.
    pub fn validate(&self) -> Result<(), Error> {
        self.options.validate()?;
        validate_batches(self.batches)?;
        let one = self.options.data == GradientData::MiniBatch || self.batches == 1;
        READER.require("batches", one)?;
        READER.require_counts(&[("steps", self.steps as u64), ("gradients", self.gradients)])?;
        READER.require("steps", self.options.total_steps().is_some_and(|n| self.steps <= n))?;
        READER.require("chains", self.chains.len() == self.options.chains)?;
        READER.require("references", self.references.len() == self.batches)?;
        READER.require("initial_loss", self.initial_loss.is_none_or(f64::is_finite))?;
        let known = [Status::Running, Status::Diverged];
        self.chains.iter().try_for_each(|chain| READER.require_status(*chain, &known))
    }

    /// Draws of each chain so far.
    pub fn draws(&self) -> usize {
        self.steps.saturating_sub(self.options.burn_in) / self.options.thinning
    }

    /// Steps of the burn-in so far, which are updates of the preconditioner.
    pub fn updates(&self) -> usize {
        self.steps.min(self.options.burn_in)
    }

    /// The chains that have not diverged.
    pub fn running(&self) -> Vec<usize> {
        let chains = self.chains.iter().enumerate();
        chains.filter(|(_, status)| **status == Status::Running).map(|(chain, _)| chain).collect()
    }

    /// Whether a loss is one that no chain of the posterior has.
    pub fn is_divergent(&self, loss: f64, dim: usize) -> bool {
        let excess = self.options.nbeta * (loss - self.initial_loss.unwrap_or(loss));
        !loss.is_finite() || excess > HUGE * dim as f64
    }

    pub fn status(&self) -> Status {
        if self.chains.iter().all(|chain| *chain == Status::Diverged) {
            Status::Diverged
        } else if self.options.total_steps().is_none_or(|total| self.steps >= total) {
            Status::Complete
        } else {
            Status::Running
        }
    }
}
