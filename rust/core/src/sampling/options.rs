//! Options of a Langevin sampler.

use serde::{Deserialize, Serialize};

use crate::error::{Error, require};
use crate::solver::MAX_COUNT;

/// The diagonal matrix G that scales steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Preconditioner {
    /// G = 1: stochastic gradient Langevin dynamics (Welling and Teh 2011).
    None,
    /// G = 1/(√v + λ) with the mean v of squared gradients, learned while chains burn in and fixed
    /// afterwards (after Li et al. 2016).
    Rmsprop {
        /// The weight of the past in v, after every step.
        decay: f64,
        /// λ, in units of the gradient.
        damping: f64,
    },
}

/// How the noise ξ of a step is made of independent standard normal vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Noise {
    /// ξₜ: the Euler-Maruyama scheme.
    Euler,
    /// (ξₜ + ξₜ₊₁)/2, each shared by two steps: samples of a normal distribution have no bias, whatever
    /// the step (Leimkuhler and Matthews 2013).
    Averaged,
}

/// The samples of which gradients are means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GradientData {
    /// All of them.
    All,
    /// One mini-batch for each chain and step.
    MiniBatch,
}

/// Options of a Langevin sampler.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LangevinOptions {
    /// The number of chains.
    pub chains: usize,
    /// The step ε.
    pub step: f64,
    /// The number of samples times the inverse temperature, nβ.
    pub nbeta: f64,
    /// The strength γ of the prior about the centre.
    pub localisation: f64,
    /// Steps before the first draw.
    pub burn_in: usize,
    /// The number of draws of each chain.
    pub draws: usize,
    /// Steps of a draw.
    pub thinning: usize,
    /// The seed of the noise and of the order of batches.
    pub seed: u64,
    /// The diagonal matrix that scales steps.
    pub preconditioner: Preconditioner,
    /// How noise is made.
    pub noise: Noise,
    /// The samples of which gradients are means.
    pub data: GradientData,
}

impl LangevinOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        require!(
            self.chains > 0 && self.draws > 0 && self.thinning > 0,
            "got {} chains, {} draws and {} steps a draw; pass at least one of each",
            self.chains,
            self.draws,
            self.thinning
        );
        require!(
            self.total_steps().is_some_and(|steps| steps as u64 <= MAX_COUNT),
            "got {} draws of {} steps after {}; pass fewer than 2^53 steps together",
            self.draws,
            self.thinning,
            self.burn_in
        );
        require!(
            positive(self.step) && positive(self.nbeta),
            "got the step {} and n beta = {}; pass finite numbers above 0",
            self.step,
            self.nbeta
        );
        require!(
            self.localisation.is_finite() && self.localisation >= 0.0,
            "got the localisation {}; pass a finite number from 0",
            self.localisation
        );
        if let Preconditioner::Rmsprop { decay, damping } = self.preconditioner {
            require!(
                (0.0..1.0).contains(&decay) && positive(damping),
                "got the decay {decay} and the damping {damping} of RMSprop; pass a decay from 0, \
                 below 1, and a damping above 0"
            );
            require!(
                self.burn_in > 0,
                "got RMSprop without burn-in, which is when it learns its scales; pass a burn_in of \
                 1 step or more"
            );
        }
        Ok(())
    }

    /// All steps of a chain, where their number can be represented.
    pub(super) fn total_steps(&self) -> Option<usize> {
        self.draws.checked_mul(self.thinning)?.checked_add(self.burn_in)
    }

    /// Whether the point before a step is a draw.
    pub(super) fn is_draw(&self, step: usize) -> bool {
        step >= self.burn_in && (step - self.burn_in + 1).is_multiple_of(self.thinning)
    }
}
