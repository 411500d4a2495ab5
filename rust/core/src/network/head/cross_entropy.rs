//! Cross-entropy: Σ_c a_c (−log p_c) with p = softmax(z), summed over positions.
//!
//! The amounts are a_c = w_c ((1 − ε) t_c + ε/C) for class weights w, label smoothing ε and target
//! probabilities t, which are 1 at the label and 0 elsewhere where targets are classes.

use std::array::from_fn;

use crate::error::{Error, require};
use crate::network::head::classes::{IGNORED, Labels, class_weights, count_hits, top};
use crate::network::head::panel::{Block, Lanes, NOTHING, Outputs, Scratch, WIDTH};
use crate::network::head::softmax::{Position, Softmax};
use crate::network::head::{Curvature, Head, Hits, Targets, empirical_fisher};
use crate::network::shape::Shape;

const NAME: &str = "cross-entropy";

/// What the outputs are compared with.
pub(super) enum Truth {
    /// Classes.
    Labels(Labels),
    /// Probabilities of classes, row-major (samples, channels · positions).
    Probabilities(Vec<f64>),
}

/// Cross-entropy with logits.
pub(super) struct CrossEntropy {
    pub(super) shape: Shape,
    pub(super) truth: Truth,
    /// w.
    pub(super) weights: Vec<f64>,
    /// ε.
    pub(super) smoothing: f64,
}

/// What the slopes need of the amounts of a position.
struct Amounts {
    /// A = Σ a.
    total: Lanes,
    /// Σ a without the top's.
    beyond_top: Lanes,
}

impl CrossEntropy {
    /// # Errors
    /// [`Error::Invalid`] when targets or weights do not fit the outputs, or unless 0 ≤ ε ≤ 1.
    pub fn new(
        targets: Targets,
        shape: Shape,
        weights: Option<Vec<f64>>,
        ignored: i64,
        smoothing: f64,
    ) -> Result<Self, Error> {
        require!(
            (0.0..=1.0).contains(&smoothing),
            "{NAME} got label_smoothing {smoothing}; pass a number from 0 to 1"
        );
        let weights = class_weights(NAME, weights, shape)?;
        let truth = match targets {
            Targets::Classes { .. } => Truth::Labels(Labels::new(NAME, targets, shape, ignored)?),
            Targets::Dense { .. } => Truth::Probabilities(targets.dense(NAME, shape)?),
        };
        Ok(Self { shape, truth, weights, smoothing })
    }

    /// The rows of a position.
    #[inline]
    pub(super) fn position(&self, outputs: &Outputs<'_>, position: usize) -> Position {
        Position::new(outputs, position, self.shape.positions())
    }

    /// Fills the amounts of a position, a row for each channel: all 0 where the target is ignored.
    #[inline]
    fn amounts(&self, block: &Block<'_>, position: usize, amounts: &mut [Lanes]) {
        let (kept, spread) = (1.0 - self.smoothing, self.smoothing / self.shape.channels as f64);
        match &self.truth {
            Truth::Labels(labels) => {
                let labels = labels.at(block, position);
                let spread = labels.map(|label| if label == IGNORED { 0.0 } else { spread });
                let labels = labels.map(f64::from);
                let mut channel = 0.0;
                for (row, weight) in amounts.iter_mut().zip(&self.weights) {
                    *row = from_fn(|i| {
                        weight * (spread[i] + if labels[i] == channel { kept } else { 0.0 })
                    });
                    channel += 1.0;
                }
            }
            Truth::Probabilities(probabilities) => {
                let features = self.shape.features();
                for (channel, (row, weight)) in amounts.iter_mut().zip(&self.weights).enumerate() {
                    let index = channel * self.shape.positions() + position;
                    *row = NOTHING;
                    for (amount, sample) in row.iter_mut().zip(block.samples) {
                        let probability = probabilities[sample * features + index];
                        *amount = weight * (kept * probability + spread);
                    }
                }
            }
        }
    }

    /// The losses of a position where all weight is at the label.
    #[inline]
    fn losses_of_labels(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        labels: [u32; WIDTH],
        max: &Lanes,
        log_sum: &Lanes,
    ) -> Lanes {
        from_fn(|i| match labels[i] {
            IGNORED => 0.0,
            label => {
                let z = outputs.values[position.row(label as usize) + block.lane(i)];
                self.weights[label as usize] * (max[i] - z + log_sum[i])
            }
        })
    }

