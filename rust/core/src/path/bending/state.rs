//! All that a curve is but its control points.

use serde::{Deserialize, Serialize};

use super::super::autoneb::Look;
use super::super::curve::Kind;
use super::super::descent::Rule;
use super::super::outcome::{Cycle, Ending};
use crate::error::{Error, require};

/// What a curve is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BendingOptions {
    /// How control points make a curve.
    pub kind: Kind,
    /// Steps and learning rates, one cycle after the other.
    pub cycles: Vec<Cycle>,
    /// How a force becomes a step.
    pub rule: Rule,
    /// Control points between the two ends.
    pub bends: usize,
    /// Points of the curve that a step draws.
    pub draws: usize,
    /// Points between the ends that a look evaluates.
    pub between: usize,
    /// The seed of the drawn points and of the order of batches.
    pub seed: u64,
}

impl BendingOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        Cycle::check(&self.cycles)?;
        require!(
            self.bends > 0 && self.draws > 0 && self.between > 0,
            "got {} control points, {} draws and looks of {} points; pass at least one of each",
            self.bends,
            self.draws,
            self.between
        );
        Ok(())
    }
}

/// The state of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: BendingOptions,
    pub batches: usize,
    /// Cycles that have ended, those steps of the present one.
    done: usize,
    within: usize,
    /// Whether a cycle is running; a look is next where none is.
    pub descending: bool,
    /// The highest loss of the best curve.
    pub best: Option<f64>,
    pub looks: Vec<Look>,
    /// Of the last look.
    pub barrier: f64,
    /// Of the last step.
    pub slope: f64,
    pub steps: usize,
    /// Of the optimiser.
    pub moves: i32,
    pub drawn: u64,
    pub losses: usize,
    pub gradients: usize,
    pub ending: Ending,
}

impl State {
    pub fn new(options: BendingOptions, batches: usize) -> Self {
        Self {
            options,
            batches,
            done: 0,
            within: 0,
            descending: false,
            best: None,
            looks: Vec::new(),
            barrier: 0.0,
            slope: 0.0,
            steps: 0,
            moves: 0,
            drawn: 0,
            losses: 0,
            gradients: 0,
            ending: Ending::Running,
        }
    }

    pub fn read(record: &str) -> Result<Self, Error> {
        serde_json::from_str(record).map_err(|error| {
            Error::Invalid(format!("got a text that is no record of a curve: {error}"))
        })
    }

    /// The state as text, after so many moves of the optimiser.
    pub fn text(&self, moves: i32) -> String {
        serde_json::to_string(&Self { moves, ..self.clone() }).unwrap_or_default()
    }

    /// The cycle that is due.
    pub fn cycle(&self) -> Option<Cycle> {
        self.options.cycles.get(self.done).copied()
    }

    /// Takes in what a look has found.
    pub fn seen(&mut self, highest: f64, barrier: f64, points: usize) {
        self.losses += points;
        self.barrier = barrier;
        self.looks.push(Look { steps: self.steps, pivots: self.options.bends, highest });
    }

    /// Begins a cycle, or ends (true).
    pub fn begin(&mut self) -> bool {
        if self.cycle().is_none() {
            self.ending = Ending::Complete;
            return true;
        }
        (self.within, self.descending) = (0, true);
        false
    }

    /// Counts a step.
    pub fn moved(&mut self, slope: f64) {
        self.slope = slope;
        self.steps += 1;
        self.within += 1;
        self.gradients += self.options.draws;
        self.drawn += self.options.draws as u64;
        if self.cycle().is_none_or(|cycle| self.within >= cycle.steps) {
            self.done += 1;
            self.descending = false;
        }
    }

    /// The error of a number that is not finite.
    pub fn not_finite(&self, t: f64, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at t = {t:.4} of the curve, in cycle {} after {} steps, the loss is {loss} or the \
             gradient not finite; lower the learning rate, or choose ends between which the loss \
             is finite",
            self.done + 1,
            self.steps
        ))
    }
}
