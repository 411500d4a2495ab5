//! Bezier curves and polygonal chains by their control points.

use serde::{Deserialize, Serialize};

/// How control points make a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Bernstein polynomials, of the degree that the points allow.
    Bezier,
    /// Straight segments, each of which takes an equal part of the parameter.
    Polychain,
}

impl Kind {
    /// What each of `count` control points counts at a parameter t from 0 to 1: the coefficients
    /// are not negative, add up to 1, and end on the first and on the last point.
    #[must_use]
    pub fn coefficients(self, count: usize, t: f64) -> Vec<f64> {
        match self {
            Self::Bezier => bernstein(count, t),
            Self::Polychain => {
                let place = t * (count - 1) as f64;
                (0..count).map(|j| (1.0 - (place - j as f64).abs()).max(0.0)).collect()
            }
        }
    }
}

/// The Bernstein polynomials of degree `count` − 1, by their recurrence, which is a mean of means:
/// no binomials, no powers, and the ends to the bit.
fn bernstein(count: usize, t: f64) -> Vec<f64> {
    let mut row = vec![1.0];
    while row.len() < count {
        let mut next = vec![0.0; row.len() + 1];
        for (j, value) in row.iter().enumerate() {
            next[j] += (1.0 - t) * value;
            next[j + 1] += t * value;
        }
        row = next;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bernstein_polynomials_are_binomial_probabilities() {
        let t: f64 = 0.3;
        let found = Kind::Bezier.coefficients(4, t);
        let s = 1.0 - t;
        let expected = [s * s * s, 3.0 * t * s * s, 3.0 * t * t * s, t * t * t];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn a_curve_begins_and_ends_on_its_ends_and_its_weights_add_up() {
        for kind in [Kind::Bezier, Kind::Polychain] {
            assert_eq!(kind.coefficients(3, 0.0), [1.0, 0.0, 0.0]);
            assert_eq!(kind.coefficients(3, 1.0), [0.0, 0.0, 1.0]);
            assert_eq!(kind.coefficients(2, 0.25), [0.75, 0.25]);
            let sum: f64 = kind.coefficients(6, 0.37).iter().sum();
            assert!((sum - 1.0).abs() < 1e-15);
        }
        assert_eq!(Kind::Polychain.coefficients(5, 0.5), [0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}
