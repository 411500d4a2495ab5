//! Gradient descent with momentum, and Adam, for many points together.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::threads::install;

/// The update rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum OptimizerKind {
    /// Gradient descent with momentum μ: v ← μ v + F, x ← x + η v, where F is the negative gradient.
    Momentum(f64),
    /// Adam (Kingma and Ba 2015, algorithm 1) with β = 0.9, 0.999 and ε = 1e-8.
    Adam,
}

impl OptimizerKind {
    /// # Errors
    /// [`Error::Invalid`] where the momentum is out of range.
    pub(super) fn validate(self) -> Result<(), Error> {
        if let Self::Momentum(momentum) = self {
            require!(
                (0.0..=1.0).contains(&momentum),
                "got the momentum {momentum}; pass one from 0 to 1"
            );
        }
        Ok(())
    }
}

/// Adam's β₁, β₂ and ε.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Entries of one parallel task.
const BLOCK: usize = 1 << 14;

/// An optimizer and its state, for the concatenated entries of all points.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Optimizer<S> {
    kind: OptimizerKind,
    /// The velocity, or Adam's first moment.
    first: Vec<S>,
    /// Adam's second moment; empty for momentum.
    second: Vec<S>,
    steps: i32,
}

impl<S: Scalar> Optimizer<S> {
    /// An optimizer with zero state for this number of entries.
    pub fn new(kind: OptimizerKind, entries: usize) -> Self {
        let second = if kind == OptimizerKind::Adam { entries } else { 0 };
        let zeros = |count: usize| vec![S::default(); count];
        Self { kind, first: zeros(entries), second: zeros(second), steps: 0 }
    }

    /// Both moments as one vector, and the number of steps.
    pub fn state(&self) -> (Vec<S>, i32) {
        ([self.first.as_slice(), &self.second].concat(), self.steps)
    }

    /// The optimizer with this [`state`](Self::state).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the vector has another length.
    pub fn resume(
        kind: OptimizerKind,
        entries: usize,
        moments: &[S],
        steps: i32,
    ) -> Result<Self, Error> {
        let mut optimizer = Self::new(kind, entries);
        require!(
            moments.len() == optimizer.first.len() + optimizer.second.len()
                && moments.iter().all(|moment| moment.widen().is_finite())
                && steps >= 0,
            "got {} numbers of an optimizer after {steps} steps for {entries} entries; pass the state \
             of its checkpoint",
            moments.len()
        );
        let (first, second) = moments.split_at(entries);
        optimizer.first.copy_from_slice(first);
        optimizer.second.copy_from_slice(second);
        optimizer.steps = steps;
        Ok(optimizer)
    }

    /// One step of all points along the forces (negative gradients), in f64 and rounded once.
    pub fn step(&mut self, points: &mut [S], forces: &[S], rate: f64) {
        self.steps = self.steps.saturating_add(1);
        install(|| self.update(points, forces, rate));
    }

    fn update(&mut self, points: &mut [S], forces: &[S], rate: f64) {
        match self.kind {
            OptimizerKind::Momentum(momentum) => {
                let parts = points.par_chunks_mut(BLOCK).zip(self.first.par_chunks_mut(BLOCK));
                parts.zip(forces.par_chunks(BLOCK)).for_each(|((x, v), f)| {
                    for ((x, v), f) in x.iter_mut().zip(v).zip(f) {
                        let speed = momentum * v.widen() + f.widen();
                        *v = S::narrow(speed);
                        *x = S::narrow(x.widen() + rate * speed);
                    }
                });
            }
            OptimizerKind::Adam => {
                let corrections = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
                let means = self.first.par_chunks_mut(BLOCK).zip(self.second.par_chunks_mut(BLOCK));
                let parts = points.par_chunks_mut(BLOCK).zip(means);
                parts.zip(forces.par_chunks(BLOCK)).for_each(|((x, (m, v)), f)| {
                    for (((x, m), v), f) in x.iter_mut().zip(m).zip(v).zip(f) {
                        let force = f.widen();
                        let mean = BETA1 * m.widen() + (1.0 - BETA1) * force;
                        let square = BETA2 * v.widen() + (1.0 - BETA2) * force * force;
                        *m = S::narrow(mean);
                        *v = S::narrow(square);
                        let scale = (square / corrections.1).sqrt() + EPSILON;
                        *x = S::narrow(x.widen() + rate * (mean / corrections.0) / scale);
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_of_momentum_by_hand() {
        let mut optimizer = Optimizer::new(OptimizerKind::Momentum(0.5), 1);
        let mut x = [1.0];
        optimizer.step(&mut x, &[2.0], 0.1); // v = 2
        optimizer.step(&mut x, &[4.0], 0.1); // v = 5
        assert!((x[0] - 1.7_f64).abs() < 1e-15);
    }

    #[test]
    fn the_first_step_of_adam_has_the_length_of_the_rate() {
        let mut optimizer = Optimizer::new(OptimizerKind::Adam, 2);
        let mut x = [0.0, 0.0];
        optimizer.step(&mut x, &[5.0, -1e-3], 0.1);
        assert!((x[0] - 0.1_f64).abs() < 1e-8 && (x[1] + 0.1_f64).abs() < 1e-5, "{x:?}");
    }

    #[test]
    fn a_resumed_optimizer_gives_the_same_bits() {
        for kind in [OptimizerKind::Momentum(0.9), OptimizerKind::Adam] {
            let mut optimizer = Optimizer::<f32>::new(kind, 3);
            let mut x = [1.0, -2.0, 3.0];
            optimizer.step(&mut x, &[0.3, 0.1, -0.7], 0.01);
            let (moments, steps) = optimizer.state();
            let mut again = Optimizer::resume(kind, 3, &moments, steps).expect("its own state");
            let mut y = x;
            optimizer.step(&mut x, &[0.2, 0.2, 0.2], 0.01);
            again.step(&mut y, &[0.2, 0.2, 0.2], 0.01);
            assert_eq!((x, optimizer), (y, again));
        }
    }
}
