//! Sums of losses and metrics over the samples, at many points.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::evaluate::{Evaluation, NoCache, ProductCache};
use crate::network::kernel::Real;
use crate::network::packed_points::{PackedPoints, PointRows};
use crate::network::reductions::{SampleLosses, SampleSum, SampleSums};

impl<T: Real> DatasetLoss<T> {
    /// Sums over the samples at points of shape (k, dim), into (k, columns). NaN and infinite
    /// losses are data.
    ///
    /// # Errors
    /// [`Error::Invalid`] for points of another length, or statistics that cannot be re-estimated;
    /// [`Error::Cancelled`] on request.
    pub fn sums(
        &self,
        points: &[T],
        columns: &[SampleSum],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = PointRows::new(&self.network, points)?;
        self.sums_at(&points, &NoCache, columns, statistics, cancel, out)
    }

    /// Every sample's loss at points of shape (k, dim), into (k, samples).
    ///
    /// # Errors
    /// As for [`sums`](Self::sums).
    pub fn sample_losses(
        &self,
        points: &[T],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = PointRows::new(&self.network, points)?;
        self.sample_losses_at(&points, &NoCache, statistics, cancel, out)
    }

    /// Sums at points in any representation, with the cached products of these points.
    pub(crate) fn sums_at(
        &self,
        points: &dyn PackedPoints<T>,
        cache: &impl ProductCache<T>,
        columns: &[SampleSum],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let reduction = SampleSums::new(self, columns);
        let evaluation = Evaluation { loss: self, reduction: &reduction, cache, cancel };
        evaluation.run(points, statistics)?.sum_panels(out);
        Ok(())
    }

    /// Losses of the samples at points in any representation.
    pub(crate) fn sample_losses_at(
        &self,
        points: &dyn PackedPoints<T>,
        cache: &impl ProductCache<T>,
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let reduction = SampleLosses::new(self);
        let evaluation = Evaluation { loss: self, reduction: &reduction, cache, cancel };
        evaluation.run(points, statistics)?.scatter(self.samples(), out);
        Ok(())
    }
}
