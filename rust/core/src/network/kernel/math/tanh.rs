//! The hyperbolic tangent: a rational function, or e^x − 1 where that is not accurate enough.

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

/// x P(x²)/Q(x²). Both polynomials begin with 1, so that tiny numbers stay unchanged; the result is
/// clamped, since rounding can bring the quotient beyond ±1.
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
