//! The Krylov space of a gradient, grown until the Newton equation is solved.

use super::krylov_subproblems::LeastSquares;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::{CountedOperator, KrylovSpace};

/// The projected problem costs O(m³), so it is solved after the first products and then whenever the
/// space has grown by one part in this many.
const GROWTH: usize = 4;
/// A residual r with ‖H r‖ below this many units of rounding cannot be decreased further.
const STATIONARY: f64 = 64.0;

/// Grows the Krylov space of `gradient` until ‖H p + g‖ ≤ `accuracy` ‖g‖, no further product changes
/// the solution, or the space has `limit` dimensions. Returns the space and its least-squares problem.
///
/// # Errors
/// Those of the operator.
pub(super) fn grow_krylov_space<S: Scalar>(
    operator: &mut CountedOperator<'_, S>,
    gradient: &[S],
    limit: usize,
    accuracy: f64,
) -> Result<(KrylovSpace<S>, LeastSquares), Error> {
    let mut space = KrylovSpace::new(gradient, limit)?;
    let mut next = 1;
    let mut previous: Option<LeastSquares> = None;
    loop {
        space.extend(operator)?;
        if space.order() < next && !space.is_complete() {
            continue;
        }
        next = space.order() + 1 + space.order() / GROWTH;
        let problem = LeastSquares::from_space(&space);
        let solved = problem.residual_norm <= accuracy * space.start_norm();
        let stationary =
            previous.is_some_and(|old| old.relative_slope(&space) <= STATIONARY * S::EPSILON);
        if solved || stationary || space.is_complete() {
            return Ok((space, problem));
        }
        previous = Some(problem);
    }
}