    /// The losses of a position with any amounts.
    #[inline]
    fn losses_of_amounts(
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        amounts: &[Lanes],
        max: &Lanes,
        log_sum: &Lanes,
    ) -> Lanes {
        let mut losses = NOTHING;
        for (amount, row) in amounts.iter().zip(position.rows()) {
            let z = block.read(outputs.values, row);
            losses = from_fn(|i| losses[i] + amount[i] * (max[i] - z[i] + log_sum[i]));
        }
        losses
    }

    /// The losses of one position.
    #[inline]
    fn losses_at(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        index: usize,
        rows: &mut [Lanes],
    ) -> Lanes {
        let position = self.position(outputs, index);
        let softmax = Softmax::new(outputs, block, position, rows);
        let (max, log_sum) = (&softmax.max, &softmax.log_sum(outputs));
        let labels = match &self.truth {
            Truth::Labels(labels) => labels.at(block, index),
            Truth::Probabilities(_) => [0; WIDTH],
        };
        if matches!(self.truth, Truth::Labels(_)) && self.smoothing == 0.0 {
            return self.losses_of_labels(outputs, block, position, labels, max, log_sum);
        }
        self.amounts(block, index, rows);
        let losses = Self::losses_of_amounts(outputs, block, position, rows, max, log_sum);
        // An amount of 0 does not silence an infinite loss, but an ignored target does.
        from_fn(|i| if labels[i] == IGNORED { 0.0 } else { losses[i] })
    }

    /// Calls `work` on every position of every block with its softmax, powers and amounts.
    #[inline]
    fn each(
        &self,
        outputs: &Outputs<'_>,
        scratch: &mut Scratch,
        mut work: impl FnMut(&Block<'_>, Position, &Softmax, &[Lanes], &[Lanes], &Amounts),
    ) {
        let (powers, amounts) =
            scratch.rows(2 * self.shape.channels).split_at_mut(self.shape.channels);
        outputs.isa.run(|| {
            for block in outputs.blocks() {
                for index in 0..self.shape.positions() {
                    let position = self.position(outputs, index);
                    let softmax = Softmax::new(outputs, &block, position, powers);
                    self.amounts(&block, index, amounts);
                    let sums = Amounts::new(&softmax, amounts);
                    work(&block, position, &softmax, powers, amounts, &sums);
                }
            }
        });
    }

    /// A (diag p − p pᵀ) t, where A is at least `floor`.
    fn hessian(
        &self,
        floor: f64,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        outputs.check_all(self.shape.features(), out);
        self.each(outputs, scratch, |block, position, softmax, powers, _, sums| {
            let scale = softmax.scale();
            // Relative to the tangent at the top, whose probability may be 1 to all digits.
            let rows = || position.rows().map(|row| block.read(tangent, row));
            let at_top = softmax.at_top(rows());
            let mut mean = NOTHING;
            for (power, t) in powers.iter().zip(rows()) {
                mean = from_fn(|i| mean[i] + scale[i] * power[i] * (t[i] - at_top[i]));
            }
            let total: Lanes =
                from_fn(|i| if sums.total[i] < floor { floor } else { sums.total[i] });
            for (power, row) in powers.iter().zip(position.rows()) {
                let t = block.read(tangent, row);
                let made =
                    from_fn(|i| total[i] * (scale[i] * power[i]) * (t[i] - at_top[i] - mean[i]));
                block.write(out, row, made);
            }
        });
    }
}

impl Amounts {
    #[inline]
    fn new(softmax: &Softmax, amounts: &[Lanes]) -> Self {
        let (mut total, mut beyond_top, mut channel) = (NOTHING, NOTHING, 0.0);
        for amount in amounts {
            for i in 0..WIDTH {
                total[i] += amount[i];
                beyond_top[i] += if softmax.top[i] == channel { 0.0 } else { amount[i] };
            }
            channel += 1.0;
        }
        Self { total, beyond_top }
    }
}

impl Head for CrossEntropy {
    fn samples(&self) -> usize {
        match &self.truth {
            Truth::Labels(labels) => labels.samples(),
            Truth::Probabilities(values) => values.len() / self.shape.features(),
        }
    }

    fn losses(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_lanes(self.shape.features(), out);
        let rows = scratch.rows(self.shape.channels);
        outputs.isa.run(|| {
            for block in outputs.blocks() {
                let mut sum = NOTHING;
                for index in 0..self.shape.positions() {
                    let losses = self.losses_at(outputs, &block, index, rows);
                    sum = from_fn(|i| sum[i] + losses[i]);
                }
                block.write(out, 0, sum);
            }
        });
    }

