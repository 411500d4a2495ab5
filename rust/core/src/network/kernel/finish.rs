//! What becomes of sums before they reach memory.

use std::array::from_fn;

use super::real::Real;
use super::vector::{Simd, Vector};

/// What becomes of the sums of a product before they reach memory.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a, T> {
    /// y += sum.
    Add,
    /// y = relu?(sum · scale + shift + residual).
    Store {
        /// One number a row.
        scale: Option<&'a [T]>,
        /// One number a row.
        shift: Option<&'a [T]>,
        /// One number for each of y.
        residual: Option<&'a [T]>,
        /// The last step.
        relu: Rectify,
    },
}

/// Whether a value is rectified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectify {
    /// It stays as it is.
    None,
    /// max(0, x), where NaN stays NaN.
    Relu,
}

impl<T: Real> Finish<'_, T> {
    /// y = sum.
    pub const PLAIN: Self =
        Self::Store { scale: None, shift: None, residual: None, relu: Rectify::None };

    /// Finishes the sums of a row.
    #[inline(always)]
    pub(super) fn store<V: Vector<Number = T>, const C: usize>(
        self,
        simd: Simd<V>,
        row: usize,
        y: &mut [T],
        place: usize,
        mut sums: [V; C],
    ) {
        let read = |from: &[T], c: usize| simd.load(&from[c * V::LEN..]);
        match self {
            Self::Add => sums = from_fn(|c| sums[c] + read(y, c)),
            Self::Store { scale, shift, residual, relu } => {
                if let Some(scale) = scale {
                    sums = sums.map(|sum| sum * simd.splat(scale[row]));
                }
                if let Some(shift) = shift {
                    sums = sums.map(|sum| sum + simd.splat(shift[row]));
                }
                if let Some(residual) = residual {
                    let residual = &residual[place..][..C * V::LEN];
                    sums = from_fn(|c| sums[c] + read(residual, c));
                }
                if relu == Rectify::Relu {
                    sums = sums.map(|sum| V::larger(sum, simd.splat(T::ZERO)));
                }
            }
        }
        for (sum, y) in sums.into_iter().zip(y.chunks_exact_mut(V::LEN)) {
            sum.store(y);
        }
    }
}
