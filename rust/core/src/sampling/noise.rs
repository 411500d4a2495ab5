//! The random displacement of each step.

use super::options::Noise;
use crate::random::Gaussian;
use crate::scalar::Scalar;

/// The first random stream of chains, disjoint from those of other users of a seed.
const STREAMS: u64 = 1 << 46;

/// The noise of one chain: a stream of normal variates, of which step t has those at positions
/// t d, …, t d + d − 1, so that the noise of any step is known without those before.
#[derive(Clone, Debug)]
pub(super) struct ChainNoise<S> {
    kind: Noise,
    stream: Gaussian,
    /// ξₜ of the next step; empty for the Euler scheme.
    current: Vec<S>,
}

impl<S: Scalar> ChainNoise<S> {
    /// The noise of a chain from a step on, for vectors of `dim` entries.
    pub fn new(kind: Noise, seed: u64, chain: usize, step: usize, dim: usize) -> Self {
        let stream = Gaussian::new(seed, STREAMS + chain as u64);
        let mut current = Vec::new();
        if kind == Noise::Averaged {
            current = vec![S::default(); dim];
            stream.fill(position(step, dim), &mut current);
        }
        Self { kind, stream, current }
    }

    /// The noise of a step, for steps one after the other.
    pub fn draw(&mut self, step: usize, dim: usize) -> Vec<S> {
        let mut noise = vec![S::default(); dim];
        match self.kind {
            Noise::Euler => self.stream.fill(position(step, dim), &mut noise),
            Noise::Averaged => {
                self.stream.fill(position(step + 1, dim), &mut noise);
                for (next, current) in noise.iter_mut().zip(&mut self.current) {
                    let mean = current.widen().midpoint(next.widen());
                    *current = *next;
                    *next = S::narrow(mean);
                }
            }
        }
        noise
    }
}

/// A position beyond the end of the stream begins anew, which takes centuries of steps.
fn position(step: usize, dim: usize) -> u64 {
    (step as u64).wrapping_mul(dim as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averaged_noise_shares_each_vector_between_two_steps() {
        let mut plain = ChainNoise::<f64>::new(Noise::Euler, 3, 1, 0, 5);
        let own: Vec<_> = (0..4).map(|step| plain.draw(step, 5)).collect();
        let mut averaged = ChainNoise::<f64>::new(Noise::Averaged, 3, 1, 0, 5);
        for step in 0..3 {
            let mean = own[step].iter().zip(&own[step + 1]).map(|(a, b)| (a + b) / 2.0);
            assert_eq!(averaged.draw(step, 5), mean.collect::<Vec<_>>());
        }
        let mut resumed = ChainNoise::<f64>::new(Noise::Averaged, 3, 1, 3, 5);
        assert_eq!(resumed.draw(3, 5), averaged.draw(3, 5));
        assert_ne!(ChainNoise::<f64>::new(Noise::Euler, 3, 2, 0, 5).draw(0, 5), own[0]);
    }
}
