//! Auto-PGD: projected gradient ascent that adapts its step.

use serde::{Deserialize, Serialize};

use super::options::AscentOptions;
use super::rule::{Evaluation, Next, Rule};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::solver::MAX_COUNT;

/// The share α of the new step; the rest is that of the last one.
const MOMENTUM: f64 = 0.75;
/// The share of steps between checkpoints that must increase the loss.
const SUCCESSES: f64 = 0.75;
/// The first step, as a share of the radius.
const FIRST_STEP: f64 = 2.0;
/// The first checkpoint, the decrease of the intervals, and the shortest one, as shares of all steps.
const FIRST_CHECKPOINT: f64 = 0.22;
const DECREASE: f64 = 0.03;
const SHORTEST: f64 = 0.06;
/// What rounding may add to a checkpoint.
const ROUNDING: f64 = 1e-6;

/// z = P(u + η v), u ← P(u + α (z − u) + (1 − α)(u − u⁻)), with the steepest direction v and the
/// last point u⁻.
///
/// At checkpoints η is halved, and the best point restored, where fewer than 75% of the steps since
/// the last checkpoint increased the loss, or where neither η nor the best loss changed since.
///
/// # Reference
/// Croce, Hein (2020), *Reliable evaluation of adversarial robustness with an ensemble of diverse
/// parameter-free attacks*, algorithm 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Default")]
pub(super) struct AutoPgd<S> {
    /// η as a share of the radius.
    step: f64,
    /// The loss at the point from which the last step started.
    loss: f64,
    best_loss: f64,
    /// The state at the last checkpoint.
    checkpoint: usize,
    checkpoint_step: f64,
    checkpoint_best: f64,
    /// Steps since the last checkpoint that increased the loss.
    successes: usize,
    #[serde(skip)]
    previous: Vec<S>,
    #[serde(skip)]
    best: Vec<S>,
    #[serde(skip)]
    best_h: Vec<S>,
}

impl<S: Scalar> AutoPgd<S> {
    /// z, the point of a plain step.
    fn plain_step(&self, options: &AscentOptions, u: &[S], h: &[S]) -> Vec<S> {
        let length = self.step * options.radius;
        let direction = options.constraint.steepest(h);
        let moved: Vec<_> = u.iter().zip(&direction).map(|(u, v)| u.widen() + length * v).collect();
        options.constraint.project(options.radius, &moved)
    }

    /// Halves the step where the last interval had no success; whether it did.
    fn halve_step(&mut self, step: usize) -> bool {
        let interval = step.saturating_sub(self.checkpoint);
        let few = (self.successes as f64) < SUCCESSES * interval as f64;
        let unchanged = self.step == self.checkpoint_step && self.best_loss == self.checkpoint_best;
        (self.checkpoint, self.successes) = (step, 0);
        (self.checkpoint_step, self.checkpoint_best) = (self.step, self.best_loss);
        let halved = few || unchanged;
        if halved {
            self.step /= 2.0;
        }
        halved
    }
}

impl<S: Scalar> Rule<S> for AutoPgd<S> {
    fn begin(options: &AscentOptions, start: Evaluation<'_, S>) -> (Self, Next<S>) {
        let rule = Self {
            step: FIRST_STEP,
            loss: start.loss,
            best_loss: start.loss,
            checkpoint: 0,
            checkpoint_step: FIRST_STEP,
            checkpoint_best: start.loss,
            successes: 0,
            previous: start.u.to_vec(),
            best: start.u.to_vec(),
            best_h: start.h.to_vec(),
        };
        let next = rule.plain_step(options, start.u, start.h);
        (rule, Next::Evaluate(next))
    }

    fn advance(&mut self, options: &AscentOptions, evaluation: Evaluation<'_, S>) -> Next<S> {
        self.successes += usize::from(evaluation.loss > self.loss);
        self.loss = evaluation.loss;
        if evaluation.loss > self.best_loss {
            self.best_loss = evaluation.loss;
            self.best = evaluation.u.to_vec();
            self.best_h = evaluation.h.to_vec();
        }
        let (mut u, mut h) = (evaluation.u.to_vec(), evaluation.h.to_vec());
        if is_checkpoint(evaluation.step, options.steps) && self.halve_step(evaluation.step) {
            (u, h) = (self.best.clone(), self.best_h.clone());
            self.loss = self.best_loss;
        }
        let z = self.plain_step(options, &u, &h);
        let combined: Vec<_> = u
            .iter()
            .zip(&z)
            .zip(&self.previous)
            .map(|((u, z), previous)| {
                let (u, z, previous) = (u.widen(), z.widen(), previous.widen());
                u + MOMENTUM * (z - u) + (1.0 - MOMENTUM) * (u - previous)
            })
            .collect();
        self.previous = u;
        Next::Evaluate(options.constraint.project(options.radius, &combined))
    }

    fn vectors(&self) -> Vec<&[S]> {
        vec![&self.previous, &self.best, &self.best_h]
    }

    fn restore(&mut self, vectors: Vec<Vec<S>>) -> Result<(), Error> {
        let count = vectors.len();
        let Ok([previous, best, best_h]) = <[Vec<S>; 3]>::try_from(vectors) else {
            return Err(Error::Invalid(format!(
                "got {count} vectors of Auto-PGD; pass the 3 of its checkpoint"
            )));
        };
        let numbers = [self.step, self.loss, self.best_loss, self.checkpoint_best];
        require!(
            numbers.iter().all(|number| number.is_finite())
                && self.step >= 0.0
                && self.successes as u64 <= MAX_COUNT,
            "got a state of Auto-PGD that cannot be; pass that of its checkpoint"
        );
        (self.previous, self.best, self.best_h) = (previous, best, best_h);
        Ok(())
    }
}

/// Whether the loss after this step is a checkpoint of so many steps: wⱼ = ⌈pⱼ N⌉ with p₀ = 0,
/// p₁ = 0.22 and pⱼ₊₁ = pⱼ + max(pⱼ − pⱼ₋₁ − 0.03, 0.06).
fn is_checkpoint(step: usize, steps: usize) -> bool {
    let (mut share, mut interval) = (0.0, FIRST_CHECKPOINT);
    while share < 1.0 {
        share += interval;
        interval = (interval - DECREASE).max(SHORTEST);
        if (share * steps as f64 - ROUNDING).ceil() == step as f64 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_a_hundred_steps() {
        let found: Vec<_> = (1..=100).filter(|&step| is_checkpoint(step, 100)).collect();
        assert_eq!(found, [22, 41, 57, 70, 80, 87, 93, 99]);
    }
}
