//! Kernels on one block of all rows, which stays in the cache, with the widest vector instructions.
//!
//! Four rows are processed together: the common operand is read once, and four sums hide the latency of
//! addition. Fused multiply-add is used where the machine has it.

#![allow(clippy::inline_always, reason = "a loop is compiled with its caller's instruction set")]
#![allow(clippy::large_stack_arrays, reason = "the block of one vector in f64 is 32 KiB")]

use crate::isa::Isa;
use crate::scalar::Scalar;

/// Entries of a block: long enough for the prefetcher, short enough that fifty rows of f32 fit the L2
/// cache.
pub(super) const BLOCK: usize = 1 << 12;
/// Rows of one pass over a block.
const TOGETHER: usize = 4;
/// Partial sums of a row, which are added in a fixed order.
const LANES: usize = 8;

/// ⟨vᵢ, w⟩ over a block, for every row.
pub(super) fn products<S: Scalar>(rows: &[&[S]], w: &[S]) -> Vec<f64> {
    let isa = Isa::detect();
    if isa.fuses() {
        return isa.run(
            #[inline(always)]
            || products_in::<S, true>(rows, w),
        );
    }
    products_in::<S, false>(rows, w)
}

/// w ← w − Σᵢ cᵢ vᵢ over a block, summed in f64 and rounded once.
pub(super) fn subtract<S: Scalar>(rows: &[&[S]], c: &[f64], w: &mut [S]) {
    let isa = Isa::detect();
    if isa.fuses() {
        return isa.run(
            #[inline(always)]
            || subtract_in::<S, true>(rows, c, w),
        );
    }
    subtract_in::<S, false>(rows, c, w);
}

/// sum + a b.
#[inline(always)]
fn plus<const FUSED: bool>(sum: f64, a: f64, b: f64) -> f64 {
    if FUSED { a.mul_add(b, sum) } else { sum + a * b }
}

#[inline(always)]
fn products_in<S: Scalar, const FUSED: bool>(rows: &[&[S]], w: &[S]) -> Vec<f64> {
    let mut wide = [0.0; BLOCK];
    let wide = &mut wide[..w.len()];
    for (out, value) in wide.iter_mut().zip(w) {
        *out = value.widen();
    }
    let (fours, rest) = rows.as_chunks::<TOGETHER>();
    let mut products = Vec::with_capacity(rows.len());
    for four in fours {
        products.extend(sums::<S, FUSED>(*four, wide));
    }
    if let Some(row) = rest.first() {
        let mut four = [*row; TOGETHER];
        four[..rest.len()].copy_from_slice(rest);
        products.extend(&sums::<S, FUSED>(four, wide)[..rest.len()]);
    }
    products
}

/// ⟨vᵢ, w⟩ of four rows. The partial sums are separate locals, because an array of them would not stay
/// in registers.
#[inline(always)]
fn sums<S: Scalar, const FUSED: bool>(rows: [&[S]; TOGETHER], w: &[f64]) -> [f64; TOGETHER] {
    let (w_chunks, w_rest) = w.as_chunks::<LANES>();
    let n = w_chunks.len();
    let [p, q, r, s] = rows.map(|row| &row[..w.len()].as_chunks::<LANES>().0[..n]);
    let [mut a, mut b, mut c, mut d] = [[0.0; LANES]; TOGETHER];
    for (i, x) in w_chunks.iter().enumerate() {
        let (p, q, r, s) = (&p[i], &q[i], &r[i], &s[i]);
        for lane in 0..LANES {
            a[lane] = plus::<FUSED>(a[lane], p[lane].widen(), x[lane]);
            b[lane] = plus::<FUSED>(b[lane], q[lane].widen(), x[lane]);
            c[lane] = plus::<FUSED>(c[lane], r[lane].widen(), x[lane]);
            d[lane] = plus::<FUSED>(d[lane], s[lane].widen(), x[lane]);
        }
    }
    let mut sums = [a, b, c, d];
    for (sum, row) in sums.iter_mut().zip(rows) {
        for ((sum, value), x) in sum.iter_mut().zip(&row[n * LANES..]).zip(w_rest) {
            *sum = plus::<FUSED>(*sum, value.widen(), *x);
        }
    }
    sums.map(|[a, b, c, d, e, f, g, h]| ((a + b) + (c + d)) + ((e + f) + (g + h)))
}

#[inline(always)]
fn subtract_in<S: Scalar, const FUSED: bool>(rows: &[&[S]], c: &[f64], w: &mut [S]) {
    let mut wide = [0.0; BLOCK];
    let wide = &mut wide[..w.len()];
    for (out, value) in wide.iter_mut().zip(&*w) {
        *out = value.widen();
    }
    let (fours, rest) = rows.as_chunks::<TOGETHER>();
    let (c_fours, c_rest) = c.as_chunks::<TOGETHER>();
    let n = wide.len();
    for ([p, q, r, s], [a, b, c, d]) in fours.iter().zip(c_fours) {
        let (p, q, r, s) = (&p[..n], &q[..n], &r[..n], &s[..n]);
        for (i, sum) in wide.iter_mut().enumerate() {
            let first = plus::<FUSED>(a * p[i].widen(), *b, q[i].widen());
            let second = plus::<FUSED>(c * r[i].widen(), *d, s[i].widen());
            *sum -= first + second;
        }
    }
    for (row, c) in rest.iter().zip(c_rest) {
        for (sum, value) in wide.iter_mut().zip(*row) {
            *sum = plus::<FUSED>(*sum, -c, value.widen());
        }
    }
    for (out, value) in w.iter_mut().zip(wide) {
        *out = S::narrow(*value);
    }
}
