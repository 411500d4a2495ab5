//! The error function.

use super::elementary::exp;
use super::primitives::{abs, clamp, polynomial, with_sign};
use crate::network::kernel::constants::Constants;
use crate::network::kernel::number::Number;
use crate::network::kernel::simd::{Simd, Vector};

/// erf x: x P(x²)/Q(x²) near 0, and 1 − e^(−x²) P(|x|)/Q(|x|) further out where one quotient is not
/// enough.
#[inline(always)]
pub fn erf<V: Vector>(simd: Simd<V>, x: V) -> V {
    let near = V::Number::ERF;
    let bounded = clamp(simd, x, [-near.end, near.end]);
    let square = bounded * bounded;
    let value =
        bounded * polynomial(simd, near.above, square) / polynomial(simd, near.below, square);
    let Some(far) = V::Number::ERFC else { return value };
    let size = V::smaller(abs(simd, x), simd.splat(far.end));
    let rest = polynomial(simd, far.above, size) / polynomial(simd, far.below, size);
    let complement = exp(simd, size * size * simd.splat(-V::Number::ONE)) * rest;
    let outside = with_sign(simd, simd.splat(V::Number::ONE) - complement, x);
    V::select(size, simd.splat(near.end), outside, value)
}
