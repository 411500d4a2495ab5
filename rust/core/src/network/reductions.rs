//! Reductions of a panel's outputs: sums over samples, losses of samples, and the derivatives by the
//! outputs, from which backward passes start.

use crate::isa::Isa;
use crate::network::dataset_loss::DatasetLoss;
use crate::network::evaluate::Reduction;
use crate::network::kernel::Real;
use crate::network::loss::{Curvature, Outputs};
use crate::network::workspace::LossBuffers;

/// A sum over samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleSum {
    /// The sum of losses.
    Loss,
    /// The number of correct predictions; NaN where the loss defines none.
    Hits,
    /// The sum of squared losses.
    SquaredLoss,
    /// The sum of losses times their samples' weights.
    WeightedLoss,
}

/// Sums over a panel's samples.
pub(crate) struct SampleSums<'a, T> {
    loss: &'a DatasetLoss<T>,
    columns: &'a [SampleSum],
}

impl<'a, T: Real> SampleSums<'a, T> {
    pub fn new(loss: &'a DatasetLoss<T>, columns: &'a [SampleSum]) -> Self {
        Self { loss, columns }
    }
}

impl<T: Real> Reduction<T> for SampleSums<'_, T> {
    fn numbers(&self) -> usize {
        self.columns.len()
    }

    fn fill(&self, outputs: &[T], samples: &[usize], buffers: &mut LossBuffers, out: &mut [f64]) {
        let LossBuffers { outputs: wide, lanes, scratch, .. } = buffers;
        widen(self.loss.isa, outputs, wide);
        let panel = Outputs { isa: self.loss.isa, values: wide, lanes: T::LANES, samples };
        lanes.resize(T::LANES, 0.0);
        if self.columns.iter().any(|&column| column != SampleSum::Hits) {
            self.loss.loss_function.losses(&panel, scratch, lanes);
        }
        let losses = &lanes[..samples.len()];
        for (column, out) in self.columns.iter().zip(&mut *out) {
            *out = match column {
                SampleSum::Loss => losses.iter().sum(),
                SampleSum::SquaredLoss => losses.iter().map(|loss| loss * loss).sum(),
                SampleSum::WeightedLoss => {
                    let weights = samples.iter().map(|&sample| self.loss.weights[sample]);
                    losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum()
                }
                SampleSum::Hits => f64::NAN,
            };
        }
        let Some(hits) = self.loss.loss_function.hits() else { return };
        if self.columns.contains(&SampleSum::Hits) {
            hits.hits(&panel, lanes);
            for (column, out) in self.columns.iter().zip(out) {
                if *column == SampleSum::Hits {
                    *out = lanes[..samples.len()].iter().sum();
                }
            }
        }
    }
}

/// Every sample's loss, one number for each lane.
pub(crate) struct SampleLosses<'a, T>(&'a DatasetLoss<T>);

impl<'a, T: Real> SampleLosses<'a, T> {
    pub fn new(loss: &'a DatasetLoss<T>) -> Self {
        Self(loss)
    }
}

impl<T: Real> Reduction<T> for SampleLosses<'_, T> {
    fn numbers(&self) -> usize {
        T::LANES
    }

    fn fill(&self, outputs: &[T], samples: &[usize], buffers: &mut LossBuffers, out: &mut [f64]) {
        let LossBuffers { outputs: wide, scratch, .. } = buffers;
        widen(self.0.isa, outputs, wide);
        let panel = Outputs { isa: self.0.isa, values: wide, lanes: T::LANES, samples };
        self.0.loss_function.losses(&panel, scratch, out);
    }
}

impl<T: Real> DatasetLoss<T> {
    /// Writes the gradient of a block's scaled losses by its outputs, and returns the scaled sum of
    /// losses.
    pub(crate) fn output_gradient(
        &self,
        outputs: &[T],
        samples: &[usize],
        scale: f64,
        buffers: &mut LossBuffers,
        gradient: &mut Vec<T>,
    ) -> f64 {
        let LossBuffers { outputs: wide, derivatives, lanes, scratch, .. } = buffers;
        gradient.resize(outputs.len(), T::ZERO);
        lanes.resize(T::LANES, 0.0);
        let size = self.network.output().features() * T::LANES;
        let panels = outputs.chunks_exact(size).zip(samples.chunks(T::LANES));
        let mut total = 0.0;
        for ((outputs, samples), gradient) in panels.zip(gradient.chunks_exact_mut(size)) {
            widen(self.isa, outputs, wide);
            let panel = Outputs { isa: self.isa, values: wide, lanes: T::LANES, samples };
            self.loss_function.losses(&panel, scratch, lanes);
            total += lanes[..samples.len()].iter().sum::<f64>();
            derivatives.resize(size, 0.0);
            self.loss_function.gradients(&panel, scratch, derivatives);
            narrow(self.isa, derivatives, scale, gradient);
        }
        total * scale
    }

    /// Multiplies the curvature of a block's scaled losses, as functions of its outputs, by a tangent.
    #[expect(clippy::too_many_arguments, reason = "a block, an operator, and buffers")]
    pub(crate) fn multiply_output_curvature(
        &self,
        kind: Curvature,
        outputs: &[T],
        tangents: &[T],
        samples: &[usize],
        scale: f64,
        buffers: &mut LossBuffers,
        products: &mut Vec<T>,
    ) {
        let LossBuffers { outputs: wide, tangents: wide_tangents, derivatives, scratch, .. } =
            buffers;
        products.resize(outputs.len(), T::ZERO);
        let size = self.network.output().features() * T::LANES;
        let panels = outputs.chunks_exact(size).zip(tangents.chunks_exact(size));
        let blocks = panels.zip(samples.chunks(T::LANES)).zip(products.chunks_exact_mut(size));
        for (((outputs, tangents), samples), product) in blocks {
            widen(self.isa, outputs, wide);
            widen(self.isa, tangents, wide_tangents);
            let panel = Outputs { isa: self.isa, values: wide, lanes: T::LANES, samples };
            derivatives.resize(size, 0.0);
            self.loss_function.multiply_curvature(
                kind,
                &panel,
                wide_tangents,
                scratch,
                derivatives,
            );
            narrow(self.isa, derivatives, scale, product);
        }
    }
}

fn widen<T: Real>(isa: Isa, values: &[T], out: &mut Vec<f64>) {
    out.resize(values.len(), 0.0);
    isa.run(
        #[inline(always)]
        || {
            for (out, value) in out.iter_mut().zip(values) {
                *out = value.widen();
            }
        },
    );
}

fn narrow<T: Real>(isa: Isa, values: &[f64], scale: f64, out: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = T::narrow(value * scale);
            }
        },
    );
}
