//! Bezier curves and polygonal chains as linear combinations of control points.

use serde::{Deserialize, Serialize};

/// The basis functions of a curve θ(t) = Σⱼ cⱼ(t) Pⱼ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CurveKind {
    /// Bernstein polynomials of degree `count` − 1.
    Bezier,
    /// Piecewise linear functions: straight segments, each over an equal part of [0, 1].
    Polychain,
}

impl CurveKind {
    /// c₀(t), …, cₙ₋₁(t) for n = `count` control points and t in [0, 1]: non-negative, with sum 1, and
    /// interpolating the first and the last point.
    #[must_use]
    pub fn coefficients(self, count: usize, t: f64) -> Vec<f64> {
        match self {
            Self::Bezier => bernstein(count, t),
            Self::Polychain => {
                let position = t * (count - 1) as f64;
                (0..count).map(|j| (1.0 - (position - j as f64).abs()).max(0.0)).collect()
            }
        }
    }
}

/// The Bernstein polynomials of degree `count` − 1 by de Casteljau's recurrence: stable, and exact at
/// both ends.
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
        let values = CurveKind::Bezier.coefficients(4, t);
        let s = 1.0 - t;
        let expected = [s * s * s, 3.0 * t * s * s, 3.0 * t * t * s, t * t * t];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{values:?}");
    }

    #[test]
    fn curves_interpolate_their_ends_and_coefficients_have_sum_1() {
        for kind in [CurveKind::Bezier, CurveKind::Polychain] {
            assert_eq!(kind.coefficients(3, 0.0), [1.0, 0.0, 0.0]);
            assert_eq!(kind.coefficients(3, 1.0), [0.0, 0.0, 1.0]);
            assert_eq!(kind.coefficients(2, 0.25), [0.75, 0.25]);
            let sum: f64 = kind.coefficients(6, 0.37).iter().sum();
            assert!((sum - 1.0).abs() < 1e-15);
        }
        assert_eq!(CurveKind::Polychain.coefficients(5, 0.5), [0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}
