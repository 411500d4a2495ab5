//! Momentum and Adam for many points together.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, require};
use crate::scalar::Scalar;

/// How a force becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// v ← μ v + F, x ← x + η v: gradient descent with momentum μ.
    Momentum(f64),
    /// Adam (Kingma and Ba 2015, algorithm 1) with β = 0.9, 0.999 and ε = 1e-8.
    Adam,
}

const FIRST: f64 = 0.9;
const SECOND: f64 = 0.999;
const TINY: f64 = 1e-8;
/// Entries that one task moves.
const BLOCK: usize = 1 << 14;

/// The optimiser's memory of some points, all entries in one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Descent<S> {
    rule: Rule,
    /// The velocity, or the mean of forces.
    first: Vec<S>,
    /// The mean of their squares; empty for momentum.
    second: Vec<S>,
    steps: i32,
}

impl<S: Scalar> Descent<S> {
    /// An optimiser at rest, for so many entries.
    pub fn new(rule: Rule, entries: usize) -> Self {
        let second = if rule == Rule::Adam { entries } else { 0 };
        let rest = |count: usize| vec![S::default(); count];
        Self { rule, first: rest(entries), second: rest(second), steps: 0 }
    }

    /// The memory as one vector, and the number of steps made.
    pub fn state(&self) -> (Vec<S>, i32) {
        ([self.first.as_slice(), &self.second].concat(), self.steps)
    }

    /// Goes on with what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the memory is not of these entries.
    pub fn resumed(rule: Rule, entries: usize, memory: &[S], steps: i32) -> Result<Self, Error> {
        let mut made = Self::new(rule, entries);
        require!(
            memory.len() == made.first.len() + made.second.len(),
            "got {} numbers of an optimiser for {entries} entries; pass the state it gave",
            memory.len()
        );
        let (first, second) = memory.split_at(entries);
        made.first.copy_from_slice(first);
        made.second.copy_from_slice(second);
        made.steps = steps;
        Ok(made)
    }

    /// Moves the points by one step along the forces, in arithmetic of f64 rounded once.
    pub fn step(&mut self, points: &mut [S], forces: &[S], rate: f64) {
        self.steps += 1;
        match self.rule {
            Rule::Momentum(momentum) => {
                let parts = points.par_chunks_mut(BLOCK).zip(self.first.par_chunks_mut(BLOCK));
                parts.zip(forces.par_chunks(BLOCK)).for_each(|((x, v), f)| {
                    for ((x, v), f) in x.iter_mut().zip(v).zip(f) {
                        let speed = momentum * v.widen() + f.widen();
                        *v = S::narrow(speed);
                        *x = S::narrow(x.widen() + rate * speed);
                    }
                });
            }
            Rule::Adam => {
                let whole = (1.0 - FIRST.powi(self.steps), 1.0 - SECOND.powi(self.steps));
                let means = self.first.par_chunks_mut(BLOCK).zip(self.second.par_chunks_mut(BLOCK));
                let parts = points.par_chunks_mut(BLOCK).zip(means);
                parts.zip(forces.par_chunks(BLOCK)).for_each(|((x, (m, v)), f)| {
                    for (((x, m), v), f) in x.iter_mut().zip(m).zip(v).zip(f) {
                        let force = f.widen();
                        let mean = FIRST * m.widen() + (1.0 - FIRST) * force;
                        let square = SECOND * v.widen() + (1.0 - SECOND) * force * force;
                        *m = S::narrow(mean);
                        *v = S::narrow(square);
                        let scale = (square / whole.1).sqrt() + TINY;
                        *x = S::narrow(x.widen() + rate * (mean / whole.0) / scale);
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
        let mut descent = Descent::new(Rule::Momentum(0.5), 1);
        let mut x = [1.0];
        descent.step(&mut x, &[2.0], 0.1); // v = 2
        descent.step(&mut x, &[4.0], 0.1); // v = 5
        assert!((x[0] - 1.7_f64).abs() < 1e-15);
    }

    #[test]
    fn the_first_step_of_adam_has_the_length_of_the_rate() {
        let mut descent = Descent::new(Rule::Adam, 2);
        let mut x = [0.0, 0.0];
        descent.step(&mut x, &[5.0, -1e-3], 0.1);
        assert!((x[0] - 0.1_f64).abs() < 1e-8 && (x[1] + 0.1_f64).abs() < 1e-5, "{x:?}");
    }

    #[test]
    fn a_resumed_optimiser_goes_on_with_the_same_bits() {
        for rule in [Rule::Momentum(0.9), Rule::Adam] {
            let mut descent = Descent::<f32>::new(rule, 3);
            let mut x = [1.0, -2.0, 3.0];
            descent.step(&mut x, &[0.3, 0.1, -0.7], 0.01);
            let (memory, steps) = descent.state();
            let mut again = Descent::resumed(rule, 3, &memory, steps).expect("its own state");
            let mut y = x;
            descent.step(&mut x, &[0.2, 0.2, 0.2], 0.01);
            again.step(&mut y, &[0.2, 0.2, 0.2], 0.01);
            assert_eq!((x, descent), (y, again));
        }
    }
}
