//! Saddle-free Newton: a step that decreases the loss and is repelled by saddles.

use super::krylov_growth::grow_krylov_space;
use super::krylov_subproblems::AbsoluteNewton;
use super::options::{SearchOptions, StepResult};
use super::point::Point;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::solver::{Solver, Status};
use crate::spectrum::{CountedOperator, Lanczos, LanczosOptions, RelativeTo, Which};
use crate::vector::norm;

/// The Armijo condition: the share of the first-order decrease that a step must achieve.
const ARMIJO: f64 = 1e-4;
/// Dampings are tried in groups of this many, each this factor above the one before; the first group
/// starts one factor below the damping of the last step.
const GROUP: i32 = 6;
const FACTOR: f64 = 4.0;
/// The maximum number of groups.
const MAX_GROUPS: usize = 4;
const MIN_DAMPING: f64 = 1e-12;
/// A predicted decrease of the loss below this many units of rounding cannot be seen.
const ROUNDINGS: f64 = 4.0;
/// The relative residual of the Newton equation.
const ACCURACY: f64 = 1e-2;
/// The tolerance of the smallest eigenvalue, as a share of the threshold of negative curvature, and
/// its lower bound.
const TOLERANCE_SHARE: f64 = 0.1;
const MIN_TOLERANCE: f64 = 1e-6;
/// Products for the smallest eigenvalue, as a multiple of the Krylov dimension.
const PRODUCTS_FACTOR: usize = 20;
/// Lengths of a step that leaves a saddle: this share of max(1, ‖θ‖), doubled this many times.
const MIN_LENGTH: f64 = 1e-4;
const DOUBLINGS: i32 = 14;

/// One step p = −|H|⁻¹ g in a Krylov space of g, where |H| has the absolute values of the eigenvalues
/// of H; of several dampings the one with the lowest loss. Where ‖g‖ is within the tolerance, a step
/// along the direction of most negative curvature, or convergence where there is none.
///
/// # Reference
/// Dauphin et al. (2014), *Identifying and attacking the saddle point problem in high-dimensional
/// non-convex optimization*, algorithm 1.
pub(super) fn step<S: Scalar>(
    objective: &dyn Objective<S>,
    current: &Point<S>,
    damping: &mut f64,
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<StepResult<S>, Error> {
    let hessian = objective.curvature_at(&current.theta)?;
    if current.norm <= options.tolerance {
        return escape_saddle(objective, &*hessian, current, options, cancel);
    }
    let mut counted = CountedOperator::new(&*hessian, cancel, 0);
    let (space, _) = grow_krylov_space(&mut counted, &current.gradient, options.krylov, ACCURACY)?;
    let mut products = counted.count();
    let mut evaluations = 0;
    for group in 0..MAX_GROUPS {
        let dampings: Vec<f64> =
            (-1..GROUP - 1).map(|power| (*damping * FACTOR.powi(power)).max(MIN_DAMPING)).collect();
        let steps = AbsoluteNewton::solve(&space, &dampings);
        let predicted = steps.slopes.iter().fold(0.0, |most: f64, slope| most.max(-slope));
        if group == 0 && predicted <= ROUNDINGS * S::EPSILON * current.loss.abs() {
            // No decrease along g can be told from rounding, as close to a saddle, where steps of
            // equal loss would go on for ever. A minimum has no such way out, and g may still shrink.
            let escape = escape_saddle(objective, &*hessian, current, options, cancel)?;
            (products, evaluations) = (products + escape.products, escape.evaluations);
            if escape.point.is_some() {
                return Ok(StepResult { products, ..escape });
            }
        }
        let directions = space.combinations(&steps.solutions);
        let losses = evaluate_steps(objective, current, &directions, cancel)?;
        evaluations += losses.len();
        let sufficient = |i: &usize| losses[*i] <= current.loss + ARMIJO * steps.slopes[*i];
        if let Some(best) = find_lowest(&losses).filter(sufficient) {
            let dim = current.theta.len();
            let direction = &directions[best * dim..(best + 1) * dim];
            *damping = dampings[best];
            let next = Point::evaluate(objective, current.displace(direction, 1.0)?, cancel)?
                .require_finite()?;
            return Ok(StepResult::step_to(next, norm(direction), products, evaluations + 1));
        }
        *damping *= FACTOR.powi(GROUP);
    }
    Ok(StepResult::terminate(Status::Stalled, products, evaluations))
}

/// A step from a critical point along its most negative curvature, in the direction and with the
/// length of the lowest loss.
fn escape_saddle<S: Scalar>(
    objective: &dyn Objective<S>,
    hessian: &dyn LinearOperator<S>,
    current: &Point<S>,
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<StepResult<S>, Error> {
    let dim = current.theta.len();
    let smallest = LanczosOptions {
        dim,
        count: 1,
        which: Which::Smallest,
        tolerance: (TOLERANCE_SHARE * options.negative_tolerance).max(MIN_TOLERANCE),
        relative_to: RelativeTo::Norm,
        basis: options.krylov.max(3).min(dim),
        max_products: PRODUCTS_FACTOR * options.krylov.max(50),
        seed: options.seed,
    };
    let mut lanczos = Lanczos::new(smallest, None, &[])?;
    lanczos.run(hessian, cancel, |_| Ok(true))?;
    let products = lanczos.products();
    let curvature = lanczos.values().first().copied().unwrap_or(0.0);
    if curvature >= -options.negative_tolerance * lanczos.scale() {
        // An eigenvalue that has not converged may still fall below the threshold.
        let proven = lanczos.status() != Status::MaxProducts;
        let status = if proven { Status::Converged } else { Status::Stalled };
        return Ok(StepResult::terminate(status, products, 0));
    }
    let direction = lanczos.vectors();
    let unit = MIN_LENGTH * norm(&current.theta).max(1.0);
    let lengths: Vec<f64> = (0..DOUBLINGS)
        .flat_map(|power| [1.0, -1.0].map(|sign| sign * unit * 2.0_f64.powi(power)))
        .collect();
    let steps: Vec<S> = lengths
        .iter()
        .flat_map(|length| direction.iter().map(move |v| S::narrow(length * v.widen())))
        .collect();
    let losses = evaluate_steps(objective, current, &steps, cancel)?;
    match find_lowest(&losses).filter(|&best| losses[best] < current.loss) {
        Some(best) => {
            let theta = current.displace(&direction, lengths[best])?;
            let next = Point::evaluate(objective, theta, cancel)?.require_finite()?;
            Ok(StepResult::step_to(next, lengths[best].abs(), products, losses.len() + 1))
        }
        None => Ok(StepResult::terminate(Status::Stalled, products, losses.len())),
    }
}

/// The losses at θ + p for each row p of `steps`.
fn evaluate_steps<S: Scalar>(
    objective: &dyn Objective<S>,
    current: &Point<S>,
    steps: &[S],
    cancel: &Cancel,
) -> Result<Vec<f64>, Error> {
    let dim = current.theta.len();
    let points: Vec<S> = steps
        .chunks(dim)
        .map(|step| current.displace(step, 1.0))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let mut losses = vec![0.0; steps.len() / dim];
    objective.losses(&points, &mut losses, cancel)?;
    Ok(losses)
}

/// The index of the lowest finite number.
fn find_lowest(losses: &[f64]) -> Option<usize> {
    let finite = losses.iter().enumerate().filter(|(_, loss)| loss.is_finite());
    finite.min_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
}
