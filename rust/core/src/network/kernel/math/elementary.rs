//! Exponentials and logarithms.

use super::primitives::{abs, clamp, polynomial};
use crate::network::kernel::constants::Constants;
use crate::network::kernel::number::Number;
use crate::network::kernel::simd::{Simd, Vector};

/// x = n log 2 + r with a whole n and |r| ≤ log(2)/2.
#[inline(always)]
fn reduce_range<V: Vector>(simd: Simd<V>, x: V) -> (V, V) {
    let rounder = simd.splat(V::Number::ROUNDER);
    let n = V::mul_add(x, simd.splat(V::Number::LOG2_E), rounder) - rounder;
    let [high, low] = V::Number::LN_2.map(|part| simd.splat(-part));
    (n, V::mul_add(n, low, V::mul_add(n, high, x)))
}

/// eʳ − 1 for |r| ≤ log(2)/2.
#[inline(always)]
fn expm1_near_zero<V: Vector>(simd: Simd<V>, r: V) -> V {
    V::mul_add(r * r, polynomial(simd, V::Number::EXP, r), r)
}

/// 2ⁿ for a whole n among the exponents of normal numbers.
#[inline(always)]
fn power_of_two<V: Vector>(simd: Simd<V>, n: V) -> V {
    V::bits_to_exponent(n + simd.splat(V::Number::BIASED_ROUNDER))
}

/// eˣ.
#[inline(always)]
pub fn exp<V: Vector>(simd: Simd<V>, x: V) -> V {
    let (n, r) = reduce_range(simd, clamp(simd, x, V::Number::EXP_DOMAIN));
    let near_one = expm1_near_zero(simd, r) + simd.splat(V::Number::ONE);
    V::times_power_of_two(simd, near_one, n)
}

/// eˣ − 1 = 2 (2ⁿ⁻¹ (eʳ − 1) + (2ⁿ⁻¹ − ½)).
#[inline(always)]
pub fn expm1<V: Vector>(simd: Simd<V>, x: V) -> V {
    let domain = [V::Number::EXPM1_LOW, V::Number::EXP_DOMAIN[1]];
    let (n, r) = reduce_range(simd, clamp(simd, x, domain));
    let power = power_of_two(simd, n - simd.splat(V::Number::ONE));
    let half = V::mul_add(power, expm1_near_zero(simd, r), power - simd.splat(V::Number::HALF));
    // Halving a denormal number would round it, and −0 would become 0.
    V::select(abs(simd, x), simd.splat(V::Number::TINY), half + half, x)
}

/// log((1 + f) 2ⁿ) for 1 + f from √½ to √2, by log(1 + f) = 2 artanh(f/(2 + f)).
#[inline(always)]
fn ln_of_parts<V: Vector>(simd: Simd<V>, f: V, n: V) -> V {
    let s = f / (f + simd.splat(V::Number::TWO));
    let z = s * s;
    let rest = z * polynomial(simd, V::Number::LN, z);
    let half_square = f * f * simd.splat(V::Number::HALF);
    let [high, low] = V::Number::LN_2.map(|part| simd.splat(part));
    // Summed from the smallest term to the largest.
    let correction = V::mul_add(s, half_square + rest, n * low);
    V::mul_add(n, high, f - (half_square - correction))
}

/// (m, n) with x = m 2ⁿ and m from √½ to √2, for a positive normal x.
#[inline(always)]
fn split_exponent<V: Vector>(simd: Simd<V>, x: V) -> (V, V) {
    let one = simd.splat(V::Number::ONE);
    let exponent = V::or(V::exponent_to_bits(x), simd.splat(V::Number::UNIT));
    let n = exponent - simd.splat(V::Number::BIASED_UNIT);
    let m = V::or(V::and(x, simd.splat(V::Number::FRACTION)), one);
    let root = simd.splat(V::Number::SQRT_2);
    let half = m * simd.splat(V::Number::HALF);
    (V::select(m, root, half, m), V::select(m, root, n + one, n))
}

/// log x.
#[inline(always)]
pub fn ln<V: Vector>(simd: Simd<V>, x: V) -> V {
    let splat = |number| simd.splat(number);
    let smallest = splat(V::Number::SMALLEST);
    let zero = splat(V::Number::ZERO);
    let normal = V::select(smallest, x, x * splat(V::Number::NORMALISER), x);
    let shift = V::select(smallest, x, splat(V::Number::NORMALISER_EXPONENT), zero);
    let (m, n) = split_exponent(simd, normal);
    let value = ln_of_parts(simd, m - splat(V::Number::ONE), n - shift);
    // Infinite and NaN inputs are returned unchanged, then the non-positive ones are handled.
    let value = V::select(splat(V::Number::INFINITY), x, value, x);
    let limit = V::select(zero, x, splat(V::Number::NAN), splat(-V::Number::INFINITY));
    V::select(x, zero, value, limit + x)
}

/// 1/(1 + e⁻ˣ), from e^(−|x|), which cannot overflow.
#[inline(always)]
pub fn sigmoid<V: Vector>(simd: Simd<V>, x: V) -> V {
    let one = simd.splat(V::Number::ONE);
    let zero = simd.splat(V::Number::ZERO);
    let e = exp(simd, zero - abs(simd, x));
    V::select(zero, x, e, one) / (one + e)
}

/// log(1 + eˣ) = max(x, 0) + log(1 + e^(−|x|)).
#[inline(always)]
pub fn softplus<V: Vector>(simd: Simd<V>, x: V) -> V {
    let splat = |number| simd.splat(number);
    let (zero, one, half) = (splat(V::Number::ZERO), splat(V::Number::ONE), splat(V::Number::HALF));
    let e = exp(simd, zero - abs(simd, x));
    // 1 + e = (1 + f) 2ⁿ without rounding 1 + e.
    let far = splat(V::Number::SQRT_2) - one;
    let f = V::select(e, far, (e - one) * half, e);
    let n = V::select(e, far, one, zero);
    V::larger(x, zero) + ln_of_parts(simd, f, n)
}
