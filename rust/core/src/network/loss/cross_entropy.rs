//! Cross-entropy: Σ_c a_c (−log p_c) with p = softmax(z), summed over positions.
//!
//! The soft targets are a_c = w_c ((1 − ε) t_c + ε/C) for class weights w, label smoothing ε and target
//! probabilities t, which are 1 at the label and 0 elsewhere where targets are classes.

use std::array::from_fn;

use crate::error::{Error, require};
use crate::network::loss::classes::{IGNORED, Labels, class_weights, count_hits, top};
use crate::network::loss::panel::{Block, Lanes, Outputs, Scratch, WIDTH, ZEROS};
use crate::network::loss::soft_targets::{SoftTargetSums, Truth};
use crate::network::loss::softmax::{LogSums, Position, Softmax};
use crate::network::loss::{Curvature, Hits, Loss, Targets, empirical_fisher};
use crate::network::shape::Shape;

#[cfg(test)]
mod tests;

const NAME: &str = "cross-entropy";

/// Cross-entropy with logits.
pub(super) struct CrossEntropy {
    pub(super) shape: Shape,
    pub(super) truth: Truth,
    /// w.
    pub(super) weights: Vec<f64>,
    /// ε.
    pub(super) smoothing: f64,
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
    #[inline(always)]
    pub(super) fn position(&self, outputs: &Outputs<'_>, position: usize) -> Position {
        Position::new(outputs, position, self.shape.positions())
    }

    /// Fills the soft targets a of a position, a row for each channel: all 0 where the target is
    /// ignored.
    #[inline(always)]
    fn soft_targets(&self, block: &Block<'_>, position: usize, amounts: &mut [Lanes]) {
        let (label_share, class_share) =
            (1.0 - self.smoothing, self.smoothing / self.shape.channels as f64);
        match &self.truth {
            Truth::Labels(labels) => {
                let labels = labels.at(block, position);
                let class_shares =
                    labels.map(|label| if label == IGNORED { 0.0 } else { class_share });
                let labels = labels.map(f64::from);
                let mut channel = 0.0;
                for (row, weight) in amounts.iter_mut().zip(&self.weights) {
                    *row = from_fn(|i| {
                        weight
                            * (class_shares[i]
                                + if labels[i] == channel { label_share } else { 0.0 })
                    });
                    channel += 1.0;
                }
            }
            Truth::Probabilities(probabilities) => {
                let features = self.shape.features();
                for (channel, (row, weight)) in amounts.iter_mut().zip(&self.weights).enumerate() {
                    let index = channel * self.shape.positions() + position;
                    *row = ZEROS;
                    for (amount, sample) in row.iter_mut().zip(block.samples) {
                        let probability = probabilities[sample * features + index];
                        *amount = weight * (label_share * probability + class_share);
                    }
                }
            }
        }
    }

    /// The losses of a position without label smoothing.
    #[inline(always)]
    fn losses_of_labels(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        labels: [u32; WIDTH],
        max: &Lanes,
        log_sum: &Lanes,
    ) -> Lanes {
        let mut losses = ZEROS;
        for (i, (loss, label)) in losses.iter_mut().zip(labels).enumerate() {
            if label != IGNORED {
                let z = outputs.values[position.row(label as usize) + block.lane(i)];
                *loss = self.weights[label as usize] * (max[i] - z + log_sum[i]);
            }
        }
        losses
    }

    /// The losses of a position with any soft targets.
    #[inline(always)]
    fn losses_of_amounts(
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        position: Position,
        amounts: &[Lanes],
        max: &Lanes,
        log_sum: &Lanes,
    ) -> Lanes {
        let mut losses = ZEROS;
        for (amount, row) in amounts.iter().zip(position.rows()) {
            let z = block.read(outputs.values, row);
            losses = from_fn(|i| losses[i] + amount[i] * (max[i] - z[i] + log_sum[i]));
        }
        losses
    }

    /// The losses of one position, with scratch for its soft targets.
    #[inline(always)]
    fn losses_at(
        &self,
        outputs: &Outputs<'_>,
        block: &Block<'_>,
        index: usize,
        (max, log_sum): (&Lanes, &Lanes),
        amounts: &mut [Lanes],
    ) -> Lanes {
        let position = self.position(outputs, index);
        let labels = match &self.truth {
            Truth::Labels(labels) => labels.at(block, index),
            Truth::Probabilities(_) => [0; WIDTH],
        };
        if matches!(self.truth, Truth::Labels(_)) && self.smoothing == 0.0 {
            return self.losses_of_labels(outputs, block, position, labels, max, log_sum);
        }
        self.soft_targets(block, index, amounts);
        let losses = Self::losses_of_amounts(outputs, block, position, amounts, max, log_sum);
        // A soft target of 0 does not silence an infinite loss, but an ignored target does.
        from_fn(|i| if labels[i] == IGNORED { 0.0 } else { losses[i] })
    }

