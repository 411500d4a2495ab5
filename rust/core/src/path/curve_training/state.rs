//! Options of curve training, and the state of a curve besides its control points.

use serde::{Deserialize, Serialize};

use super::super::curve::CurveKind;
use super::super::history::Evaluation;
use super::super::optimizer::OptimizerKind;
use super::super::schedule::Cycle;
use crate::batch_sampler::validate_batches;
use crate::error::{Error, require};
use crate::solver::{RecordReader, Status, to_record};

/// Options of curve training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveTrainingOptions {
    /// The basis functions of the curve.
    pub kind: CurveKind,
    /// Steps and learning rates, cycle by cycle.
    pub cycles: Vec<Cycle>,
    /// The optimizer of the control points.
    #[serde(rename = "rule")]
    pub optimizer: OptimizerKind,
    /// The number of control points between the ends.
    pub bends: usize,
    /// Points of the curve that a step samples.
    pub draws: usize,
    /// Points between the ends at which the curve is evaluated.
    pub between: usize,
    /// The seed of the sampled points and of the order of batches.
    pub seed: u64,
}

impl CurveTrainingOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        Cycle::validate(&self.cycles)?;
        self.optimizer.validate()?;
        require!(
            self.bends > 0 && self.draws > 0 && self.between > 0,
            "got {} control points, {} draws and evaluations of {} points; pass at least one of \
             each",
            self.bends,
            self.draws,
            self.between
        );
        Ok(())
    }
}

const READER: RecordReader = RecordReader("a curve");

/// The state of a curve besides its vectors; the keys are those of saved records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: CurveTrainingOptions,
    pub batches: usize,
    /// Completed cycles, and steps of the current one.
    #[serde(rename = "done")]
    completed_cycles: usize,
    #[serde(rename = "within")]
    steps_in_cycle: usize,
    /// Whether a cycle is running; otherwise the next step is an evaluation.
    pub descending: bool,
    /// The highest loss of the best curve.
    #[serde(rename = "best")]
    pub lowest_max_loss: Option<f64>,
    #[serde(rename = "looks")]
    pub history: Vec<Evaluation>,
    /// Of the last evaluation.
    pub barrier: f64,
    /// Of the last step.
    #[serde(rename = "slope")]
    pub gradient_norm: f64,
    pub steps: usize,
    /// Steps of the optimizer since its last reset.
    #[serde(rename = "moves")]
    pub optimizer_steps: i32,
    /// The position in the sequences of batches and of sampled points.
    pub drawn: u64,
    pub losses: usize,
    pub gradients: usize,
    #[serde(rename = "ending")]
    pub status: Status,
}

impl State {
    pub fn new(options: CurveTrainingOptions, batches: usize) -> Self {
        Self {
            options,
            batches,
            completed_cycles: 0,
            steps_in_cycle: 0,
            descending: false,
            lowest_max_loss: None,
            history: Vec::new(),
            barrier: 0.0,
            gradient_norm: 0.0,
            steps: 0,
            optimizer_steps: 0,
            drawn: 0,
            losses: 0,
            gradients: 0,
            status: Status::Running,
        }
    }

    /// # Errors
    /// [`Error::Invalid`] unless the state is one that a curve of so many control points, ends included,
    /// can be in.
    pub fn validate(&self, points: usize) -> Result<(), Error> {
        use Status::{Complete, Running};
        self.options.validate()?;
        validate_batches(self.batches)?;
        READER.require_status(self.status, &[Running, Complete])?;
        READER.require("done", self.completed_cycles <= self.options.cycles.len())?;
        let within = self.cycle().is_none_or(|cycle| self.steps_in_cycle < cycle.steps);
        READER.require("within", !self.descending || within)?;
        READER.require("bends", Some(points) == self.options.bends.checked_add(2))?;
        READER.require("best", self.lowest_max_loss.is_some() != self.history.is_empty())?;
        let signed = [("barrier", self.barrier), ("best", self.lowest_max_loss.unwrap_or(0.0))];
        READER.require_finite(&signed, f64::MIN)?;
        READER.require_finite(&[("slope", self.gradient_norm)], 0.0)?;
        READER.require_counts(&[
            ("steps", self.steps as u64),
            ("drawn", self.drawn),
            ("losses", self.losses as u64),
            ("gradients", self.gradients as u64),
        ])?;
        Evaluation::validate(&READER, &self.history, self.steps)
    }

    /// The current cycle; None after the last one.
    pub fn cycle(&self) -> Option<Cycle> {
        self.options.cycles.get(self.completed_cycles).copied()
    }

    /// Appends an evaluation to the history.
    pub fn record_evaluation(&mut self, max_loss: f64, barrier: f64, points: usize) {
        self.losses += points;
        self.barrier = barrier;
        let pivots = self.options.bends;
        self.history.push(Evaluation { steps: self.steps, pivots, max_loss });
    }

    /// Starts the next cycle, or terminates where there is none.
    pub fn start_cycle(&mut self) {
        if self.cycle().is_none() {
            self.status = Status::Complete;
        } else {
            (self.steps_in_cycle, self.descending) = (0, true);
        }
    }

    /// Counts a step, and ends the cycle where it was the last.
    pub fn record_step(&mut self, gradient_norm: f64) {
        self.gradient_norm = gradient_norm;
        self.steps += 1;
        self.steps_in_cycle += 1;
        self.gradients += self.options.draws;
        self.drawn += self.options.draws as u64;
        if self.cycle().is_none_or(|cycle| self.steps_in_cycle >= cycle.steps) {
            self.completed_cycles += 1;
            self.descending = false;
        }
    }

    pub fn to_record(&self, optimizer_steps: i32) -> String {
        to_record(&Self { optimizer_steps, ..self.clone() })
    }

    pub fn non_finite_error(&self, t: f64, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at t = {t:.4} of the curve, in cycle {} after {} steps, the loss is {loss} or the \
             gradient not finite; lower the learning rate, or choose ends between which the loss \
             is finite",
            self.completed_cycles + 1,
            self.steps
        ))
    }
}
