//! Losses and gradients at many points.

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::network::data::{Block, Data};
use crate::network::derivatives::total;
use crate::network::kernel::Real;
use crate::network::layer::{Moments, Packed};
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::points::{Points, Rows, Rules};
use crate::network::room::Room;
use crate::network::threads::install;

/// Over which samples, and in which scale, gradients are taken.
pub struct Scope<'a, T> {
    /// Where batch normalisation takes its statistics from.
    pub statistics: Statistics<'a, T>,
    /// What each point's sums are multiplied by.
    pub scale: &'a [f64],
    /// The batch of the split that each point is evaluated on; None for all samples.
    pub batches: Option<&'a [usize]>,
}

impl<T: Real> NetworkLoss<T> {
    /// Scaled sums of losses at points of shape (k, dim), and their gradients, of shape (k, dim).
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that do not fit, or statistics that have no derivatives;
    /// [`Error::Cancelled`] on request.
    pub fn gradients(
        &self,
        points: &[T],
        scope: &Scope<'_, T>,
        cancel: &Cancel,
        losses: &mut [f64],
        gradients: &mut [T],
    ) -> Result<(), Error> {
        let points = Rows::new(&self.network, points)?;
        let count = points.count();
        let batches = scope.batches.map_or(count, <[usize]>::len);
        require!(
            scope.scale.len() == count && batches == count,
            "got {} scales and {batches} batches for {count} points; pass one for each",
            scope.scale.len()
        );
        install(|| {
            let rows = gradients.par_chunks_mut(self.dim()).zip(losses).enumerate();
            rows.try_for_each(|(index, (gradient, loss))| {
                let mut point = Packed::default();
                self.network.pack(points.row(index), Rules::Both, &mut point);
                let batch = scope.batches.map(|batches| batches[index]);
                let found = self.gradient(&point, scope, batch, scope.scale[index], cancel)?;
                *loss = found.0;
                for (entry, total) in gradient.iter_mut().zip(found.1) {
                    *entry = T::narrow(total);
                }
                Ok(())
            })
        })
    }

    fn gradient(
        &self,
        point: &Packed<T>,
        scope: &Scope<'_, T>,
        batch: Option<usize>,
        scale: f64,
        cancel: &Cancel,
    ) -> Result<(f64, Vec<f64>), Error> {
        let blocks = self.blocks(scope.statistics, batch)?;
        total(&blocks.blocks, self.dim(), |group, w_bar| {
            self.rooms.lend(|room| {
                let mut loss = 0.0;
                for block in group {
                    cancel.check()?;
                    loss += self.record(point, block, blocks.moments, scale, room);
                    let Room { tape, .. } = room;
                    let pass = self.pass(point, block, blocks.moments);
                    self.network.pull(&pass, block.inputs, &tape.values, &mut tape.bars, w_bar);
                }
                Ok(loss)
            })
        })
    }

    /// Runs a block and seeds its derivatives: what all passes backward start from. Returns the
    /// scaled sum of losses.
    pub(crate) fn record(
        &self,
        point: &Packed<T>,
        block: &Block<'_, T>,
        moments: Moments,
        scale: f64,
        room: &mut Room<T>,
    ) -> f64 {
        let Room { tape, slopes, head, .. } = room;
        let pass = self.pass(point, block, moments);
        self.network.run(&pass, block.inputs, &mut tape.values);
        let outputs = self.network.output_of(block.inputs, &tape.values);
        let loss = self.slopes(outputs, block.samples, scale, head, slopes);
        self.network.seed(&pass, slopes, &mut tape.bars);
        loss
    }

    /// A batch of the split.
    pub(crate) fn batch(&self, index: usize) -> Result<&Data<T>, Error> {
        let batches = self.batches();
        require!(index < batches.len(), "got batch {index}; there are {}", batches.len());
        Ok(&batches[index])
    }
}
