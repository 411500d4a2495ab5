//! Polylines: segment lengths, interpolation, equal spacing.

use std::ops::Range;

use super::refinement::NewPivot;
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// The maximum number of passes of equal spacing: each cuts corners, which changes the lengths again.
const MAX_PASSES: usize = 10;
/// Distances count as equal up to this ratio of the largest to the smallest.
const EQUAL: f64 = 1.01;

/// # Errors
/// [`Error::Invalid`] unless the ends of a path are two different points of so many entries.
pub(super) fn validate_ends<S: Scalar>(dim: usize, first: &[S], last: &[S]) -> Result<(), Error> {
    require!(
        first.len() == dim && last.len() == dim && first != last,
        "got ends of {} and {} entries for {dim} parameters; pass two different points",
        first.len(),
        last.len()
    );
    Ok(())
}

/// Vectors of a search for each point of its path: the path, the one before, the best one, the
/// gradients and the forces, and two moments of the optimizer.
const VECTORS_A_POINT: usize = 7;

/// # Errors
/// [`Error::Memory`] where a search on a path of so many inner points does not fit into memory.
pub(super) fn require_path_memory<S: Scalar>(points: usize, dim: usize) -> Result<(), Error> {
    let what = format!("a path with {points} inner points of {dim} parameters");
    require_memory::<S>(&what, &[points.saturating_add(2), VECTORS_A_POINT, dim]).map(drop)
}

/// # Errors
/// [`Error::Invalid`] unless the path and the best one of a checkpoint, whose entries are finite, have
/// inner points between the same ends.
pub(super) fn require_same_ends<S: Scalar>(
    path: &Polyline<S>,
    best: &Polyline<S>,
) -> Result<(), Error> {
    let ends = |path: &Polyline<S>| [path.row(0).to_vec(), path.row(path.count() - 1).to_vec()];
    let finite = |path: &Polyline<S>| path.rows.iter().all(|entry| entry.widen().is_finite());
    require!(
        path.count() > 2
            && best.count() > 2
            && ends(path) == ends(best)
            && finite(path)
            && finite(best),
        "got paths of {} and {} points that are not finite or not between the same ends; pass the \
         arrays of one checkpoint",
        path.count(),
        best.count()
    );
    Ok(())
}

/// A polyline in R^dim.
#[derive(Clone, Debug, PartialEq)]
pub struct Polyline<S> {
    rows: Vec<S>,
    dim: usize,
}

impl<S: Scalar> Polyline<S> {
    /// The polyline through these points, row-major (points, dim).
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are two points or more.
    pub fn new(rows: Vec<S>, dim: usize) -> Result<Self, Error> {
        require!(
            dim > 0 && rows.len().is_multiple_of(dim) && rows.len() >= 2 * dim,
            "got {} numbers for points of {dim}; pass two whole points or more",
            rows.len()
        );
        Ok(Self { rows, dim })
    }

    /// The segment from `first` to `last` with `between` points at equal distances on it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the ends are not of one length.
    pub fn straight(first: &[S], last: &[S], between: usize) -> Result<Self, Error> {
        let mut rows = first.to_vec();
        for index in 1..=between {
            let t = index as f64 / (between + 1) as f64;
            rows.extend(combine(&[first, last], &[1.0 - t, t])?);
        }
        rows.extend(last);
        Self::new(rows, first.len())
    }

    /// The number of points.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// The number of coordinates of a point.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All points, row-major (points, dim).
    #[must_use]
    pub fn rows(&self) -> &[S] {
        &self.rows
    }

    /// One point.
    #[must_use]
    pub fn row(&self, index: usize) -> &[S] {
        &self.rows[index * self.dim..][..self.dim]
    }

    /// All points but the two ends.
    #[must_use]
    pub fn interior(&self) -> &[S] {
        &self.rows[self.dim..self.rows.len() - self.dim]
    }

    /// All points but the two ends, mutably.
    pub fn interior_mut(&mut self) -> &mut [S] {
        let end = self.rows.len() - self.dim;
        &mut self.rows[self.dim..end]
    }

    /// The lengths of the segments.
    ///
    /// # Errors
    /// None: all points have one length.
    pub fn lengths(&self) -> Result<Vec<f64>, Error> {
        self.segment_lengths(0..self.count() - 1)
    }

    fn segment_lengths(&self, segments: Range<usize>) -> Result<Vec<f64>, Error> {
        let length = |i: usize| Ok(norm(&combine(&[self.row(i + 1), self.row(i)], &[1.0, -1.0])?));
        segments.map(length).collect()
    }

    /// (1 − t) a + t b on the segment from a to b.
    ///
    /// # Errors
    /// None: all points have one length.
    pub fn interpolate(&self, segment: usize, t: f64) -> Result<Vec<S>, Error> {
        combine(&[self.row(segment), self.row(segment + 1)], &[1.0 - t, t])
    }

    /// `count` points at equal distances inside a segment, row-major.
    ///
    /// # Errors
    /// None: all points have one length.
    pub fn subdivide(&self, segment: usize, count: usize) -> Result<Vec<S>, Error> {
        let mut points = Vec::with_capacity(count * self.dim);
        for index in 1..=count {
            points.extend(self.interpolate(segment, index as f64 / (count + 1) as f64)?);
        }
        Ok(points)
    }

    /// The polyline with further points, given in the order of their segments.
    ///
    /// # Errors
    /// None: all points have one length.
    pub(super) fn insert(&self, pivots: &[NewPivot]) -> Result<Self, Error> {
        let mut rows = Vec::with_capacity(self.rows.len() + pivots.len() * self.dim);
        for index in 0..self.count() {
            rows.extend(self.row(index));
            for pivot in pivots.iter().filter(|pivot| pivot.segment == index) {
                rows.extend(self.interpolate(index, pivot.position)?);
            }
        }
        Self::new(rows, self.dim)
    }

    /// Moves the points along the polyline until neighbours have equal distances, separately on each
    /// side of the point `fixed` where there is one.
    ///
    /// # Errors
    /// None: all points have one length.
    pub fn equalise(&mut self, fixed: Option<usize>) -> Result<(), Error> {
        let last = self.count() - 1;
        let middle = fixed.filter(|point| (1..last).contains(point)).unwrap_or(last);
        for part in [0..middle, middle..last] {
            for _ in 0..MAX_PASSES {
                let lengths = self.segment_lengths(part.clone())?;
                let longest = lengths.iter().copied().fold(0.0, f64::max);
                let shortest = lengths.iter().copied().fold(f64::INFINITY, f64::min);
                // Coincident points cannot be spaced; NaN is reported by the caller.
                if longest <= EQUAL * shortest || longest == 0.0 || !longest.is_finite() {
                    break;
                }
                self.respace(part.start, &lengths)?;
            }
        }
        Ok(())
    }

    /// One pass over the segments from `first` on, whose lengths are given.
    fn respace(&mut self, first: usize, lengths: &[f64]) -> Result<(), Error> {
        let total: f64 = lengths.iter().sum();
        let (mut rows, mut segment, mut before) = (Vec::new(), 0, 0.0);
        for index in 1..lengths.len() {
            let target = total * index as f64 / lengths.len() as f64;
            while segment + 1 < lengths.len() && before + lengths[segment] < target {
                before += lengths[segment];
                segment += 1;
            }
            let length = lengths[segment];
            let t = if length > 0.0 { (target - before) / length } else { 0.0 };
            rows.extend(self.interpolate(first + segment, t.clamp(0.0, 1.0))?);
        }
        self.rows[(first + 1) * self.dim..][..rows.len()].copy_from_slice(&rows);
        Ok(())
    }
}
