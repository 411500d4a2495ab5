//! Sums over the samples at points given in full.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::evaluate::{Evaluation, Nothing};
use crate::network::kernel::Real;
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::measure::{Column, Columns, PerSample};
use crate::network::points::Rows;

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
        let measure = Columns::new(self, columns);
        let evaluation = Evaluation { loss: self, measure: &measure, known: &Nothing, cancel };
        evaluation.table(&points, statistics)?.sums(out);
        Ok(())
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
        let measure = PerSample::new(self);
        let evaluation = Evaluation { loss: self, measure: &measure, known: &Nothing, cancel };
        evaluation.table(&points, statistics)?.scatter(self.samples(), out);
        Ok(())
    }
}
