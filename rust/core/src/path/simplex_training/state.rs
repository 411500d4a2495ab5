//! Options of simplex training, and its state besides the vertices.

use serde::{Deserialize, Serialize};

use super::super::optimizer::OptimizerKind;
use super::super::schedule::Cycle;
use crate::batch_sampler::validate_batches;
use crate::error::{Error, require};
use crate::solver::{RecordReader, Status, to_record};

/// Options of simplex training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimplexTrainingOptions {
    /// The number of connecting points, trained one after the other.
    pub connectors: usize,
    /// Steps and learning rates of each, cycle by cycle.
    pub cycles: Vec<Cycle>,
    /// The optimizer of a connecting point.
    #[serde(rename = "rule")]
    pub optimizer: OptimizerKind,
    /// Points that a step samples in every simplex, each on a mini-batch of its own.
    pub samples: usize,
    /// λ*, the weight of the volume.
    pub volume: f64,
    /// The distance of a connecting point's start from the mean of the vertices, as a share of the
    /// minima's root mean square distance from their mean.
    pub spread: f64,
    /// The seed of the order of batches, of the sampled points, and of the starts.
    pub seed: u64,
}

impl SimplexTrainingOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self, dim: usize) -> Result<(), Error> {
        Cycle::validate(&self.cycles)?;
        self.optimizer.validate()?;
        require!(
            self.connectors > 0 && self.connectors <= dim && self.samples > 0,
            "got {} connecting points and {} points a step for {dim} parameters; pass at least \
             one of each, and no more connecting points than parameters",
            self.connectors,
            self.samples
        );
        require!(
            self.volume.is_finite()
                && self.volume >= 0.0
                && self.spread.is_finite()
                && self.spread > 0.0,
            "got the weight {} of the volume and the spread {}; pass a weight from 0, and a \
             spread above 0",
            self.volume,
            self.spread
        );
        Ok(())
    }
}

const READER: RecordReader = RecordReader("a complex");

/// The state besides the vectors; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: SimplexTrainingOptions,
    pub batches: usize,
    /// The number of minima.
    pub modes: usize,
    /// The number of connecting points so far.
    #[serde(rename = "placed")]
    pub connectors: usize,
    /// Completed cycles of the last one, and steps of the current cycle.
    #[serde(rename = "done")]
    completed_cycles: usize,
    #[serde(rename = "within")]
    steps_in_cycle: usize,
    /// λ of the last connecting point.
    pub weight: f64,
    /// The mean loss at the points of the last step; None before the first.
    pub loss: Option<f64>,
    pub log_volume: Option<f64>,
    pub steps: usize,
    /// Steps of the optimizer since its last reset.
    #[serde(rename = "moves")]
    pub optimizer_steps: i32,
    /// Gradients of single batches so far, which is the position in the random sequences.
    pub gradients: u64,
    #[serde(rename = "ending")]
    pub status: Status,
}

impl State {
    pub fn new(options: SimplexTrainingOptions, batches: usize, modes: usize) -> Self {
        Self {
            options,
            batches,
            modes,
            connectors: 0,
            completed_cycles: 0,
            steps_in_cycle: 0,
            weight: 0.0,
            loss: None,
            log_volume: None,
            steps: 0,
            optimizer_steps: 0,
            gradients: 0,
            status: Status::Running,
        }
    }

    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a complex of so many parameters can be in.
    pub fn validate(&self, dim: usize) -> Result<(), Error> {
        use Status::{Complete, Running};
        self.options.validate(dim)?;
        validate_batches(self.batches)?;
        READER.require_status(self.status, &[Running, Complete])?;
        READER.require("modes", self.modes > 0)?;
        READER.require("placed", self.connectors <= self.options.connectors)?;
        let cycles = &self.options.cycles;
        READER.require("done", self.completed_cycles <= cycles.len())?;
        let cycle = cycles.get(self.completed_cycles);
        READER.require("within", cycle.is_none_or(|c| self.steps_in_cycle <= c.steps))?;
        let all = self.connectors == self.options.connectors && cycle.is_none();
        READER.require("ending", all == (self.status == Complete))?;
        READER.require_finite(&[("weight", self.weight)], 0.0)?;
        let signed = [("loss", self.loss), ("log_volume", self.log_volume)];
        READER.require_finite(&signed.map(|(name, n)| (name, n.unwrap_or(0.0))), f64::MIN)?;
        READER.require_counts(&[("steps", self.steps as u64), ("gradients", self.gradients)])
    }

    /// Whether the next connecting point is regularised by volume: not the first one between several
    /// minima, where the simplices are segments.
    pub fn is_regularised(&self) -> bool {
        self.connectors > 0 || self.modes == 1
    }

    /// The learning rate of the next step; None where a connecting point must be added first.
    pub fn rate(&self) -> Option<f64> {
        let cycle = self.options.cycles.get(self.completed_cycles);
        cycle.filter(|_| self.connectors > 0).map(|cycle| cycle.rate)
    }

    /// Counts a new connecting point.
    pub fn record_connector(&mut self, weight: f64) {
        self.connectors += 1;
        (self.completed_cycles, self.steps_in_cycle, self.weight) = (0, 0, weight);
    }

    /// Counts a step, and terminates after the last one of the last connecting point.
    pub fn record_step(&mut self, loss: f64, log_volume: Option<f64>, gradients: usize) {
        (self.loss, self.log_volume) = (Some(loss), log_volume);
        self.steps += 1;
        self.steps_in_cycle += 1;
        self.gradients += gradients as u64;
        let cycle = self.options.cycles.get(self.completed_cycles);
        if cycle.is_none_or(|cycle| self.steps_in_cycle >= cycle.steps) {
            self.completed_cycles += 1;
            self.steps_in_cycle = 0;
        }
        if self.completed_cycles == self.options.cycles.len()
            && self.connectors == self.options.connectors
        {
            self.status = Status::Complete;
        }
    }

    pub fn to_record(&self, optimizer_steps: i32) -> String {
        to_record(&Self { optimizer_steps, ..self.clone() })
    }

    pub fn non_finite_error(&self, mode: usize, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at a point of the simplex of minimum {mode} and {} connecting points, after {} steps, \
             the loss is {loss} or the gradient not finite; lower the learning rate or the weight \
             of the volume, or choose minima between which the loss is finite",
            self.connectors, self.steps
        ))
    }
}
