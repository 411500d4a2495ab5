//! Points in a row: lengths, places between them, equal distances.

use std::ops::Range;

use super::insertion::Place;
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// Passes that make distances equal: each cuts corners a little, and so changes them again.
const PASSES: usize = 10;
/// The largest over the smallest distance that counts as equal.
const EQUAL: f64 = 1.01;

/// # Errors
/// [`Error::Invalid`] unless the ends of a path are two different points of so many entries.
pub(super) fn check_ends<S: Scalar>(dim: usize, first: &[S], last: &[S]) -> Result<(), Error> {
    require!(
        first.len() == dim && last.len() == dim && first != last,
        "got ends of {} and {} entries for {dim} parameters; pass two different points",
        first.len(),
        last.len()
    );
    Ok(())
}

/// A polygonal chain in R^dim, from its first point to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain<S> {
    rows: Vec<S>,
    dim: usize,
}

impl<S: Scalar> Chain<S> {
    /// The chain of these points, row-major (points, dim).
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

    /// The chain with `between` points at equal distances on the segment from `first` to `last`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the ends are not of one length.
    pub fn straight(first: &[S], last: &[S], between: usize) -> Result<Self, Error> {
        let mut rows = first.to_vec();
        for place in 1..=between {
            let share = place as f64 / (between + 1) as f64;
            rows.extend(combine(&[first, last], &[1.0 - share, share])?);
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

    /// The same, to be moved.
    pub fn interior_mut(&mut self) -> &mut [S] {
        let end = self.rows.len() - self.dim;
        &mut self.rows[self.dim..end]
    }

    /// The distances of neighbours.
    ///
    /// # Errors
    /// None: points of a chain are of one length.
    pub fn lengths(&self) -> Result<Vec<f64>, Error> {
        self.lengths_of(0..self.count() - 1)
    }

    /// Those of some segments.
    fn lengths_of(&self, segments: Range<usize>) -> Result<Vec<f64>, Error> {
        let length = |i: usize| Ok(norm(&combine(&[self.row(i + 1), self.row(i)], &[1.0, -1.0])?));
        segments.map(length).collect()
    }

    /// The point at a share of a segment: 0 is its beginning.
    ///
    /// # Errors
    /// None: points of a chain are of one length.
    pub fn between(&self, segment: usize, share: f64) -> Result<Vec<S>, Error> {
        combine(&[self.row(segment), self.row(segment + 1)], &[1.0 - share, share])
    }

    /// `count` points at equal distances inside a segment, row-major.
    ///
    /// # Errors
    /// None: points of a chain are of one length.
    pub fn refined(&self, segment: usize, count: usize) -> Result<Vec<S>, Error> {
        let mut found = Vec::with_capacity(count * self.dim);
        for place in 1..=count {
            found.extend(self.between(segment, place as f64 / (count + 1) as f64)?);
        }
        Ok(found)
    }

    /// The same chain with further points, one in each of some segments (in rising order).
    ///
    /// # Errors
    /// None: points of a chain are of one length.
    pub(super) fn with(&self, places: &[Place]) -> Result<Self, Error> {
        let mut rows = Vec::with_capacity(self.rows.len() + places.len() * self.dim);
        for index in 0..self.count() {
            rows.extend(self.row(index));
            for place in places.iter().filter(|place| place.segment == index) {
                rows.extend(self.between(index, place.share)?);
            }
        }
        Self::new(rows, self.dim)
    }

    /// Moves the points along the chain until neighbours are equally far apart, on each side of
    /// `fixed` where one point is to stay.
    ///
    /// # Errors
    /// None: points of a chain are of one length.
    pub fn equalise(&mut self, fixed: Option<usize>) -> Result<(), Error> {
        let last = self.count() - 1;
        let middle = fixed.filter(|point| (1..last).contains(point)).unwrap_or(last);
        for stretch in [0..middle, middle..last] {
            for _ in 0..PASSES {
                let lengths = self.lengths_of(stretch.clone())?;
                let most = lengths.iter().copied().fold(0.0, f64::max);
                let least = lengths.iter().copied().fold(f64::INFINITY, f64::min);
                // Points on each other have no order to restore; NaN is the caller's to find.
                if most <= EQUAL * least || most == 0.0 || !most.is_finite() {
                    break;
                }
                self.spread(stretch.start, &lengths)?;
            }
        }
        Ok(())
    }

    /// One pass over the segments from `first` on, of these lengths.
    fn spread(&mut self, first: usize, lengths: &[f64]) -> Result<(), Error> {
        let total: f64 = lengths.iter().sum();
        let (mut rows, mut segment, mut before) = (Vec::new(), 0, 0.0);
        for place in 1..lengths.len() {
            let wanted = total * place as f64 / lengths.len() as f64;
            while segment + 1 < lengths.len() && before + lengths[segment] < wanted {
                before += lengths[segment];
                segment += 1;
            }
            let length = lengths[segment];
            let share = if length > 0.0 { (wanted - before) / length } else { 0.0 };
            rows.extend(self.between(first + segment, share.clamp(0.0, 1.0))?);
        }
        self.rows[(first + 1) * self.dim..][..rows.len()].copy_from_slice(&rows);
        Ok(())
    }
}
