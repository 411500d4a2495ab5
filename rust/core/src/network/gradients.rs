//! Losses and gradients at many points.

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::network::data::{Block, Data};
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::derivatives::sum_over_groups;
use crate::network::kernel::Real;
use crate::network::packed_points::{PackedPoints, PointRows, WeightLayouts};
use crate::network::pass::{Moments, Packed};
use crate::network::workspace::Workspace;
use crate::threads::install;

/// The samples, the scale and the statistics of gradients.
pub struct GradientOptions<'a, T> {
    /// The source of the statistics of batch normalisation.
    pub statistics: Statistics<'a, T>,
    /// The factor of each point's sums.
    pub scale: &'a [f64],
    /// The batch of the split that each point is evaluated on; None for all samples.
    pub batches: Option<&'a [usize]>,
}

impl<T: Real> DatasetLoss<T> {
    /// Scaled sums of losses at points of shape (k, dim), and their gradients, of shape (k, dim).
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that do not fit, or statistics that have no derivatives;
    /// [`Error::Cancelled`] on request.
    pub fn gradients(
        &self,
        points: &[T],
        options: &GradientOptions<'_, T>,
        cancel: &Cancel,
        losses: &mut [f64],
        gradients: &mut [T],
    ) -> Result<(), Error> {
        let points = PointRows::new(&self.network, points)?;
        let count = points.count();
        let batches = options.batches.map_or(count, <[usize]>::len);
        require!(
            options.scale.len() == count && batches == count,
            "got {} scales and {batches} batches for {count} points; pass one for each",
            options.scale.len()
        );
        install(|| {
            let rows = gradients.par_chunks_mut(self.dim()).zip(losses).enumerate();
            rows.try_for_each(|(index, (gradient, loss))| {
                let mut point = Packed::default();
                self.network.pack(points.row(index), WeightLayouts::ForwardAndBackward, &mut point);
                let batch = options.batches.map(|batches| batches[index]);
                let (sum, totals) =
                    self.gradient(&point, options, batch, options.scale[index], cancel)?;
                *loss = sum;
                for (entry, total) in gradient.iter_mut().zip(totals) {
                    *entry = T::narrow(total);
                }
                Ok(())
            })
        })
    }

    fn gradient(
        &self,
        point: &Packed<T>,
        options: &GradientOptions<'_, T>,
        batch: Option<usize>,
        scale: f64,
        cancel: &Cancel,
    ) -> Result<(f64, Vec<f64>), Error> {
        let blocks = self.blocks(options.statistics, batch)?;
        sum_over_groups(&blocks.blocks, self.dim(), |group, w_bar| {
            self.workspaces.with(|workspace| {
                let mut loss = 0.0;
                for block in group {
                    cancel.check()?;
                    loss += self.record_tape(point, block, blocks.moments, scale, workspace);
                    let Workspace { tape, .. } = workspace;
                    let pass = self.pass(point, block, blocks.moments);
                    self.network.backpropagate(
                        &pass,
                        block.inputs,
                        &tape.values,
                        &mut tape.bars,
                        w_bar,
                    );
                }
                Ok(loss)
            })
        })
    }

    /// Records the forward pass of a block and the adjoint of its outputs; returns the scaled sum of
    /// losses.
    pub(crate) fn record_tape(
        &self,
        point: &Packed<T>,
        block: &Block<'_, T>,
        moments: Moments,
        scale: f64,
        workspace: &mut Workspace<T>,
    ) -> f64 {
        let Workspace { tape, output_gradient, loss: buffers, .. } = workspace;
        let pass = self.pass(point, block, moments);
        self.network.evaluate(&pass, block.inputs, &mut tape.values);
        let outputs = self.network.output_of(block.inputs, &tape.values);
        let loss = self.output_gradient(outputs, block.samples, scale, buffers, output_gradient);
        self.network.seed_adjoints(&pass, output_gradient, &mut tape.bars);
        loss
    }

    /// A batch of the split.
    pub(crate) fn batch(&self, index: usize) -> Result<&Data<T>, Error> {
        let batches = self.batches();
        require!(index < batches.len(), "got batch {index}; there are {}", batches.len());
        Ok(&batches[index])
    }
}