    /// Calls `work` on every position of every block with its softmax, powers, soft targets and their
    /// sums.
    #[inline(always)]
    fn each(
        &self,
        outputs: &Outputs<'_>,
        scratch: &mut Scratch,
        mut work: impl FnMut(&Block<'_>, Position, &Softmax, &[Lanes], &[Lanes], &SoftTargetSums),
    ) {
        let (powers, amounts) =
            scratch.rows(2 * self.shape.channels).split_at_mut(self.shape.channels);
        outputs.isa.run(
            #[inline(always)]
            || {
                for block in outputs.blocks() {
                    for index in 0..self.shape.positions() {
                        let position = self.position(outputs, index);
                        let softmax = Softmax::new(outputs, &block, position, powers);
                        self.soft_targets(&block, index, amounts);
                        let sums = SoftTargetSums::new(&softmax, amounts);
                        work(&block, position, &softmax, powers, amounts, &sums);
                    }
                }
            },
        );
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
        self.each(
            outputs,
            scratch,
            #[inline(always)]
            |block, position, softmax, powers, _, sums| {
                let scale = softmax.scale();
                // Relative to the tangent at the top, whose probability may be 1 to all digits.
                let rows = || position.rows().map(|row| block.read(tangent, row));
                let at_top = softmax.at_top(rows());
                let mut mean = ZEROS;
                for (power, t) in powers.iter().zip(rows()) {
                    mean = from_fn(|i| mean[i] + scale[i] * power[i] * (t[i] - at_top[i]));
                }
                let total: Lanes =
                    from_fn(|i| if sums.total[i] < floor { floor } else { sums.total[i] });
                for (power, row) in powers.iter().zip(position.rows()) {
                    let t = block.read(tangent, row);
                    let result = from_fn(|i| {
                        total[i] * (scale[i] * power[i]) * (t[i] - at_top[i] - mean[i])
                    });
                    block.write(out, row, result);
                }
            },
        );
    }
}

impl Loss for CrossEntropy {
    fn samples(&self) -> usize {
        match &self.truth {
            Truth::Labels(labels) => labels.samples(),
            Truth::Probabilities(values) => values.len() / self.shape.features(),
        }
    }

    fn losses(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_lanes(self.shape.features(), out);
        let channels = self.shape.channels;
        let rows = scratch.rows(channels + LogSums::rows(outputs, channels));
        let (amounts, rows) = rows.split_at_mut(channels);
        out.fill(0.0);
        outputs.isa.run(
            #[inline(always)]
            || {
                for index in 0..self.shape.positions() {
                    let sums = LogSums::new(outputs, self.position(outputs, index), rows);
                    let sums = sums.max.iter().zip(sums.log);
                    for (block, sums) in outputs.blocks().zip(sums) {
                        let losses = self.losses_at(outputs, &block, index, sums, amounts);
                        let before = block.read(out, 0);
                        block.write(out, 0, from_fn(|i| before[i] + losses[i]));
                    }
                }
            },
        );
    }

    /// A p_c − a_c, which at the top is Σ_{c ≠ top} a_c − A (1 − p_top).
    fn gradients(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_all(self.shape.features(), out);
        self.each(
            outputs,
            scratch,
            #[inline(always)]
            |block, position, softmax, powers, amounts, sums| {
                let (scale, mut channel) = (softmax.scale(), 0.0);
                for ((power, amount), row) in powers.iter().zip(amounts).zip(position.rows()) {
                    let result = from_fn(|i| {
                        let share = sums.total[i] * scale[i];
                        let at_top = sums.beyond_top[i] - share * softmax.rest[i];
                        let elsewhere = share * power[i] - amount[i];
                        if softmax.top[i] == channel { at_top } else { elsewhere }
                    });
                    block.write(out, row, result);
                    channel += 1.0;
                }
            },
        );
    }

    fn check_curvature(&self, _kind: Curvature) -> Result<(), Error> {
        Ok(())
    }

    fn multiply_curvature(
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
        count_hits(
            outputs,
            self.shape,
            out,
            #[inline(always)]
            |block, position| {
                let lane = |i: usize, index: usize| {
                    block.samples.get(i).map_or(0.0, |sample| values[sample * features + index])
                };
                let rows = (position..features).step_by(positions);
                top(rows.map(|index| from_fn(|i| lane(i, index)))).index
            },
        );
    }
}
