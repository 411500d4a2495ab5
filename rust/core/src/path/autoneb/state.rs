//! Options of AutoNEB, and the state of a band besides its vectors.

use serde::{Deserialize, Serialize};

use super::super::history::Evaluation;
use super::super::optimizer::OptimizerKind;
use super::super::schedule::Cycle;
use crate::batch_sampler::validate_batches;
use crate::error::{Error, require};
use crate::solver::{Checkpoint, RecordReader, Status, to_record};

/// Options of AutoNEB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutoNebOptions {
    /// Steps and learning rates, cycle by cycle.
    pub cycles: Vec<Cycle>,
    /// The optimizer of the pivots.
    #[serde(rename = "rule")]
    pub optimizer: OptimizerKind,
    /// The spring constant; None spaces the pivots equally after every step.
    pub spring: Option<f64>,
    /// The number of last cycles in which the highest pivot climbs.
    pub climb: usize,
    /// The norm of the force at which a pivot counts as converged, where one batch holds all data; 0
    /// runs all cycles.
    pub tolerance: f64,
    /// The initial number of pivots, without the ends.
    pub pivots: usize,
    /// The maximum number of pivots.
    pub max_pivots: usize,
    /// A pivot is inserted where the loss rises above the linear interpolation between two pivots by
    /// this share of the range of losses on the band.
    pub insertion: f64,
    /// Points evaluated between two pivots.
    pub between: usize,
    /// The seed of the order of batches.
    pub seed: u64,
}

impl AutoNebOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        Cycle::validate(&self.cycles)?;
        self.optimizer.validate()?;
        require!(
            self.pivots > 0 && self.max_pivots >= self.pivots && self.between > 0,
            "got {} pivots of at most {}, and {} points between them; pass at least one of each",
            self.pivots,
            self.max_pivots,
            self.between
        );
        require!(
            self.tolerance >= 0.0
                && self.insertion >= 0.0
                && self.spring.is_none_or(|stiffness| stiffness > 0.0),
            "got tolerance {}, insertion {} and spring {:?}; pass none below 0, no spring of 0",
            self.tolerance,
            self.insertion,
            self.spring
        );
        Ok(())
    }
}

const READER: RecordReader = RecordReader("a band");

/// The state of a band besides its vectors; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: AutoNebOptions,
    pub batches: usize,
    /// Completed cycles, and steps of the current one.
    #[serde(rename = "done")]
    completed_cycles: usize,
    #[serde(rename = "within")]
    steps_in_cycle: usize,
    /// Whether a cycle is running; otherwise the next step is an evaluation.
    pub relaxing: bool,
    /// Whether the last cycle ended because the force was within the tolerance.
    pub converged: bool,
    /// The losses of the pivots, ends included, from which tangents are computed.
    energies: Vec<f64>,
    pub force: f64,
    /// The highest loss of the best band.
    #[serde(rename = "best")]
    pub lowest_max_loss: Option<f64>,
    #[serde(rename = "looks")]
    pub history: Vec<Evaluation>,
    pub steps: usize,
    /// Steps of the optimizer since its last reset.
    #[serde(rename = "moves")]
    pub optimizer_steps: i32,
    /// The position in the sequence of batches.
    pub drawn: u64,
    pub losses: usize,
    pub gradients: usize,
    #[serde(rename = "ending")]
    pub status: Status,
}

impl State {
    pub fn new(options: AutoNebOptions, batches: usize) -> Self {
        Self {
            options,
            batches,
            completed_cycles: 0,
            steps_in_cycle: 0,
            relaxing: false,
            converged: false,
            energies: Vec::new(),
            force: f64::NAN,
            lowest_max_loss: None,
            history: Vec::new(),
            steps: 0,
            optimizer_steps: 0,
            drawn: 0,
            losses: 0,
            gradients: 0,
            status: Status::Running,
        }
    }

