//! NEON, which every aarch64 machine has.

#![allow(clippy::wildcard_imports, reason = "a table of instructions")]

use std::arch::aarch64::*;
use std::ops::{Add, Div, Mul, Sub};

use super::define::vector;
use super::token::Simd;
use super::vector::Vector;

vector! { F32x4(float32x4_t), f32, 4;
    splat(x) = vdupq_n_f32(x);
    load(from) = vld1q_f32(from);
    store(a, to) = vst1q_f32(to, a);
    sum_lanes(a) = vaddvq_f32(a);
    operators {
        Add add = vaddq_f32;
        Sub sub = vsubq_f32;
        Mul mul = vmulq_f32;
        Div div = vdivq_f32;
    }
    fn mul_add(a, b, c) = vfmaq_f32(c, a, b);
    fn smaller(a, b) = vminq_f32(a, b);
    fn larger(a, b) = vmaxq_f32(a, b);
    fn maximum(a, b) = vmaxq_f32(a, b);
    fn select(a, b, then, otherwise) = vbslq_f32(vcgtq_f32(a, b), then, otherwise);
    fn interleave_low(a, b) = vzip1q_f32(a, b);
    fn interleave_high(a, b) = vzip2q_f32(a, b);
    fn and(a, b) =
        vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
    fn or(a, b) =
        vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
    fn bits_to_exponent(a) =
        vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a)));
    fn exponent_to_bits(a) =
        vreinterpretq_f32_u32(vshrq_n_u32::<23>(vreinterpretq_u32_f32(a)));
}

vector! { F64x2(float64x2_t), f64, 2;
    splat(x) = vdupq_n_f64(x);
    load(from) = vld1q_f64(from);
    store(a, to) = vst1q_f64(to, a);
    sum_lanes(a) = vaddvq_f64(a);
    operators {
        Add add = vaddq_f64;
        Sub sub = vsubq_f64;
        Mul mul = vmulq_f64;
        Div div = vdivq_f64;
    }
    fn mul_add(a, b, c) = vfmaq_f64(c, a, b);
    fn smaller(a, b) = vminq_f64(a, b);
    fn larger(a, b) = vmaxq_f64(a, b);
    fn maximum(a, b) = vmaxq_f64(a, b);
    fn select(a, b, then, otherwise) = vbslq_f64(vcgtq_f64(a, b), then, otherwise);
    fn interleave_low(a, b) = vzip1q_f64(a, b);
    fn interleave_high(a, b) = vzip2q_f64(a, b);
    fn and(a, b) =
        vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
    fn or(a, b) =
        vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
    fn bits_to_exponent(a) =
        vreinterpretq_f64_u64(vshlq_n_u64::<52>(vreinterpretq_u64_f64(a)));
    fn exponent_to_bits(a) =
        vreinterpretq_f64_u64(vshrq_n_u64::<52>(vreinterpretq_u64_f64(a)));
}
