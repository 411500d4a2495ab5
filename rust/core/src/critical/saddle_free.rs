//! A step that lowers the loss and is repelled by saddles.

use super::outcome::{Ending, Found, SearchOptions};
use super::point::Point;
use super::small::Absolute;
use super::space::grown;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::spectrum::{Iteration, Lanczos, Options, Products, Status, Which};
use crate::vector::norm;

/// The share of the decrease that the slope promises, and that a step must bring.
const ARMIJO: f64 = 1e-4;
/// Dampings that are tried together, each so many times the one before, from a quarter of the last.
const TRIED: i32 = 6;
const APART: f64 = 4.0;
/// How often stronger dampings are tried.
const ROUNDS: usize = 4;
const WEAKEST: f64 = 1e-12;
/// How well the Newton equation is solved for a step.
const ACCURACY: f64 = 1e-2;
/// The residual of the smallest eigenvalue, in units of what counts as negative, and at least.
const SHARE: f64 = 0.1;
const FINEST: f64 = 1e-6;
/// Products that finding it may take, in units of the Krylov space.
const PATIENCE: usize = 20;
/// Lengths of a step off a saddle: this share of the norm of θ, or of 1, times powers of 2.
const SHORTEST: f64 = 1e-4;
const DOUBLINGS: i32 = 14;

/// One step p = −|H|⁻¹ g in a Krylov space of g, |H| having the absolute values of H's eigenvalues;
/// damped as much as lowers the loss most. Where g vanishes along with the tolerance, a step along the
/// direction of most negative curvature, or the end where there is none.
///
/// # Reference
/// Dauphin et al. (2014), *Identifying and attacking the saddle point problem in high-dimensional
/// non-convex optimization*, algorithm 1.
pub(super) fn step<S: Scalar>(
    objective: &dyn Objective<S>,
    at: &Point<S>,
    damping: &mut f64,
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<Found<S>, Error> {
    let operator = objective.curvature_at(&at.theta)?;
    if at.norm <= options.tolerance {
        return leave(objective, &*operator, at, options, cancel);
    }
    let mut products = Products::new(&*operator, cancel, 0);
    let (space, _) = grown(&mut products, &at.gradient, options.krylov, ACCURACY)?;
    let made = products.count();
    let mut evaluations = 0;
    for _ in 0..ROUNDS {
        let dampings: Vec<f64> =
            (-1..TRIED - 1).map(|power| (*damping * APART.powi(power)).max(WEAKEST)).collect();
        let steps = Absolute::of(&space, &dampings);
        let directions = space.combinations(&steps.solutions);
        let losses = losses(objective, at, &directions, cancel)?;
        evaluations += losses.len();
        let low = |best: &usize| losses[*best] <= at.loss + ARMIJO * steps.slopes[*best];
        if let Some(best) = lowest(&losses).filter(low) {
            let dim = at.theta.len();
            let direction = &directions[best * dim..(best + 1) * dim];
            *damping = dampings[best];
            let next = Point::at(objective, at.moved(direction, 1.0)?, cancel)?.finite()?;
            return Ok(Found::moved(next, norm(direction), made, evaluations + 1));
        }
        *damping *= APART.powi(TRIED);
    }
    Ok(Found::ended(Ending::Stalled, made, evaluations))
}

/// A step from a critical point along its most negative curvature, whichever way is lower.
fn leave<S: Scalar>(
    objective: &dyn Objective<S>,
    operator: &dyn LinearOperator<S>,
    at: &Point<S>,
    options: &SearchOptions,
    cancel: &Cancel,
) -> Result<Found<S>, Error> {
    let dim = at.theta.len();
    let wanted = Options {
        dim,
        count: 1,
        which: Which::Smallest,
        tolerance: (SHARE * options.negative).max(FINEST),
        basis: options.krylov.max(3).min(dim),
        max_products: PATIENCE * options.krylov.max(50),
        seed: options.seed,
    };
    let mut lanczos = Lanczos::new(wanted, None, &[])?;
    lanczos.run(operator, cancel, |_| Ok(true))?;
    let made = lanczos.products();
    let curvature = lanczos.values().first().copied().unwrap_or(0.0);
    if curvature >= -options.negative * lanczos.scale() {
        // Products that ran out prove nothing.
        let known = lanczos.status() != Status::MaxProducts;
        let ending = if known { Ending::Converged } else { Ending::Stalled };
        return Ok(Found::ended(ending, made, 0));
    }
    let direction = lanczos.vectors();
    let unit = SHORTEST * norm(&at.theta).max(1.0);
    let lengths: Vec<f64> = (0..DOUBLINGS)
        .flat_map(|power| [1.0, -1.0].map(|side| side * unit * 2.0_f64.powi(power)))
        .collect();
    let steps: Vec<S> = lengths
        .iter()
        .flat_map(|length| direction.iter().map(move |v| S::narrow(length * v.widen())))
        .collect();
    let losses = losses(objective, at, &steps, cancel)?;
    match lowest(&losses).filter(|&best| losses[best] < at.loss) {
        Some(best) => {
            let next =
                Point::at(objective, at.moved(&direction, lengths[best])?, cancel)?.finite()?;
            Ok(Found::moved(next, lengths[best].abs(), made, losses.len() + 1))
        }
        None => Ok(Found::ended(Ending::Stalled, made, losses.len())),
    }
}

/// The losses after each of several steps, the rows of `steps`.
fn losses<S: Scalar>(
    objective: &dyn Objective<S>,
    at: &Point<S>,
    steps: &[S],
    cancel: &Cancel,
) -> Result<Vec<f64>, Error> {
    let dim = at.theta.len();
    let points: Vec<S> =
        steps.chunks(dim).map(|step| at.moved(step, 1.0)).collect::<Result<Vec<_>, _>>()?.concat();
    let mut losses = vec![0.0; steps.len() / dim];
    objective.losses(&points, &mut losses, cancel)?;
    Ok(losses)
}

/// Where the lowest finite number is.
fn lowest(losses: &[f64]) -> Option<usize> {
    let finite = losses.iter().enumerate().filter(|(_, loss)| loss.is_finite());
    finite.min_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
}