    pub fn from_checkpoint<S: crate::scalar::Scalar>(
        checkpoint: &Checkpoint<S>,
    ) -> Result<Self, Error> {
        let record: Record = checkpoint.parse_record("a band")?;
        Ok(Self { force: record.force.unwrap_or(f64::NAN), ..record.state })
    }

    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a band of so many pivots, ends included, can be
    /// in.
    pub fn validate(&self, pivots: usize) -> Result<(), Error> {
        use Status::{Complete, Converged, Running};
        self.options.validate()?;
        validate_batches(self.batches)?;
        READER.require_status(self.status, &[Running, Converged, Complete])?;
        READER.require("done", self.completed_cycles <= self.options.cycles.len())?;
        let within = self.cycle().is_none_or(|cycle| self.steps_in_cycle < cycle.steps);
        READER.require("within", !self.relaxing || within)?;
        let inner = pivots.saturating_sub(2);
        READER.require("band", (self.options.pivots..=self.options.max_pivots).contains(&inner))?;
        let relaxing = self.relaxing || self.steps > 0 || self.status != Running;
        let evaluated = self.energies.len() == pivots && !self.history.is_empty();
        READER.require("energies", evaluated || (self.energies.is_empty() && !relaxing))?;
        READER.require_entries("energies", &self.energies)?;
        READER.require("best", self.lowest_max_loss.is_some() == evaluated)?;
        READER.require_finite(&[("best", self.lowest_max_loss.unwrap_or(0.0))], f64::MIN)?;
        READER.require("force", self.force.is_nan() || self.force >= 0.0)?;
        READER.require_counts(&[
            ("steps", self.steps as u64),
            ("drawn", self.drawn),
            ("losses", self.losses as u64),
            ("gradients", self.gradients as u64),
        ])?;
        Evaluation::validate(&READER, &self.history, self.steps)
    }

    pub fn to_record(&self, optimizer_steps: i32) -> String {
        let force = self.force.is_finite().then_some(self.force);
        to_record(&Record { state: Self { force: 0.0, optimizer_steps, ..self.clone() }, force })
    }

    /// The current cycle; None after the last one.
    pub fn cycle(&self) -> Option<Cycle> {
        self.options.cycles.get(self.completed_cycles).copied()
    }

    pub fn barrier(&self) -> f64 {
        let ends = [self.energies.first(), self.energies.last()];
        let higher = ends.into_iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        self.energies.iter().copied().fold(f64::NEG_INFINITY, f64::max) - higher
    }

    /// Appends an evaluation to the history.
    pub fn record_evaluation(&mut self, pivots: &[f64], max_loss: f64) {
        self.losses += pivots.len() + (pivots.len() - 1) * self.options.between;
        self.energies = pivots.to_vec();
        self.history.push(Evaluation { steps: self.steps, pivots: pivots.len() - 2, max_loss });
    }

    /// Terminates where the band has converged or all cycles are completed.
    pub fn update_status(&mut self, converged: bool) {
        if converged {
            self.status = Status::Converged;
        } else if self.cycle().is_none() {
            self.status = Status::Complete;
        }
    }

    pub fn start_cycle(&mut self, energies: Vec<f64>) {
        self.energies = energies;
        (self.steps_in_cycle, self.relaxing, self.converged) = (0, true, false);
    }

    /// Exponential moving averages of the energies, updated by the losses of the inner pivots.
    pub fn average_energies(&self, losses: &[f64], decay: f64) -> Vec<f64> {
        let mut energies = self.energies.clone();
        for (energy, loss) in energies[1..].iter_mut().zip(losses) {
            *energy = decay * *energy + (1.0 - decay) * loss;
        }
        energies
    }

    /// The index of the climbing pivot; None outside the last cycles.
    pub fn climbing_pivot(&self, energies: &[f64]) -> Option<usize> {
        let climbing = self.options.climb.min(self.options.cycles.len());
        let first = self.options.cycles.len() - climbing;
        let inner = 1..energies.len() - 1;
        let highest = inner.max_by(|&a, &b| energies[a].total_cmp(&energies[b]))?;
        (self.completed_cycles >= first).then_some(highest)
    }

    /// Counts a step, and ends the cycle where it was the last or the force is within the tolerance.
    pub fn record_step(&mut self, energies: Vec<f64>, force: f64, gradients: usize) {
        (self.energies, self.force) = (energies, force);
        self.steps += 1;
        self.steps_in_cycle += 1;
        self.gradients += gradients;
        self.drawn += gradients as u64;
        // On a mini-batch the force is noisy, and vanishes nowhere.
        self.converged = self.batches == 1 && force <= self.options.tolerance;
        if self.converged || self.cycle().is_none_or(|cycle| self.steps_in_cycle >= cycle.steps) {
            self.completed_cycles += 1;
            self.relaxing = false;
        }
    }

    pub fn non_finite_error(&self, location: &str, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at {location}, in cycle {} after {} steps, the loss is {loss} or the gradient not \
             finite; lower the learning rate, or choose ends between which the loss is finite",
            self.completed_cycles + 1,
            self.steps
        ))
    }
}

/// The state as it is saved: JSON has no NaN, so the force is a number or null.
#[derive(Serialize, Deserialize)]
struct Record {
    state: State,
    force: Option<f64>,
}
