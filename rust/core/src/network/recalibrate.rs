//! Re-estimation of batch-norm statistics at a point.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::dataset_loss::DatasetLoss;
use crate::network::kernel::Real;
use crate::network::pass::{Moments, Packed};
use crate::network::tape::ValueBuffers;

impl<T: Real> DatasetLoss<T> {
    /// Replaces the running statistics of a packed point by those of these data: means and
    /// unbiased variances of the batches, averaged with their sizes as weights, where every layer
    /// before normalises by the batch as well.
    pub(crate) fn recalibrate(
        &self,
        point: &mut Packed<T>,
        values: &mut ValueBuffers<T>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.check_batches()?;
        let mut sums: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut total = 0.0;
        for batch in self.batches() {
            let block = batch.block(0, batch.panels());
            let pass = self.pass(point, &block, Moments::Batch);
            let weight = block.samples.len() as f64;
            let mut layer = 0;
            self.network.forward_releasing(&pass, block.inputs, values, cancel, |node, x| {
                let Some(norm) = node.layer.fusion().normalisation() else { return };
                let count = norm.count(block.samples.len());
                let unbiased = count as f64 / (count as f64 - 1.0);
                if sums.len() == layer {
                    sums.push(vec![(0.0, 0.0); norm.channels()]);
                }
                for (sum, (mean, variance)) in
                    sums[layer].iter_mut().zip(norm.statistics(&pass, x[0]))
                {
                    sum.0 += weight * mean;
                    sum.1 += weight * variance * unbiased;
                }
                layer += 1;
            })?;
            total += weight;
        }
        let norms =
            self.network.nodes.iter().filter_map(|node| node.layer.fusion().normalisation());
        for (norm, mut statistics) in norms.zip(sums) {
            for (mean, variance) in &mut statistics {
                (*mean, *variance) = (*mean / total, *variance / total);
            }
            norm.store(&mut point.forward, &statistics);
        }
        Ok(())
    }
}