    /// A p_c − a_c, which at the top is Σ_{c ≠ top} a_c − A (1 − p_top).
    fn slopes(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_all(self.shape.features(), out);
        self.each(outputs, scratch, |block, position, softmax, powers, amounts, sums| {
            let (scale, mut channel) = (softmax.scale(), 0.0);
            for ((power, amount), row) in powers.iter().zip(amounts).zip(position.rows()) {
                let made = from_fn(|i| {
                    let share = sums.total[i] * scale[i];
                    let at_top = sums.beyond_top[i] - share * softmax.rest[i];
                    let elsewhere = share * power[i] - amount[i];
                    if softmax.top[i] == channel { at_top } else { elsewhere }
                });
                block.write(out, row, made);
                channel += 1.0;
            }
        });
    }

    fn admit(&self, _kind: Curvature) -> Result<(), Error> {
        Ok(())
    }

    fn curvature(
        &self,
        kind: Curvature,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        outputs.check(tangent);
        match kind {
            Curvature::Hessian => {
                self.hessian(f64::NEG_INFINITY, outputs, tangent, scratch, out);
            }
            Curvature::GaussNewton => self.hessian(0.0, outputs, tangent, scratch, out),
            Curvature::Fisher => self.fisher(outputs, tangent, scratch, out),
            Curvature::EmpiricalFisher => empirical_fisher(self, outputs, tangent, scratch, out),
        }
    }

