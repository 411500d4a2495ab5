//! All that a band is but its vectors.

use serde::{Deserialize, Serialize};

use super::super::descent::Rule;
use super::super::outcome::{Cycle, Ending};
use crate::error::{Error, require};

/// What a band is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutoNebOptions {
    /// Steps and learning rates, one cycle after the other.
    pub cycles: Vec<Cycle>,
    /// How a force becomes a step.
    pub rule: Rule,
    /// The stiffness of springs; None spreads the pivots evenly after every step.
    pub spring: Option<f64>,
    /// The last so many cycles, in which the highest pivot climbs.
    pub climb: usize,
    /// The force that counts as zero (where one batch holds all data); 0 runs all cycles.
    pub tolerance: f64,
    /// Pivots at the beginning, without the ends.
    pub pivots: usize,
    /// The most of them.
    pub max_pivots: usize,
    /// The rise above the line between two pivots that asks for another one, as a share of the
    /// range of losses on the band.
    pub insertion: f64,
    /// Points that a look evaluates between two pivots.
    pub between: usize,
    /// The seed of the order of batches.
    pub seed: u64,
}

impl AutoNebOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        Cycle::check(&self.cycles)?;
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

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps before it.
    pub steps: usize,
    /// Pivots, without the ends.
    pub pivots: usize,
    /// The highest loss on the band.
    pub highest: f64,
}

/// The state of a band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub options: AutoNebOptions,
    pub batches: usize,
    /// Cycles that have ended, those steps of the present one.
    done: usize,
    within: usize,
    /// Whether a cycle is running; a look is next where none is.
    pub relaxing: bool,
    /// Whether the last cycle ended because the force was small.
    pub converged: bool,
    /// The losses of the pivots, ends included, as tangents see them.
    energies: Vec<f64>,
    pub force: f64,
    /// The highest loss of the best band.
    pub best: Option<f64>,
    pub looks: Vec<Look>,
    pub steps: usize,
    /// Of the optimiser.
    pub moves: i32,
    pub drawn: u64,
    pub losses: usize,
    pub gradients: usize,
    pub ending: Ending,
}

impl State {
    pub fn new(options: AutoNebOptions, batches: usize) -> Self {
        Self {
            options,
            batches,
            done: 0,
            within: 0,
            relaxing: false,
            converged: false,
            energies: Vec::new(),
            force: f64::NAN,
            best: None,
            looks: Vec::new(),
            steps: 0,
            moves: 0,
            drawn: 0,
            losses: 0,
            gradients: 0,
            ending: Ending::Running,
        }
    }

    pub fn read(record: &str) -> Result<Self, Error> {
        let text: Kept = serde_json::from_str(record).map_err(|error| {
            Error::Invalid(format!("got a text that is no record of a band: {error}"))
        })?;
        Ok(Self { force: text.force.unwrap_or(f64::NAN), ..text.state })
    }

    /// The state as text, after so many moves of the optimiser.
    pub fn text(&self, moves: i32) -> String {
        let force = self.force.is_finite().then_some(self.force);
        let state = Self { force: 0.0, moves, ..self.clone() };
        serde_json::to_string(&Kept { state, force }).unwrap_or_default()
    }

    /// The cycle that is due.
    pub fn cycle(&self) -> Option<Cycle> {
        self.options.cycles.get(self.done).copied()
    }

    pub fn barrier(&self) -> f64 {
        let ends = [self.energies.first(), self.energies.last()];
        let higher = ends.into_iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        self.energies.iter().copied().fold(f64::NEG_INFINITY, f64::max) - higher
    }

    /// Takes in what a look has found.
    pub fn seen(&mut self, pivots: &[f64], highest: f64) {
        self.losses += pivots.len() + (pivots.len() - 1) * self.options.between;
        self.energies = pivots.to_vec();
        self.looks.push(Look { steps: self.steps, pivots: pivots.len() - 2, highest });
    }

    /// Ends, where the band has converged or all cycles have run.
    pub fn finish(&mut self, converged: bool) -> bool {
        if converged {
            self.ending = Ending::Converged;
        } else if self.cycle().is_none() {
            self.ending = Ending::Complete;
        }
        self.ending != Ending::Running
    }

    /// Begins a cycle.
    pub fn begin(&mut self, energies: Vec<f64>) {
        (self.energies, self.within, self.relaxing, self.converged) = (energies, 0, true, false);
    }

    /// The losses of the pivots after new ones of the inner pivots came in.
    pub fn blended(&self, losses: &[f64], memory: f64) -> Vec<f64> {
        let mut energies = self.energies.clone();
        for (energy, loss) in energies[1..].iter_mut().zip(losses) {
            *energy = memory * *energy + (1.0 - memory) * loss;
        }
        energies
    }

    /// The pivot that climbs, if one does.
    pub fn climber(&self, energies: &[f64]) -> Option<usize> {
        let last = self.options.cycles.len() - self.options.climb.min(self.options.cycles.len());
        let inner = 1..energies.len() - 1;
        let highest = inner.max_by(|&a, &b| energies[a].total_cmp(&energies[b]))?;
        (self.done >= last).then_some(highest)
    }

    /// Counts a step.
    pub fn moved(&mut self, energies: Vec<f64>, force: f64, gradients: usize) {
        (self.energies, self.force) = (energies, force);
        self.steps += 1;
        self.within += 1;
        self.gradients += gradients;
        self.drawn += gradients as u64;
        // The force on a batch is noise where all data have none.
        self.converged = self.batches == 1 && force <= self.options.tolerance;
        if self.converged || self.cycle().is_none_or(|cycle| self.within >= cycle.steps) {
            self.done += 1;
            self.relaxing = false;
        }
    }

    /// The error of a number that is not finite.
    pub fn not_finite(&self, what: &str, loss: f64) -> Error {
        Error::NonFinite(format!(
            "at {what}, in cycle {} after {} steps, the loss is {loss} or the gradient not finite; \
             lower the learning rate, or choose ends between which the loss is finite",
            self.done + 1,
            self.steps
        ))
    }
}

/// A state in a file: JSON has no NaN.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: State,
    force: Option<f64>,
}
