//! Sums over the samples at points.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::evaluate::{Evaluation, Known, Nothing};
use crate::network::kernel::Real;
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::measure::{Column, Columns, PerSample};
use crate::network::points::{Points, Rows};

impl<T: Real> NetworkLoss<T> {
    /// Sums over the samples at points of shape (k, dim), into (k, columns). NaN and infinite
    /// losses are data.
    ///
    /// # Errors
    /// [`Error::Invalid`] for points of another length, or statistics that cannot be re-estimated;
    /// [`Error::Cancelled`] on request.
    pub fn sums(
        &self,
        points: &[T],
        columns: &[Column],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = Rows::new(&self.network, points)?;
        self.sums_at(&points, &Nothing, columns, statistics, cancel, out)
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
        let points = Rows::new(&self.network, points)?;
        self.sample_losses_at(&points, &Nothing, statistics, cancel, out)
    }

    /// Sums at points of any kind, of whose products something may be known.
    pub(crate) fn sums_at(
        &self,
        points: &dyn Points<T>,
        known: &impl Known<T>,
        columns: &[Column],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let measure = Columns::new(self, columns);
        let evaluation = Evaluation { loss: self, measure: &measure, known, cancel };
        evaluation.table(points, statistics)?.sums(out);
        Ok(())
    }

    /// Losses of the samples at points of any kind.
    pub(crate) fn sample_losses_at(
        &self,
        points: &dyn Points<T>,
        known: &impl Known<T>,
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let measure = PerSample::new(self);
        let evaluation = Evaluation { loss: self, measure: &measure, known, cancel };
        evaluation.table(points, statistics)?.scatter(self.samples(), out);
        Ok(())
    }
}
