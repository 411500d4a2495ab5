//! A step that lowers the norm of the gradient.

use super::outcome::{Ending, Found, SearchOptions};
use super::point::Point;
use super::space::grown;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::spectrum::Products;

/// The share of the predicted decrease below which a step is refused, and below or above which the
/// radius changes.
const REFUSED: f64 = 1e-4;
const POOR: f64 = 0.25;
const GOOD: f64 = 0.75;
/// Radii that are tried for one step.
const TRIED: usize = 40;
/// A step that can take away less than this share of the squared norm finds no slope of it.
const FLAT: f64 = 1e-6;

/// One step of Newton-MR: p minimises ‖H p + g‖ over a Krylov space of g, among vectors within a
/// radius that follows how well the prediction holds.
///
/// Minima, maxima and saddles attract it alike. Where g ≠ 0 lies in the kernel of H it stops: the
/// norm has no slope there, though the point is not critical.
///
/// # Reference
/// Roosta, Liu, Xu, Mahoney (2022), *Newton-MR: Inexact Newton method with minimum residual
/// sub-problem solver*; Nocedal and Wright (2006), *Numerical Optimization*, section 11.2, for the
/// radius; Frye et al. (2021), *Critical point-finding methods reveal gradient-flat regions of deep
/// network losses*.
pub(super) fn step<S: Scalar>(
    objective: &dyn Objective<S>,
    at: &Point<S>,
    (first, radius): (f64, &mut f64),
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<Found<S>, Error> {
    let operator = objective.curvature_at(&at.theta)?;
    let mut products = Products::new(&*operator, cancel, 0);
    // Ever more exact near the end, so that convergence is faster than linear.
    let accuracy = (at.norm / first).clamp(S::EPSILON, 0.1);
    let (space, residual) = grown(&mut products, &at.gradient, options.krylov, accuracy)?;
    let made = products.count();
    let square = at.norm * at.norm;
    if residual.within(f64::INFINITY).gain <= FLAT * square {
        // A space that is full says nothing of what lies outside.
        let whole = space.invariant() || space.order() < options.krylov;
        let ending = if whole { Ending::Flat } else { Ending::Stalled };
        return Ok(Found::ended(ending, made, 0));
    }
    for tried in 1..=TRIED {
        let best = residual.within(*radius);
        let direction = space.combinations(&[best.y]);
        let next = Point::at(objective, at.moved(&direction, 1.0)?, cancel)?;
        let share = (square - next.norm * next.norm) / best.gain;
        // A norm that is NaN is as poor as can be.
        if share.is_nan() || share < POOR {
            *radius = best.length / 4.0;
        } else if share > GOOD {
            *radius = radius.max(2.0 * best.length);
        }
        if share >= REFUSED {
            return Ok(Found::moved(next, best.length, made, tried));
        }
    }
    Ok(Found::ended(Ending::Stalled, made, TRIED))
}
