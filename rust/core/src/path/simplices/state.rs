//! All that a search for a complex is but its vectors.

use serde::{Deserialize, Serialize};

use super::super::descent::Rule;
use super::super::outcome::{Cycle, Ending};
use crate::error::{Error, require};

/// What a complex is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimplicesOptions {
    /// Connecting points, trained one after the other.
    pub connectors: usize,
    /// Steps and learning rates of each, one cycle after the other.
    pub cycles: Vec<Cycle>,
    /// How a force becomes a step.
    pub rule: Rule,
    /// Points that a step draws in every simplex, each on a batch of its own.
    pub samples: usize,
    /// λ*: what volume is worth.
    pub volume: f64,
    /// How far from the mean of the vertices a connecting point begins, as a share of how far the
    /// minima are from theirs.
    pub spread: f64,
    /// The seed of the order of batches, of the points, and of where connecting points begin.
    pub seed: u64,
}

impl SimplicesOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn check(&self, dim: usize) -> Result<(), Error> {
        Cycle::check(&self.cycles)?;
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

/// The state of a search for a complex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: SimplicesOptions,
    pub batches: usize,
    pub modes: usize,
    /// Connecting points that stand.
    pub placed: usize,
    /// Cycles of the last one that have ended, and steps of the present one.
    done: usize,
    within: usize,
    /// λ of the last one.
    pub weight: f64,
    /// The mean loss at the points of the last step; none before.
    pub loss: Option<f64>,
    pub log_volume: Option<f64>,
    pub steps: usize,
    /// Of the optimiser.
    pub moves: i32,
    /// Gradients of single batches so far: as many batches were drawn.
    pub gradients: u64,
    pub ending: Ending,
}

impl State {
    pub fn new(options: SimplicesOptions, batches: usize, modes: usize) -> Self {
        Self {
            options,
            batches,
            modes,
            placed: 0,
            done: 0,
            within: 0,
            weight: 0.0,
            loss: None,
            log_volume: None,
            steps: 0,
            moves: 0,
            gradients: 0,
            ending: Ending::Running,
        }
    }

    pub fn read(record: &str) -> Result<Self, Error> {
        serde_json::from_str(record).map_err(|error| {
            Error::Invalid(format!("got a text that is no record of a complex: {error}"))
        })
    }

    /// The state as text, after so many moves of the optimiser.
    pub fn text(&self, moves: i32) -> String {
        serde_json::to_string(&Self { moves, ..self.clone() }).unwrap_or_default()
    }

    /// Whether volume counts: not for the first connecting point between several minima, where
    /// simplices are segments.
    pub fn regularised(&self) -> bool {
        self.placed > 0 || self.modes == 1
    }

    /// The learning rate of the step that is due; None where a connecting point is due.
    pub fn rate(&self) -> Option<f64> {
        self.options.cycles.get(self.done).filter(|_| self.placed > 0).map(|cycle| cycle.rate)
    }

    /// Counts a connecting point.
    pub fn begin(&mut self, weight: f64) {
        self.placed += 1;
        (self.done, self.within, self.weight) = (0, 0, weight);
    }

    /// Counts a step with so many gradients.
    pub fn moved(&mut self, loss: f64, log_volume: Option<f64>, gradients: usize) {
        (self.loss, self.log_volume) = (Some(loss), log_volume);
        self.steps += 1;
        self.within += 1;
        self.gradients += gradients as u64;
        if self.options.cycles.get(self.done).is_none_or(|cycle| self.within >= cycle.steps) {
            self.done += 1;
            self.within = 0;
        }
        if self.done == self.options.cycles.len() && self.placed == self.options.connectors {
            self.ending = Ending::Complete;
        }
    }

    /// The error of a number that is not finite.
    pub fn not_finite(&self, mode: usize, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at a point of the simplex of minimum {mode} and {} connecting points, after {} steps, \
             the loss is {loss} or the gradient not finite; lower the learning rate or the weight \
             of the volume, or choose minima between which the loss is finite",
            self.placed, self.steps
        ))
    }
}
