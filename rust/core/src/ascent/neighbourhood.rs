//! Scaled coordinates about a point, and the points of parameter space that they stand for.

use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::vector::{combine, inner_product};

/// θ(u) = θ₀ + S u, or θ₀ + Bᵀ S u with a basis B, where S = diag(s) scales the coordinates.
///
/// All that is added to θ₀, the displacement S u, is rounded to the storage type first, so that a
/// caller who adds a displacement to θ₀ gets the point that was evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbourhood<S> {
    origin: Vec<S>,
    scale: Vec<S>,
    basis: Option<Vec<S>>,
}

impl<S: Scalar> Neighbourhood<S> {
    /// The neighbourhood of `origin`, of d entries, with scales of d entries; or with scales of p
    /// entries for the p rows of a basis, row-major (p, d). A coordinate of scale 0 is fixed.
    ///
    /// # Errors
    /// [`Error::Invalid`] where lengths do not fit, an entry is not finite, a scale is below 0, or all
    /// scales are 0.
    pub fn new(origin: Vec<S>, scale: Vec<S>, basis: Option<Vec<S>>) -> Result<Self, Error> {
        let (dim, size) = (origin.len(), scale.len());
        let expected = basis.as_ref().map_or(dim, |basis| basis.len() / dim.max(1));
        let fits = basis.as_ref().is_none_or(|basis| basis.len() == expected * dim);
        require!(
            dim > 0 && fits && size == expected && size > 0,
            "got {size} scales for {dim} parameters and {} entries of a basis; pass one scale for \
             each coordinate, which are the parameters or the rows of the basis",
            basis.as_ref().map_or(0, Vec::len)
        );
        let finite = |entries: &[S]| entries.iter().all(|entry| entry.widen().is_finite());
        require!(
            finite(&origin) && basis.as_deref().is_none_or(finite),
            "got a point or a basis with entries that are not finite; pass finite ones"
        );
        require!(
            finite(&scale) && scale.iter().all(|entry| entry.widen() >= 0.0),
            "got a scale that is below 0 or not finite; pass scales from 0, which fixes a coordinate"
        );
        require!(
            scale.iter().any(|entry| entry.widen() > 0.0),
            "got scales that are all 0, which leave nothing to vary; pass one above 0"
        );
        Ok(Self { origin, scale, basis })
    }

    /// The number d of parameters.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.origin.len()
    }

    /// The number of coordinates: d, or the number of rows of the basis.
    #[must_use]
    pub fn coordinates(&self) -> usize {
        self.scale.len()
    }

    /// θ₀.
    #[must_use]
    pub fn origin(&self) -> &[S] {
        &self.origin
    }

    /// s.
    #[must_use]
    pub fn scale(&self) -> &[S] {
        &self.scale
    }

    /// The basis, row-major; empty where coordinates are the parameters.
    #[must_use]
    pub fn basis(&self) -> &[S] {
        self.basis.as_deref().unwrap_or_default()
    }

    /// S u.
    pub(super) fn displacement(&self, u: &[S]) -> Vec<S> {
        let scaled = |(scale, entry): (&S, &S)| S::narrow(scale.widen() * entry.widen());
        self.scale.iter().zip(u).map(scaled).collect()
    }

    /// The u of a displacement; None where it moves a coordinate that is fixed.
    pub(super) fn scaled(&self, displacement: &[S]) -> Option<Vec<S>> {
        let divide = |(scale, entry): (&S, &S)| match (scale.widen(), entry.widen()) {
            (0.0, entry) => (entry == 0.0).then(S::default),
            (scale, entry) => Some(S::narrow(entry / scale)),
        };
        self.scale.iter().zip(displacement).map(divide).collect()
    }

    /// Appends θ(u) to `points`.
    pub(super) fn push_point(&self, u: &[S], points: &mut Vec<S>) -> Result<(), Error> {
        let displacement = self.displacement(u);
        if let Some(basis) = &self.basis {
            let rows: Vec<&[S]> =
                [&*self.origin].into_iter().chain(basis.chunks(self.dim())).collect();
            let coefficients: Vec<_> =
                [1.0].into_iter().chain(displacement.iter().map(|entry| entry.widen())).collect();
            points.extend(combine(&rows, &coefficients)?);
        } else {
            let sum = |(origin, entry): (&S, &S)| S::narrow(origin.widen() + entry.widen());
            points.extend(self.origin.iter().zip(&displacement).map(sum));
        }
        Ok(())
    }

    /// The gradient by u, from that by θ.
    pub(super) fn gradient(&self, full: &[S]) -> Vec<S> {
        let scaled = |(scale, slope): (&S, f64)| S::narrow(scale.widen() * slope);
        if let Some(basis) = &self.basis {
            let slopes = basis.chunks(self.dim()).map(|row| inner_product(row, full));
            self.scale.iter().zip(slopes).map(scaled).collect()
        } else {
            let slopes = full.iter().map(|slope| slope.widen());
            self.scale.iter().zip(slopes).map(scaled).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_gradients_by_hand() {
        let plain = Neighbourhood::new(vec![1.0, 2.0], vec![0.5, 0.0], None).expect("fits");
        let mut points = Vec::new();
        plain.push_point(&[2.0, 9.0], &mut points).expect("fits");
        assert_eq!(points, [2.0, 2.0]);
        assert_eq!(plain.gradient(&[3.0, 4.0]), [1.5, 0.0]);
        assert_eq!(plain.scaled(&[1.0, 0.0]), Some(vec![2.0, 0.0]));
        assert_eq!(plain.scaled(&[1.0, 1.0]), None);
        let line = Neighbourhood::new(vec![1.0, 2.0], vec![3.0], Some(vec![1.0, -1.0]));
        let line = line.expect("fits");
        points.clear();
        line.push_point(&[2.0], &mut points).expect("fits");
        assert_eq!(points, [7.0, -4.0]);
        assert_eq!(line.gradient(&[3.0, 4.0]), [-3.0]);
        for wrong in [vec![0.0, 0.0], vec![1.0, -1.0], vec![f64::NAN, 1.0], vec![1.0]] {
            assert!(Neighbourhood::new(vec![1.0, 2.0], wrong, None).is_err());
        }
    }
}
