//! Probe vectors: uniform on a sphere, of random signs, and unit vectors.

use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::vector::norm;

/// Fills `out` with the vector of a stream, uniform on the sphere of radius √(n − k) orthogonal to the k
/// rows of `basis`: E[g gᵀ] is the projector onto that space.
///
/// Of all distributions with this property the sphere gives forms gᵀAg of the smallest variance where
/// the spectrum is flat; for a multiple of the projector the variance is 0.
pub(in crate::spectrum) fn fill_sphere<S: Scalar>(
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

/// Fills `out` with independent random signs ±1 (a Rademacher vector).
pub(super) fn fill_signs<S: Scalar>(seed: u64, stream: u64, out: &mut [S]) {
    Gaussian::new(seed, stream).fill(0, out);
    for value in out {
        *value = S::narrow(1.0_f64.copysign(value.widen()));
    }
}

/// The unit vectors eᵢ for `count` indices i from `first`, row-major.
pub(super) fn unit_vectors<S: Scalar>(dim: usize, first: usize, count: usize) -> Vec<S> {
    let mut rows = vec![S::default(); count * dim];
    for (row, i) in rows.chunks_mut(dim).zip(first..) {
        row[i] = S::narrow(1.0);
    }
    rows
}
