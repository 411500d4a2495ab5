//! The Fisher matrix of cross-entropy: E[s sᵀ] for labels y drawn from p, at each position its own.
//!
//! A position's gradient is s(y) = ω_y (p − e_y) + b, where ω_c = (1 − ε) w_c and smoothing adds
//! b_c = ε/C (p_c Σ w − w_c). With g_y = ω_y (p − e_y)ᵀ t, Γ = Σ p_y ω_y g_y, G = Σ p_y g_y,
//! d_c = p_c (Σ p_y ω_y − ω_c), which is E[s] − b, and M = Σ E[s]ᵀ t over all positions of a sample,
//!
//! (E[s sᵀ] t)_c = p_c (Γ − ω_c g_c) − d_c G + (d_c + b_c) M.
//!
//! Without weights and smoothing only the first term is there, and the matrix is diag p − p pᵀ.

use std::array::from_fn;

use crate::network::loss::classes::IGNORED;
use crate::network::loss::cross_entropy::CrossEntropy;
use crate::network::loss::panel::{Block, Lanes, Outputs, Scratch, WIDTH, ZEROS};
use crate::network::loss::soft_targets::Truth;
use crate::network::loss::softmax::{Position, Softmax};

/// Sums over the labels of one position.
struct LabelSums {
    /// 1 / Σ e^(z−m).
    scale: Lanes,
    /// The tangent at the greatest output, which is subtracted from all others.
    at_top: Lanes,
    /// pᵀ t, relative to it.
    mean: Lanes,
    /// Σ p_y ω_y.
    omega: Lanes,
    /// Γ.
    gamma: Lanes,
    /// G.
    inner: Lanes,
    /// bᵀ t.
    smoothing: Lanes,
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
        outputs.isa.run(
            #[inline(always)]
            || {
                for block in outputs.blocks() {
                    let mut total = ZEROS;
                    for index in 0..self.shape.positions() {
                        let position = self.position(outputs, index);
                        let sums = self.sum_over_labels(outputs, &block, position, tangent, powers);
                        let counted = self.is_counted(&block, index);
                        total = from_fn(|i| {
                            let share = sums.inner[i] + sums.smoothing[i];
                            total[i] + if counted[i] { share } else { 0.0 }
                        });
                    }
                    for index in 0..self.shape.positions() {
                        let position = self.position(outputs, index);
                        let sums = self.sum_over_labels(outputs, &block, position, tangent, powers);
                        let counted = self.is_counted(&block, index);
                        for (channel, row) in position.rows().enumerate() {
                            let t = block.read(tangent, row);
                            let entry = self.entry(channel, &powers[channel], &t, &sums, &total);
                            block.write(
                                out,
                                row,
                                from_fn(|i| if counted[i] { entry[i] } else { 0.0 }),
                            );
                        }
                    }
                }
            },
        );
    }

    /// Whether the target at a position is not ignored.
    #[inline(always)]
    fn is_counted(&self, block: &Block<'_>, position: usize) -> [bool; WIDTH] {
        match &self.truth {
            Truth::Labels(labels) => labels.at(block, position).map(|label| label != IGNORED),
            Truth::Probabilities(_) => [true; WIDTH],
        }
    }

    /// ω_c.
    #[inline(always)]
    fn omega(&self, channel: usize) -> f64 {
        (1.0 - self.smoothing) * self.weights[channel]
    }

    /// b_c.
    #[inline(always)]
    fn smoothing_gradient(&self, channel: usize, p: f64, weight: f64) -> f64 {
        let share = self.smoothing / self.shape.channels as f64;
        share * (p * weight - self.weights[channel])
    }

    #[inline(always)]
    fn sum_over_labels(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        tangent: &[f64],
        powers: &mut [Lanes],
    ) -> LabelSums {
        let softmax = Softmax::new(outputs, block, position, powers);
        let rows = || position.rows().map(|row| block.read(tangent, row));
        let (scale, at_top) = (softmax.scale(), softmax.at_top(rows()));
        let mut mean = ZEROS;
        for (power, t) in powers.iter().zip(rows()) {
            mean = from_fn(|i| mean[i] + scale[i] * power[i] * (t[i] - at_top[i]));
        }
        let weight = self.weights.iter().sum();
        let [mut omega, mut gamma, mut inner, mut smoothing] = [ZEROS; 4];
        for (channel, (power, t)) in powers.iter().zip(rows()).enumerate() {
            for i in 0..WIDTH {
                let (p, w) = (scale[i] * power[i], self.omega(channel));
                let g = w * (mean[i] - (t[i] - at_top[i]));
                omega[i] += p * w;
                gamma[i] += p * w * g;
                inner[i] += p * g;
                smoothing[i] += self.smoothing_gradient(channel, p, weight) * (t[i] - at_top[i]);
            }
        }
        LabelSums { scale, at_top, mean, omega, gamma, inner, smoothing }
    }

    /// One channel of E[s sᵀ] t.
    #[inline(always)]
    fn entry(
        &self,
        channel: usize,
        power: &Lanes,
        t: &Lanes,
        sums: &LabelSums,
        total: &Lanes,
    ) -> Lanes {
        let (w, weight) = (self.omega(channel), self.weights.iter().sum());
        from_fn(|i| {
            let p = sums.scale[i] * power[i];
            let g = w * (sums.mean[i] - (t[i] - sums.at_top[i]));
            let d = p * (sums.omega[i] - w);
            let b = self.smoothing_gradient(channel, p, weight);
            p * (sums.gamma[i] - w * g) - d * sums.inner[i] + (d + b) * total[i]
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, classes, near, normals};

    /// E[s sᵀ] over all labels of two positions, from gradients alone.
    fn brute(json: &str, z: &[f64], ignored: [bool; 2]) -> Vec<f64> {
        let probability = |position: usize, class: usize| {
            let total: f64 = (0..3).map(|c| z[2 * c + position].exp()).sum();
            z[2 * class + position].exp() / total
        };
        let mut expected = vec![0.0; 36];
        for labels in (0..9).map(|pair| [pair / 3, pair % 3]) {
            let p = probability(0, labels[0]) * probability(1, labels[1]);
            let target =
                |i: usize| if ignored[i] { -100 } else { i64::try_from(labels[i]).expect("small") };
            let gradient =
                Case::new(json, 3, 2, classes(&[target(0), target(1)], 2)).gradient(0, z);
            for (index, entry) in expected.iter_mut().enumerate() {
                *entry += p * gradient[index / 6] * gradient[index % 6];
            }
        }
        expected
    }

    #[test]
    fn fisher_matrix_is_the_mean_outer_product_over_labels() {
        for options in
            ["", r#","weight":[0.5,2,1]"#, r#","weight":[0.5,2,1],"label_smoothing":0.3"#]
        {
            let json = format!(r#"{{"kind":"cross_entropy"{options}}}"#);
            for ignored in [[false, false], [false, true]] {
                let z = normals(1, 6);
                let targets = ignored.map(|is| if is { -100 } else { 2 });
                let case = Case::new(&json, 3, 2, classes(&targets, 2));
                let actual = case.matrix(Curvature::Fisher, 0, &z).concat();
                near(&actual, &brute(&json, &z, ignored), 1e-13);
            }
        }
    }

    #[test]
    fn fisher_matrix_without_weights_is_the_hessian() {
        let case = Case::new(r#"{"kind":"cross_entropy"}"#, 5, 2, classes(&[0, 4], 2));
        let (z, t) = (normals(2, 10), normals(3, 10));
        let hessian = case.product(Curvature::Hessian, 0, &z, &t);
        near(&case.product(Curvature::Fisher, 0, &z, &t), &hessian, 1e-13);
    }
}
