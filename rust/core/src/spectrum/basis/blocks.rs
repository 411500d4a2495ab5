//! What is done with one block of all rows while it lies in the cache.

use crate::scalar::Scalar;
use crate::vector::{BLOCK, block_product};

/// Rows that one pass over a block takes together.
const TOGETHER: usize = 4;

/// ⟨vᵢ, w⟩ over a block, of every row.
pub(super) fn products<S: Scalar>(rows: &[&[S]], w: &[S]) -> Vec<f64> {
    let mut wide = [0.0; BLOCK];
    let wide = &mut wide[..w.len()];
    for (out, value) in wide.iter_mut().zip(w) {
        *out = value.widen();
    }
    rows.iter().map(|row| block_product(row, wide)).collect()
}

/// w -= Σᵢ cᵢ vᵢ over a block, summed in f64 and rounded once.
pub(super) fn subtract<S: Scalar>(rows: &[&[S]], c: &[f64], w: &mut [S]) {
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
            let first = a * p[i].widen() + b * q[i].widen();
            *sum -= first + (c * r[i].widen() + d * s[i].widen());
        }
    }
    for (row, c) in rest.iter().zip(c_rest) {
        for (sum, value) in wide.iter_mut().zip(*row) {
            *sum -= c * value.widen();
        }
    }
    for (out, value) in w.iter_mut().zip(wide) {
        *out = S::narrow(*value);
    }
}
