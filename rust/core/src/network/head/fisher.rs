//! The Fisher matrix of cross-entropy: E[s sᵀ] for labels y drawn from p, at each position its own.
//!
//! A position's slope is s(y) = ω_y (p − e_y) + b, where ω_c = (1 − ε) w_c and smoothing adds
//! b_c = ε/C (p_c Σ w − w_c). With g_y = ω_y (p − e_y)ᵀ t, Γ = Σ p_y ω_y g_y, G = Σ p_y g_y,
//! d_c = p_c (Σ p_y ω_y − ω_c), which is E[s] − b, and M = Σ E[s]ᵀ t over all positions of a sample,
//!
//! (E[s sᵀ] t)_c = p_c (Γ − ω_c g_c) − d_c G + (d_c + b_c) M.
//!
//! Without weights and smoothing only the first term is there, and the matrix is diag p − p pᵀ.

use std::array::from_fn;

use crate::network::head::classes::IGNORED;
use crate::network::head::cross_entropy::{CrossEntropy, Truth};
use crate::network::head::panel::{Block, Lanes, NOTHING, Outputs, Scratch, WIDTH};
use crate::network::head::softmax::{Position, Softmax};

/// Sums over the labels of one position.
struct Expected {
    /// 1 / Σ e^(z−m).
    scale: Lanes,
    /// The tangent at the top, to which all are relative.
    at_top: Lanes,
    /// pᵀ t, so relative.
    mean: Lanes,
    /// Σ p_y ω_y.
    omega: Lanes,
    /// Γ.
    gamma: Lanes,
    /// G.
    inner: Lanes,
    /// bᵀ t.
    spread: Lanes,
}

impl CrossEntropy {
    /// E[s sᵀ] t.
    pub(super) fn fisher(
        &self,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        outputs.check_all(self.shape.features(), out);
        let powers = scratch.rows(self.shape.channels);
        outputs.isa.run(|| {
            for block in outputs.blocks() {
                let mut total = NOTHING;
                for index in 0..self.shape.positions() {
                    let position = self.position(outputs, index);
                    let sums = self.expected(outputs, &block, position, tangent, powers);
                    let counted = self.counted(&block, index);
                    total = from_fn(|i| {
                        let share = sums.inner[i] + sums.spread[i];
                        total[i] + if counted[i] { share } else { 0.0 }
                    });
                }
                for index in 0..self.shape.positions() {
                    let position = self.position(outputs, index);
                    let sums = self.expected(outputs, &block, position, tangent, powers);
                    let counted = self.counted(&block, index);
                    for (channel, row) in position.rows().enumerate() {
                        let t = block.read(tangent, row);
                        let made = self.entry(channel, &powers[channel], &t, &sums, &total);
                        block.write(out, row, from_fn(|i| if counted[i] { made[i] } else { 0.0 }));
                    }
                }
            }
        });
    }

    /// Where the target at a position is not ignored.
    #[inline]
    fn counted(&self, block: &Block<'_>, position: usize) -> [bool; WIDTH] {
        match &self.truth {
            Truth::Labels(labels) => labels.at(block, position).map(|label| label != IGNORED),
            Truth::Probabilities(_) => [true; WIDTH],
        }
    }

    /// ω_c.
    #[inline]
    fn omega(&self, channel: usize) -> f64 {
        (1.0 - self.smoothing) * self.weights[channel]
    }

    /// b_c.
    #[inline]
    fn spread(&self, channel: usize, p: f64, weight: f64) -> f64 {
        let share = self.smoothing / self.shape.channels as f64;
        share * (p * weight - self.weights[channel])
    }

    #[inline]
    fn expected(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        tangent: &[f64],
        powers: &mut [Lanes],
    ) -> Expected {
        let softmax = Softmax::new(outputs, block, position, powers);
        let rows = || position.rows().map(|row| block.read(tangent, row));
        let (scale, at_top) = (softmax.scale(), softmax.at_top(rows()));
        let mut mean = NOTHING;
        for (power, t) in powers.iter().zip(rows()) {
            mean = from_fn(|i| mean[i] + scale[i] * power[i] * (t[i] - at_top[i]));
        }
        let weight = self.weights.iter().sum();
        let [mut omega, mut gamma, mut inner, mut spread] = [NOTHING; 4];
        for (channel, (power, t)) in powers.iter().zip(rows()).enumerate() {
            for i in 0..WIDTH {
                let (p, w) = (scale[i] * power[i], self.omega(channel));
                let g = w * (mean[i] - (t[i] - at_top[i]));
                omega[i] += p * w;
                gamma[i] += p * w * g;
                inner[i] += p * g;
                spread[i] += self.spread(channel, p, weight) * (t[i] - at_top[i]);
            }
        }
        Expected { scale, at_top, mean, omega, gamma, inner, spread }
    }

    /// One channel of E[s sᵀ] t.
    #[inline]
    fn entry(
        &self,
        channel: usize,
        power: &Lanes,
        t: &Lanes,
        sums: &Expected,
        total: &Lanes,
    ) -> Lanes {
        let (w, weight) = (self.omega(channel), self.weights.iter().sum());
        from_fn(|i| {
            let p = sums.scale[i] * power[i];
            let g = w * (sums.mean[i] - (t[i] - sums.at_top[i]));
            let d = p * (sums.omega[i] - w);
            let b = self.spread(channel, p, weight);
            p * (sums.gamma[i] - w * g) - d * sums.inner[i] + (d + b) * total[i]
        })
    }
}
