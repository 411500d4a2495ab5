//! Building blocks of the element-wise functions: polynomials, clamping, sign manipulation.

use crate::network::kernel::constants::Constants;
use crate::network::kernel::number::Number;
use crate::network::kernel::simd::{Simd, Vector};

/// Σᵢ cᵢ xⁱ by Horner's rule; `coefficients` start with the constant.
#[inline(always)]
pub(super) fn polynomial<V: Vector>(simd: Simd<V>, coefficients: &[V::Number], x: V) -> V {
    let (last, lower) = coefficients.split_last().expect("a polynomial has coefficients");
    let mut sum = simd.splat(*last);
    for &coefficient in lower.iter().rev() {
        sum = V::mul_add(sum, x, simd.splat(coefficient));
    }
    sum
}

/// x clamped to [low, high].
#[inline(always)]
pub(super) fn clamp<V: Vector>(simd: Simd<V>, x: V, [low, high]: [V::Number; 2]) -> V {
    V::smaller(V::larger(x, simd.splat(low)), simd.splat(high))
}

/// |x|.
#[inline(always)]
pub(super) fn abs<V: Vector>(simd: Simd<V>, x: V) -> V {
    V::and(x, simd.splat(V::Number::MAGNITUDE))
}

/// |x| with the sign of y.
#[inline(always)]
pub(super) fn with_sign<V: Vector>(simd: Simd<V>, x: V, y: V) -> V {
    let sign = V::and(y, simd.splat(-V::Number::ZERO));
    V::or(abs(simd, x), sign)
}
