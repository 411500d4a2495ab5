//! The points of all chains, and their steps.

use rayon::prelude::*;

use super::noise::ChainNoise;
use super::options::LangevinOptions;
use super::preconditioner::Scales;
use crate::scalar::Scalar;
use crate::threads::install;

/// Entries of one parallel task.
const BLOCK: usize = 1 << 14;

/// The centre θ₀, and the point and noise of every chain.
#[derive(Clone, Debug)]
pub(super) struct Chains<S> {
    pub centre: Vec<S>,
    /// Row-major (chains, dim).
    pub points: Vec<S>,
    noise: Vec<ChainNoise<S>>,
}

impl<S: Scalar> Chains<S> {
    /// Chains at these points before a step.
    pub fn new(centre: Vec<S>, points: Vec<S>, options: &LangevinOptions, step: usize) -> Self {
        let dim = centre.len();
        let noise = |chain| ChainNoise::new(options.noise, options.seed, chain, step, dim);
        Self { noise: (0..options.chains).map(noise).collect(), centre, points }
    }

    /// The point of a chain.
    pub fn point(&self, chain: usize) -> &[S] {
        &self.points[chain * self.centre.len()..][..self.centre.len()]
    }

    /// θ ← θ − ε/2 G (nβ ∇L + γ (θ − θ₀)) + √(ε G) ξ for one chain, in f64 and rounded once. Returns
    /// false, and leaves the point as it is, where the new one is not finite.
    pub fn advance(
        &mut self,
        options: &LangevinOptions,
        scales: &Scales,
        (chain, step): (usize, usize),
        gradient: &[S],
    ) -> bool {
        let dim = self.centre.len();
        let LangevinOptions { step: length, nbeta, localisation, .. } = *options;
        let mut moved = self.noise[chain].draw(step, dim);
        let point = &self.points[chain * dim..][..dim];
        let advance = |index: usize, noise: S| {
            let scale = length * scales.entry(index);
            let theta = point[index].widen();
            let pull = localisation * (theta - self.centre[index].widen());
            let force = nbeta * gradient[index].widen() + pull;
            S::narrow(theta - scale / 2.0 * force + scale.sqrt() * noise.widen())
        };
        let is_finite = install(|| {
            let blocks = moved.par_chunks_mut(BLOCK).enumerate();
            let finite = blocks.map(|(block, entries)| {
                for (offset, entry) in entries.iter_mut().enumerate() {
                    *entry = advance(block * BLOCK + offset, *entry);
                }
                entries.iter().all(|entry| entry.widen().is_finite())
            });
            finite.reduce(|| true, |left, right| left & right)
        });
        if is_finite {
            self.points[chain * dim..][..dim].copy_from_slice(&moved);
        }
        is_finite
    }
}
