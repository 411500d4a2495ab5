//! Newton-MR: a step that decreases the norm of the gradient.

use super::krylov_growth::grow_krylov_space;
use super::options::{SearchOptions, StepResult};
use super::point::Point;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::solver::Status;
use crate::spectrum::CountedOperator;

/// Ratios of actual to predicted decrease: below the first a step is rejected, below the second the
/// trust radius shrinks, above the third it grows.
const MIN_RATIO: f64 = 1e-4;
const POOR_RATIO: f64 = 0.25;
const GOOD_RATIO: f64 = 0.75;
/// The maximum number of radii tried for one step.
const MAX_TRIALS: usize = 40;
/// Where the best step decreases ‖g‖² by less than this share, the norm counts as stationary.
const FLAT: f64 = 1e-6;

/// One step of Newton-MR: p minimises ‖H p + g‖ over a Krylov space of g within a trust radius, which
/// follows the ratio of actual to predicted decrease of ‖g‖².
///
/// It converges to minima, maxima and saddles alike. Where g ≠ 0 lies in the null space of H it ends
/// with [`Status::Flat`]: ‖g‖ is stationary there, though the point is not critical.
///
/// # Reference
/// Roosta, Liu, Xu, Mahoney (2022), *Newton-MR: Inexact Newton method with minimum residual
/// sub-problem solver*; Nocedal and Wright (2006), *Numerical Optimization*, section 11.2, for the
/// radius; Frye et al. (2021), *Critical point-finding methods reveal gradient-flat regions of deep
/// network losses*.
pub(super) fn step<S: Scalar>(
    objective: &dyn Objective<S>,
    current: &Point<S>,
    (initial_norm, radius): (f64, &mut f64),
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<StepResult<S>, Error> {
    let hessian = objective.curvature_at(&current.theta)?;
    let mut hessian = CountedOperator::new(&*hessian, cancel, 0);
    // Ever more accurate near the solution, so that convergence is faster than linear.
    let accuracy = (current.norm / initial_norm).clamp(S::EPSILON, 0.1);
    let (space, problem) =
        grow_krylov_space(&mut hessian, &current.gradient, options.krylov, accuracy)?;
    let products = hessian.count();
    let squared_norm = current.norm * current.norm;
    if problem.solve_within(f64::INFINITY).decrease <= FLAT * squared_norm {
        // A space that was cut off at its limit says nothing about the directions outside it.
        let whole = space.is_invariant() || space.order() < options.krylov;
        let status = if whole { Status::Flat } else { Status::Stalled };
        return Ok(StepResult::terminate(status, products, 0));
    }
    for trial in 1..=MAX_TRIALS {
        let solution = problem.solve_within(*radius);
        let direction = space.combinations(&[solution.y]);
        let next = Point::evaluate(objective, current.displace(&direction, 1.0)?, cancel)?;
        let ratio = (squared_norm - next.norm * next.norm) / solution.decrease;
        // A norm that is NaN counts as a poor step.
        if ratio.is_nan() || ratio < POOR_RATIO {
            *radius = solution.length / 4.0;
        } else if ratio > GOOD_RATIO {
            *radius = radius.max(2.0 * solution.length);
        }
        if ratio >= MIN_RATIO {
            return Ok(StepResult::step_to(next, solution.length, products, trial));
        }
    }
    Ok(StepResult::terminate(Status::Stalled, products, MAX_TRIALS))
}
