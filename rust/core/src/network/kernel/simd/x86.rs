//! AVX2 with FMA, and AVX-512.

#![allow(clippy::wildcard_imports, reason = "a table of instructions")]

use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

use super::define::vector;
use super::token::Simd;
use super::vector::Vector;

vector! { F32x8(__m256), f32, 8;
    splat(x) = _mm256_set1_ps(x);
    load(from) = _mm256_loadu_ps(from);
    store(a, to) = _mm256_storeu_ps(to, a);
    sum_lanes(a) = {
        let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
        _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
    };
    operators {
        Add add = _mm256_add_ps;
        Sub sub = _mm256_sub_ps;
        Mul mul = _mm256_mul_ps;
        Div div = _mm256_div_ps;
    }
    fn mul_add(a, b, c) = _mm256_fmadd_ps(a, b, c);
    fn smaller(a, b) = _mm256_min_ps(b, a);
    fn larger(a, b) = _mm256_max_ps(b, a);
    fn maximum(a, b) =
        _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a));
    fn select(a, b, then, otherwise) =
        _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
    fn and(a, b) = _mm256_and_ps(a, b);
    fn or(a, b) = _mm256_or_ps(a, b);
    fn bits_to_exponent(a) =
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a)));
    fn interleave_low(a, b) = _mm256_permute2f128_ps::<0x20>(
        _mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    fn interleave_high(a, b) = _mm256_permute2f128_ps::<0x31>(
        _mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    fn exponent_to_bits(a) =
        _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(a)));
}

vector! { F64x4(__m256d), f64, 4;
    splat(x) = _mm256_set1_pd(x);
    load(from) = _mm256_loadu_pd(from);
    store(a, to) = _mm256_storeu_pd(to, a);
    sum_lanes(a) = {
        let a = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd::<1>(a));
        _mm_cvtsd_f64(_mm_add_sd(a, _mm_unpackhi_pd(a, a)))
    };
    operators {
        Add add = _mm256_add_pd;
        Sub sub = _mm256_sub_pd;
        Mul mul = _mm256_mul_pd;
        Div div = _mm256_div_pd;
    }
    fn mul_add(a, b, c) = _mm256_fmadd_pd(a, b, c);
    fn smaller(a, b) = _mm256_min_pd(b, a);
    fn larger(a, b) = _mm256_max_pd(b, a);
    fn maximum(a, b) =
        _mm256_blendv_pd(_mm256_max_pd(a, b), a, _mm256_cmp_pd::<_CMP_UNORD_Q>(a, a));
    fn select(a, b, then, otherwise) =
        _mm256_blendv_pd(otherwise, then, _mm256_cmp_pd::<_CMP_GT_OQ>(a, b));
    fn and(a, b) = _mm256_and_pd(a, b);
    fn or(a, b) = _mm256_or_pd(a, b);
    fn bits_to_exponent(a) =
        _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(a)));
    fn interleave_low(a, b) = _mm256_permute2f128_pd::<0x20>(
        _mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    fn interleave_high(a, b) = _mm256_permute2f128_pd::<0x31>(
        _mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    fn exponent_to_bits(a) =
        _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(a)));
}

vector! { F32x16(__m512), f32, 16;
    splat(x) = _mm512_set1_ps(x);
    load(from) = _mm512_loadu_ps(from);
    store(a, to) = _mm512_storeu_ps(to, a);
    sum_lanes(a) = _mm512_reduce_add_ps(a);
    times_power_of_two(a, n) = _mm512_scalef_ps(a, n);
    operators {
        Add add = _mm512_add_ps;
        Sub sub = _mm512_sub_ps;
        Mul mul = _mm512_mul_ps;
        Div div = _mm512_div_ps;
    }
    fn mul_add(a, b, c) = _mm512_fmadd_ps(a, b, c);
    fn smaller(a, b) = _mm512_min_ps(b, a);
    fn larger(a, b) = _mm512_max_ps(b, a);
    fn maximum(a, b) = _mm512_mask_blend_ps(
        _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), _mm512_max_ps(a, b), a);
    fn select(a, b, then, otherwise) =
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), otherwise, then);
    fn and(a, b) = _mm512_and_ps(a, b);
    fn or(a, b) = _mm512_or_ps(a, b);
    fn bits_to_exponent(a) =
        _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a)));
    fn interleave_low(a, b) = _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
    fn interleave_high(a, b) = _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
    fn exponent_to_bits(a) =
        _mm512_castsi512_ps(_mm512_srli_epi32::<23>(_mm512_castps_si512(a)));
}

vector! { F64x8(__m512d), f64, 8;
    splat(x) = _mm512_set1_pd(x);
    load(from) = _mm512_loadu_pd(from);
    store(a, to) = _mm512_storeu_pd(to, a);
    sum_lanes(a) = _mm512_reduce_add_pd(a);
    times_power_of_two(a, n) = _mm512_scalef_pd(a, n);
    operators {
        Add add = _mm512_add_pd;
        Sub sub = _mm512_sub_pd;
        Mul mul = _mm512_mul_pd;
        Div div = _mm512_div_pd;
    }
    fn mul_add(a, b, c) = _mm512_fmadd_pd(a, b, c);
    fn smaller(a, b) = _mm512_min_pd(b, a);
    fn larger(a, b) = _mm512_max_pd(b, a);
    fn maximum(a, b) = _mm512_mask_blend_pd(
        _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(a, a), _mm512_max_pd(a, b), a);
    fn select(a, b, then, otherwise) =
        _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b), otherwise, then);
    fn and(a, b) = _mm512_and_pd(a, b);
    fn or(a, b) = _mm512_or_pd(a, b);
    fn bits_to_exponent(a) =
        _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(a)));
    fn interleave_low(a, b) =
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
    fn interleave_high(a, b) =
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
    fn exponent_to_bits(a) =
        _mm512_castsi512_pd(_mm512_srli_epi64::<52>(_mm512_castpd_si512(a)));
}
