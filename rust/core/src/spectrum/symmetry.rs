//! Whether an operator is symmetric, as far as its products tell.

use super::products::Products;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{inner_product, norm};

/// |xᵀAy − yᵀAx| / (‖Ax‖ + ‖Ay‖) of two standard normal vectors: a small multiple of rounding for a
/// symmetric A, about the asymmetric share of its norm for another. Zero where both products are.
///
/// # Errors
/// Those of the two products.
pub fn asymmetry<S: Scalar>(
    operator: &dyn LinearOperator<S>,
    seed: u64,
    cancel: &Cancel,
) -> Result<f64, Error> {
    let dim = operator.dim();
    let mut products = Products::new(operator, cancel, 0);
    let mut image = |stream: u64| {
        let (mut vector, mut out) = (vec![S::default(); dim], vec![S::default(); dim]);
        Gaussian::new(seed, stream).fill(0, &mut vector);
        products.apply(&vector, &mut out).map(|()| (vector, out))
    };
    let ((x, ax), (y, ay)) = (image(0)?, image(1)?);
    let size = norm(&ax) + norm(&ay);
    let difference = (inner_product(&x, &ay) - inner_product(&y, &ax)).abs();
    Ok(if size > 0.0 { difference / size } else { 0.0 })
}
