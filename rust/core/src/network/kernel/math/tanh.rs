//! The hyperbolic tangent: as costly as the product in a small network, unless it is fast.

use super::elementary::expm1;
use super::primitives::{abs, clamp, polynomial, with_sign};
use crate::network::kernel::constants::{Constants, Rational};
use crate::network::kernel::number::Number;
use crate::network::kernel::simd::{Simd, Vector};

/// tanh x.
#[inline(always)]
pub fn tanh<V: Vector>(simd: Simd<V>, x: V) -> V {
    match V::Number::TANH {
        Some(rational) => quotient(simd, &rational, x),
        None => by_expm1(simd, x),
    }
}

/// x P(x²)/Q(x²): both begin with 1, so that tiny numbers stay as they are. Rounding may bring the
/// quotient beyond 1, where no tanh is.
#[inline(always)]
fn quotient<V: Vector>(simd: Simd<V>, rational: &Rational<V::Number>, x: V) -> V {
    let x = clamp(simd, x, [-rational.end, rational.end]);
    let square = x * x;
    let value = x * polynomial(simd, rational.above, square);
    let value = value / polynomial(simd, rational.below, square);
    clamp(simd, value, [-V::Number::ONE, V::Number::ONE])
}

/// tanh |x| = −t/(t + 2) with t = e^(−2|x|) − 1.
#[inline(always)]
fn by_expm1<V: Vector>(simd: Simd<V>, x: V) -> V {
    let t = expm1(simd, abs(simd, x) * simd.splat(-V::Number::TWO));
    let value = with_sign(simd, t / (t + simd.splat(V::Number::TWO)), x);
    V::select(abs(simd, x), simd.splat(V::Number::TINY), value, x)
}
