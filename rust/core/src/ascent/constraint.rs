//! A ball and a box about the origin: projections and steepest ascent.

use serde::{Deserialize, Serialize};

use crate::scalar::Scalar;
use crate::vector::norm;

/// The share of the radius by which rounding may move a point outside.
const ROUNDING: f64 = 1e-6;

/// The norm that bounds scaled coordinates u.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Constraint {
    /// ‖u‖₂ ≤ ρ.
    Ball,
    /// |uᵢ| ≤ ρ for all i.
    Box,
}

impl Constraint {
    /// The norm of the constraint.
    pub(super) fn size<S: Scalar>(self, u: &[S]) -> f64 {
        match self {
            Self::Ball => norm(u),
            Self::Box => u.iter().fold(0.0, |size, entry| entry.widen().abs().max(size)),
        }
    }

    /// Whether u is inside, to rounding. False where an entry is NaN.
    pub(super) fn contains<S: Scalar>(self, radius: f64, u: &[S]) -> bool {
        u.iter().all(|entry| entry.widen().is_finite()) && self.size(u) <= radius * (1.0 + ROUNDING)
    }

    /// Whether a point of the ball is on its sphere, to rounding.
    pub(super) fn is_on_sphere<S: Scalar>(self, radius: f64, u: &[S]) -> bool {
        self == Self::Ball && norm(u) >= radius * (1.0 - ROUNDING)
    }

    /// The nearest point inside, rounded once.
    pub(super) fn project<S: Scalar>(self, radius: f64, u: &[f64]) -> Vec<S> {
        match self {
            Self::Ball => {
                let size = norm(u);
                let factor = if size > radius { radius / size } else { 1.0 };
                u.iter().map(|entry| S::narrow(factor * entry)).collect()
            }
            Self::Box => u.iter().map(|entry| S::narrow(entry.clamp(-radius, radius))).collect(),
        }
    }

    /// The point of radius 1 at which the linear function ⟨h, u⟩ is highest: h / ‖h‖₂ or the signs of h.
    /// Entries are 0 where those of h are.
    pub(super) fn steepest<S: Scalar>(self, h: &[S]) -> Vec<f64> {
        match self {
            Self::Ball => {
                let size = norm(h);
                let factor = if size > 0.0 { 1.0 / size } else { 0.0 };
                h.iter().map(|entry| factor * entry.widen()).collect()
            }
            Self::Box => h.iter().map(|entry| sign(entry.widen())).collect(),
        }
    }
}

/// −1, 0 or 1.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_and_steepest_ascent_by_hand() {
        let (ball, cube) = (Constraint::Ball, Constraint::Box);
        assert_eq!(ball.project::<f64>(2.5, &[3.0, 4.0]), [1.5, 2.0]);
        assert_eq!(ball.project::<f64>(6.0, &[3.0, 4.0]), [3.0, 4.0]);
        assert_eq!(cube.project::<f64>(3.5, &[3.0, -4.0]), [3.0, -3.5]);
        assert_eq!(cube.steepest(&[-2.0_f64, 0.0, 7.0]), [-1.0, 0.0, 1.0]);
        assert_eq!(ball.steepest(&[0.0_f64; 2]), [0.0; 2]);
        assert!(ball.contains(5.0, &[3.0_f64, 4.0]) && !ball.contains(4.9, &[3.0_f64, 4.0]));
        assert!(!cube.contains(1.0, &[f64::NAN]));
    }
}
