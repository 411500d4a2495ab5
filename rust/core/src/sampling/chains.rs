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

    /// θ ← θ − ε/2 G (nβ ∇L + γ (θ − θ₀)) + √(ε G) ξ for the chains with a gradient, in f64 and rounded
    /// once. False for those whose new point is not finite; they stay where they are.
    pub fn advance(
        &mut self,
        options: &LangevinOptions,
        scales: &Scales,
        step: usize,
        gradients: &[Option<&[S]>],
    ) -> Vec<bool> {
        let (dim, centre) = (self.centre.len(), &self.centre);
        let chains = self.points.par_chunks_mut(dim).zip(&mut self.noise).zip(gradients);
        let moved = chains.map(|((point, noise), gradient)| {
            let Some(gradient) = gradient else { return true };
            let noise = noise.draw(step, dim);
            move_point(options, scales, centre, (point, gradient), noise)
        });
        install(|| moved.collect())
    }
}

/// One step of a chain with its noise; false where the new point is not finite.
fn move_point<S: Scalar>(
    options: &LangevinOptions,
    scales: &Scales,
    centre: &[S],
    (point, gradient): (&mut [S], &[S]),
    mut noise: Vec<S>,
) -> bool {
    let LangevinOptions { step, nbeta, localisation, .. } = *options;
    let moved = |index: usize, noise: S| {
        let scale = step * scales.entry(index);
        let theta = point[index].widen();
        let pull = localisation * (theta - centre[index].widen());
        let force = nbeta * gradient[index].widen() + pull;
        S::narrow(theta - scale / 2.0 * force + scale.sqrt() * noise.widen())
    };
    let blocks = noise.par_chunks_mut(BLOCK).enumerate();
    let finite = blocks.map(|(block, entries)| {
        for (offset, entry) in entries.iter_mut().enumerate() {
            *entry = moved(block * BLOCK + offset, *entry);
        }
        entries.iter().all(|entry| entry.widen().is_finite())
    });
    let is_finite = finite.reduce(|| true, |left, right| left & right);
    if is_finite {
        point.copy_from_slice(&noise);
    }
    is_finite
}
