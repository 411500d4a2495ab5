//! A randomised test of an operator's symmetry.

use super::counted_operator::CountedOperator;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{inner_product, norm};

/// |xᵀAy − yᵀAx| / (‖Ax‖ + ‖Ay‖) of two standard normal vectors x and y: a small multiple of
/// rounding if A is symmetric, otherwise about the asymmetric share of its norm. 0 where both products
/// vanish.
///
/// # Errors
/// Those of the two products.
pub fn asymmetry<S: Scalar>(
    operator: &dyn LinearOperator<S>,
    seed: u64,
    cancel: &Cancel,
) -> Result<f64, Error> {
    let dim = operator.dim();
    let mut counted = CountedOperator::new(operator, cancel, 0);
    let mut random_product = |stream: u64| {
        let (mut vector, mut out) = (vec![S::default(); dim], vec![S::default(); dim]);
        Gaussian::new(seed, stream).fill(0, &mut vector);
        counted.apply(&vector, &mut out).map(|()| (vector, out))
    };
    let ((x, ax), (y, ay)) = (random_product(0)?, random_product(1)?);
    let size = norm(&ax) + norm(&ay);
    let difference = (inner_product(&x, &ay) - inner_product(&y, &ax)).abs();
    Ok(if size > 0.0 { difference / size } else { 0.0 })
}
