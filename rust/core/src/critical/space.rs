//! The Krylov space of a gradient, grown as far as a step needs it.

use super::small::Residual;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::{Krylov, Products};

/// Residuals are looked at after the first products, and then whenever a space has grown by a
/// quarter.
const GROWTH: usize = 4;
/// A residual whose image is smaller than this, in units of rounding, cannot be lowered further.
const SETTLED: f64 = 64.0;

/// Grows the space of `gradient` until the Newton equation H p = −g is solved to `accuracy`, no
/// further product changes the solution, or the room of `limit` vectors is full.
///
/// # Errors
/// Those of the operator.
pub(super) fn grown<S: Scalar>(
    products: &mut Products<'_, S>,
    gradient: &[S],
    limit: usize,
    accuracy: f64,
) -> Result<(Krylov<S>, Residual), Error> {
    let mut space = Krylov::new(gradient, limit)?;
    let mut next = 1;
    let mut before: Option<Residual> = None;
    loop {
        space.advance(products)?;
        if space.order() < next && !space.finished() {
            continue;
        }
        next = space.order() + 1 + space.order() / GROWTH;
        let residual = Residual::of(&space);
        let solved = residual.rest <= accuracy * space.start();
        let settled = before.is_some_and(|old| old.slope(&space) <= SETTLED * S::EPSILON);
        if solved || settled || space.finished() {
            return Ok((space, residual));
        }
        before = Some(residual);
    }
}
