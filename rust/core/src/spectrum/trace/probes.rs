//! Random directions orthogonal to a basis.

use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::vector::norm;

/// The vector of stream `stream`, uniform on the sphere of radius √(n − k) orthogonal to the k rows:
/// E[g gᵀ] is the projector onto that space.
///
/// Of all directions with this property the sphere's have forms gᵀAg of the smallest variance where
/// the spectrum is flat; a multiple of the projector has none at all.
pub(in crate::spectrum) fn sphere<S: Scalar>(
    seed: u64,
    stream: u64,
    basis: &Basis<S>,
    out: &mut [S],
) {
    Gaussian::new(seed, stream).fill(0, out);
    basis.orthogonalise(out);
    let factor = ((out.len() - basis.len()) as f64).sqrt() / norm(out);
    for value in out {
        *value = S::narrow(factor * value.widen());
    }
}

/// The vector of stream `stream` with independent entries of ±1.
pub(super) fn signs<S: Scalar>(seed: u64, stream: u64, out: &mut [S]) {
    Gaussian::new(seed, stream).fill(0, out);
    for value in out {
        *value = S::narrow(1.0_f64.copysign(value.widen()));
    }
}

/// Unit vectors e_i of i from `first`, row-major.
pub(super) fn units<S: Scalar>(dim: usize, first: usize, count: usize) -> Vec<S> {
    let mut rows = vec![S::default(); count * dim];
    for (row, place) in rows.chunks_mut(dim).zip(first..) {
        row[place] = S::narrow(1.0);
    }
    rows
}
