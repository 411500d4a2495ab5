//! Values on a rectangular grid of a subspace, chunk by chunk.

use std::ops::Range;

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::{Cancel, Monitor, Progress};
use crate::objective::Subspace;

/// `points` coordinates from `low` to `high`: xᵢ = ((n − 1 − i) low + i high) / (n − 1).
///
/// Written like this an axis has exact ends, is exactly antisymmetric about its centre when
/// low = −high, and then has an exact 0 in the middle of an odd number of points.
///
/// # Errors
/// [`Error::Invalid`] unless low < high are finite and there are at least 2 points, [`Error::Memory`]
/// where these are too many.
///
/// # Example
/// ```
/// let axis = landscape_core::surface::axis(-1.0, 1.0, 5)?;
/// assert_eq!(axis, [-1.0, -0.5, 0.0, 0.5, 1.0]);
/// # Ok::<(), landscape_core::Error>(())
/// ```
pub fn axis(low: f64, high: f64, points: usize) -> Result<Vec<f64>, Error> {
    require!(points >= 2, "got {points} points on an axis; pass at least 2");
    require_memory::<f64>(&format!("an axis of {points} points"), &[points])?;
    let intervals = (points - 1) as f64;
    let weighted_ends_are_finite = (intervals * low).is_finite() && (intervals * high).is_finite();
    require!(
        low < high && weighted_ends_are_finite,
        "got an axis from {low} to {high}; pass finite ends, the lower one first"
    );
    let coordinate = |i: usize| {
        let weighted = (points - 1 - i) as f64 * low + i as f64 * high;
        weighted / intervals
    };
    let mut coordinates: Vec<f64> = (0..points).map(coordinate).collect();
    // n x / n is not always x.
    coordinates[0] = low;
    coordinates[points - 1] = high;
    Ok(coordinates)
}

/// The points of a product of axes, the first axis fastest.
#[derive(Clone, Debug)]
pub struct Grid {
    axes: Vec<Vec<f64>>,
    len: usize,
}

/// The chunks in which a grid is evaluated.
///
/// They are part of the result: an objective may compute several points in one kernel, whose last bits
/// depend on their number. A resumed run must therefore start at a chunk of the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Points of one chunk.
    pub chunk: usize,
    /// Points that were evaluated before.
    pub start: usize,
}

impl Grid {
    /// The grid on these axes, one for each coordinate of the subspace.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no axis, or one is empty or not finite.
    pub fn new(axes: Vec<Vec<f64>>) -> Result<Self, Error> {
        require!(!axes.is_empty(), "got no axes; pass one for each coordinate");
        for (i, axis) in axes.iter().enumerate() {
            require!(!axis.is_empty(), "axis {i} is empty; pass at least one coordinate");
            if let Some(value) = axis.iter().find(|value| !value.is_finite()) {
                return Err(Error::Invalid(format!(
                    "axis {i} contains {value}; pass finite coordinates"
                )));
            }
        }
        let len = axes.iter().try_fold(1, |len: usize, axis| len.checked_mul(axis.len()));
        let Some(len) = len else {
            return Err(Error::Invalid("the grid has too many points to count".into()));
        };
        Ok(Self { axes, len })
    }

    /// The number of points.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a grid has at least one point")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Coordinates of a range of points, row-major (points, axes).
    #[must_use]
    pub fn coordinates(&self, points: Range<usize>) -> Vec<f64> {
        let mut coordinates = Vec::with_capacity(points.len() * self.axes.len());
        for point in points {
            let mut index = point;
            for axis in &self.axes {
                coordinates.push(axis[index % axis.len()]);
                index /= axis.len();
            }
        }
        coordinates
    }

    /// Evaluates the subspace at the points from `schedule.start` on; the monitor receives the values of
    /// every chunk, row-major (points, columns).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the subspace has another dimension or the schedule does not start
    /// between two chunks; otherwise those of the subspace and of the monitor.
    pub fn evaluate(
        &self,
        subspace: &dyn Subspace,
        schedule: Schedule,
        monitor: &mut dyn Monitor,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let Schedule { chunk, start } = schedule;
        self.validate(subspace, schedule)?;
        let columns = subspace.columns();
        let rows = chunk.min(self.len - start);
        let what = format!("a chunk of {rows} points of {columns} columns");
        require_memory::<f64>(&what, &[rows, self.axes.len()])?;
        let mut values = vec![0.0; require_memory::<f64>(&what, &[rows, columns])?];
        for first in (start..self.len).step_by(chunk) {
            cancel.check()?;
            let done = self.len.min(first.saturating_add(chunk));
            let values = &mut values[..(done - first) * columns];
            subspace.evaluate(&self.coordinates(first..done), values, cancel)?;
            monitor.tick(Progress { done, total: self.len, values })?;
        }
        Ok(())
    }

    fn validate(&self, subspace: &dyn Subspace, schedule: Schedule) -> Result<(), Error> {
        let (axes, dim, columns) = (self.axes.len(), subspace.dim(), subspace.columns());
        require!(axes == dim, "got {axes} axes for a subspace of {dim} dimensions; pass {dim}");
        require!(columns > 0, "got 0 columns; evaluate at least the loss");
        let Schedule { chunk, start } = schedule;
        require!(chunk > 0, "got chunks of 0 points; pass at least 1");
        require!(
            start == self.len || (start < self.len && start.is_multiple_of(chunk)),
            "got start = {start} in a grid of {} points with chunks of {chunk}; \
             start at a multiple of the chunk, or at {0} when nothing is left",
            self.len
        );
        Ok(())
    }
}