    fn hits(&self) -> Option<&dyn Hits> {
        Some(self)
    }
}

impl Hits for CrossEntropy {
    fn hits(&self, outputs: &Outputs<'_>, out: &mut [f64]) {
        match &self.truth {
            Truth::Labels(labels) => labels.count_hits(outputs, out),
            Truth::Probabilities(values) => self.count_likeliest(values, outputs, out),
        }
    }
}

impl CrossEntropy {
    /// Counts the positions where outputs and probabilities are greatest at the same class.
    fn count_likeliest(&self, values: &[f64], outputs: &Outputs<'_>, out: &mut [f64]) {
        let (positions, features) = (self.shape.positions(), self.shape.features());
        count_hits(outputs, self.shape, out, |block, position| {
            let lane = |i: usize, index: usize| {
                block.samples.get(i).map_or(0.0, |sample| values[sample * features + index])
            };
            let rows = (position..features).step_by(positions);
            top(rows.map(|index| from_fn(|i| lane(i, index)))).index
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::network::head::Curvature;
    use crate::network::head::checks::{Case, classes, dense, near};

    const INFINITY: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    /// The same numbers, NaN where NaN is expected.
    fn same(found: &[f64], expected: &[f64]) {
        for (a, b) in found.iter().zip(expected) {
            assert!(a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-15, "{found:?}");
        }
    }

    fn of_label(label: i64) -> Case {
        Case::new(r#"{"kind":"cross_entropy"}"#, 3, 1, classes(&[label], 1))
    }

    #[test]
    fn two_equal_outputs_have_a_loss_of_log_two() {
        let case = Case::new(r#"{"kind":"cross_entropy"}"#, 2, 1, classes(&[1], 1));
        near(&[case.loss(0, &[3.0, 3.0])], &[std::f64::consts::LN_2], 1e-15);
        near(&case.slope(0, &[3.0, 3.0]), &[0.5, -0.5], 1e-15);
        near(&case.product(Curvature::Hessian, 0, &[3.0, 3.0], &[1.0, 0.0]), &[0.25, -0.25], 1e-15);
    }

    #[test]
    fn tiny_losses_and_slopes_are_right_to_all_digits() {
        for scale in [1e-3, 1e-9, 1e-15, 1e-40, 1e-300_f64] {
            let z = [scale.ln(), 0.0, scale.ln() - 1.0];
            let rest = z[0].exp() + z[2].exp();
            let found = [of_label(1).loss(0, &z), of_label(1).slope(0, &z)[1]];
            for (found, expected) in found.into_iter().zip([rest.ln_1p(), -rest / (1.0 + rest)]) {
                assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
            }
            let product = of_label(1).product(Curvature::Hessian, 0, &z, &[0.0, 1.0, 0.0])[1];
            let expected = rest / (1.0 + rest) / (1.0 + rest);
            assert!((product / expected - 1.0).abs() < 1e-12, "{product} is not {expected}");
        }
    }

    #[test]
    fn outputs_at_the_ends_of_the_line_behave_as_in_pytorch() {
        for z in [[INFINITY, 0.0, 1.0], [NAN, 0.0, 1.0], [-INFINITY; 3], [-INFINITY, 0.0, INFINITY]] {
            for label in [0, 1] {
                assert!(of_label(label).loss(0, &z).is_nan());
                same(&of_label(label).slope(0, &z), &[NAN; 3]);
            }
            assert_eq!(of_label(-100).loss(0, &z), 0.0);
            same(&of_label(-100).slope(0, &z), &[NAN; 3]);
        }
        let z = [-INFINITY, 0.0, 1.0];
        let (p, q) = (0.268_941_421_369_995_1, 0.731_058_578_630_004_9);
        same(&[of_label(0).loss(0, &z)], &[INFINITY]);
        same(&of_label(0).slope(0, &z), &[-1.0, p, q]);
        same(&[of_label(1).loss(0, &z)], &[1.313_261_687_518_222_8]);
        same(&of_label(1).slope(0, &z), &[0.0, -q, q]);
        same(&of_label(1).product(Curvature::Hessian, 0, &z, &[1.0; 3]), &[0.0; 3]);
        let shares = Case::new(r#"{"kind":"cross_entropy"}"#, 3, 1, dense(&[0.0, 0.5, 0.5], 3));
        same(&[shares.loss(0, &z)], &[NAN]);
        same(&shares.slope(0, &z), &[0.0, 0.5 - q, q - 0.5]);
        let silent = r#"{"kind":"cross_entropy","weight":[0,1,1]}"#;
        let silent = Case::new(silent, 3, 1, classes(&[0], 1));
        same(&[silent.loss(0, &z)], &[NAN]);
        same(&silent.slope(0, &z), &[0.0; 3]);
        let smooth = r#"{"kind":"cross_entropy","label_smoothing":0.1}"#;
        same(&[Case::new(smooth, 3, 1, classes(&[1], 1)).loss(0, &z)], &[INFINITY]);
        same(&[Case::new(smooth, 3, 1, classes(&[-100], 1)).loss(0, &z)], &[0.0]);
    }

    /// F.cross_entropy of the same numbers in float64.
    #[test]
    fn weights_smoothing_and_shares_are_those_of_pytorch() {
        let json = r#"{"kind":"cross_entropy","weight":[0.5,2,1],"label_smoothing":0.1}"#;
        // Two positions: (0.3, 1, 0.5) with class 1, (−1.2, 0, 2) with class 0.
        let z = [0.3, -1.2, 1.0, 0.0, 0.5, 2.0];
        let labels = Case::new(json, 3, 2, classes(&[1, 0, 1, -100], 2));
        near(&[labels.loss(0, &z), labels.loss(1, &z)], PYTORCH_LABELS, 1e-14);
        let shares = Case::new(json, 3, 2, dense(&[0.2, 0.5, 0.7, 0.5, 0.1, 0.0], 6));
        near(&[shares.loss(0, &z)], PYTORCH_SHARES, 1e-14);
    }

    const PYTORCH_LABELS: &[f64] = &[3.1718027257443935, 1.4532217378560934];
    const PYTORCH_SHARES: &[f64] = &[4.2016576891224595];

    #[test]
    fn hits_are_positions_where_the_first_greatest_output_is_at_the_label() {
        assert_eq!(of_label(1).hits(0, &[0.0, 2.0, 2.0]), 1.0);
        assert_eq!(of_label(2).hits(0, &[0.0, 2.0, 2.0]), 0.0);
        assert_eq!(of_label(2).hits(0, &[0.0, INFINITY, NAN]), 1.0, "NaN is the greatest");
        assert_eq!(of_label(1).hits(0, &[0.0, NAN, NAN]), 1.0, "the first of them");
        assert_eq!(of_label(0).hits(0, &[-INFINITY; 3]), 1.0);
        assert_eq!(of_label(-100).hits(0, &[1.0, 0.0, 0.0]), 0.0);
        let shares = dense(&[0.2, 0.9, 0.8, 0.1], 4);
        let shares = Case::new(r#"{"kind":"cross_entropy"}"#, 2, 2, shares);
        assert_eq!(shares.hits(0, &[0.0, 1.0, 1.0, 0.0]), 2.0);
        assert_eq!(shares.hits(0, &[0.0, 0.0, 1.0, 1.0]), 1.0);
    }
}
