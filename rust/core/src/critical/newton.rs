//! A step that lowers the norm of the gradient.

use super::outcome::{Ending, Found, SearchOptions};
use super::point::Point;
use super::space::grown;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::spectrum::Products;
use crate::vector::norm;

/// The share of the decrease that the slope promises, and that a step must bring.
const ARMIJO: f64 = 1e-4;
/// Halvings of a step.
const HALVINGS: usize = 30;
/// A step that can take away less than this share of the squared norm finds no slope of it.
const FLAT: f64 = 1e-6;

/// One step of Newton-MR: p minimises ‖H p + g‖ over a Krylov space of g, and is shortened until the
/// squared norm of the gradient falls by a part of what its slope 2 ⟨H p, g⟩ promises.
///
/// Minima, maxima and saddles attract it alike. Where g ≠ 0 lies in the kernel of H it stops: the
/// norm has no slope there, though the point is not critical.
///
/// # Reference
/// Roosta, Liu, Xu, Mahoney (2022), *Newton-MR: Inexact Newton method with minimum residual
/// sub-problem solver*, algorithm 1; Frye et al. (2021), *Critical point-finding methods reveal
/// gradient-flat regions of deep network losses*.
pub(super) fn step<S: Scalar>(
    objective: &dyn Objective<S>,
    at: &Point<S>,
    first: f64,
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<Found<S>, Error> {
    let operator = objective.curvature_at(&at.theta)?;
    let mut products = Products::new(&*operator, cancel, 0);
    // Ever more exact near the end, so that convergence is faster than linear.
    let accuracy = (at.norm / first).clamp(S::EPSILON, 0.1);
    let (space, residual) = grown(&mut products, &at.gradient, options.krylov, accuracy)?;
    let made = products.count();
    let slope = 2.0 * space.start() * residual.image[0];
    let square = at.norm * at.norm;
    if -slope <= FLAT * square {
        return Ok(Found::ended(Ending::Flat, made, 0));
    }
    let direction = space.combinations(&[residual.solution]);
    let length = norm(&direction);
    let mut share = 1.0;
    for tried in 1..=HALVINGS {
        let next = Point::at(objective, at.moved(&direction, share)?, cancel)?;
        if next.norm * next.norm <= square + ARMIJO * share * slope {
            return Ok(Found::moved(next, share * length, made, tried));
        }
        share /= 2.0;
    }
    Ok(Found::ended(Ending::Stalled, made, HALVINGS))
}
