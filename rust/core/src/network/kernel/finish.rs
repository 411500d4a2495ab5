//! What becomes of sums before they reach memory.

use std::ops::Range;

use super::pool::Pool;
use super::real::Real;
use super::vector::{Simd, Vector};

/// What becomes of the sums of a product before they reach memory.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a, T> {
    /// y += sum.
    Add,
    /// y is overwritten.
    Store(Store<'a, T>),
    /// y holds a part of the sum, and is overwritten by what becomes of all of it. It is not pooled.
    Complete(Store<'a, T>),
}

/// y = pool?(relu?(sum · scale + shift + residual)).
#[derive(Clone, Copy, Debug)]
pub struct Store<'a, T> {
    /// One number a row.
    pub scale: Option<&'a [T]>,
    /// One number a row.
    pub shift: Option<&'a [T]>,
    /// One number for each sum.
    pub residual: Option<&'a [T]>,
    /// The last step for each of them.
    pub relu: Rectify,
    /// Squares of positions, each of which becomes one.
    pub pool: Option<Pool>,
}

/// Whether a value is rectified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectify {
    /// It stays as it is.
    None,
    /// max(0, x), where NaN stays NaN.
    Relu,
}

impl<T> Default for Store<'_, T> {
    /// y = sum.
    fn default() -> Self {
        Self { scale: None, shift: None, residual: None, relu: Rectify::None, pool: None }
    }
}

impl<'a, T: Real> Store<'a, T> {
    /// The same for some of the rows, whose sums take these places.
    #[must_use]
    pub fn part(&self, rows: Range<usize>, places: Range<usize>) -> Self {
        let numbers = |of: &'a [T]| &of[rows.clone()];
        Self {
            scale: self.scale.map(numbers),
            shift: self.shift.map(numbers),
            residual: self.residual.map(|residual| &residual[places]),
            ..*self
        }
    }

    /// Finishes P sums of a row, each in its place among all, before they are pooled.
    #[inline(always)]
    fn apply<V: Vector<Number = T>, const C: usize, const P: usize>(
        &self,
        simd: Simd<V>,
        row: usize,
        places: [usize; P],
        sums: &mut [[V; C]; P],
    ) {
        let all = sums.as_flattened_mut();
        match (self.scale, self.shift) {
            (Some(scale), Some(shift)) => {
                let (scale, shift) = (simd.splat(scale[row]), simd.splat(shift[row]));
                for sum in all {
                    *sum = V::mul_add(*sum, scale, shift);
                }
            }
            (Some(scale), None) => {
                let scale = simd.splat(scale[row]);
                for sum in all {
                    *sum = *sum * scale;
                }
            }
            (None, Some(shift)) => {
                let shift = simd.splat(shift[row]);
                for sum in all {
                    *sum = *sum + shift;
                }
            }
            (None, None) => {}
        }
        if let Some(residual) = self.residual {
            for (sums, place) in sums.iter_mut().zip(places) {
                add(simd, sums, &residual[place..][..C * V::LEN]);
            }
        }
        if self.relu == Rectify::Relu {
            let zero = simd.splat(T::ZERO);
            for sum in sums.as_flattened_mut() {
                *sum = V::larger(*sum, zero);
            }
        }
    }

    /// Whether what a row becomes grows with its sums, so that the largest sum becomes the largest.
    /// What is not finite makes NaN of some sums that are not the largest.
    #[inline(always)]
    fn keeps_order(&self, row: usize) -> bool {
        let finite = |numbers: &[T]| numbers[row].widen().is_finite();
        self.residual.is_none()
            && self.scale.is_none_or(|scale| scale[row] > T::ZERO && finite(scale))
            && self.shift.is_none_or(finite)
    }
}

impl<T: Real> Finish<'_, T> {
    /// y = sum.
    #[must_use]
    pub fn plain() -> Self {
        Self::Store(Store::default())
    }

    /// The same for some of the rows, whose sums take these places.
    #[must_use]
    pub fn part(&self, rows: Range<usize>, places: Range<usize>) -> Self {
        match self {
            Self::Add => Self::Add,
            Self::Store(store) => Self::Store(store.part(rows, places)),
            Self::Complete(store) => Self::Complete(store.part(rows, places)),
        }
    }

    /// The squares that are pooled.
    pub(super) fn pool(&self) -> Option<Pool> {
        match self {
            Self::Add | Self::Complete(_) => None,
            Self::Store(store) => store.pool,
        }
    }

    /// Columns of a row of y, whose sums have so many positions.
    pub(super) fn columns(&self, positions: usize) -> usize {
        self.pool().map_or(positions, Pool::squares)
    }

    /// Finishes sums of a row, each in its place among all, and writes them to these places of y.
    #[inline(always)]
    pub(super) fn store<V: Vector<Number = T>, const C: usize, const P: usize>(
        &self,
        simd: Simd<V>,
        row: usize,
        places: [usize; P],
        mut sums: [[V; C]; P],
        y: &mut [T],
    ) {
        if let Self::Add | Self::Complete(_) = self {
            for (sums, &place) in sums.iter_mut().zip(&places) {
                add(simd, sums, &y[place..][..C * V::LEN]);
            }
        }
        if let Self::Store(store) | Self::Complete(store) = self {
            store.apply(simd, row, places, &mut sums);
        }
        for (sums, place) in sums.iter().zip(places) {
            write(sums, &mut y[place..][..C * V::LEN]);
        }
    }

    /// Finishes the sums of a row in a square, each in its place among all, and writes the largest
    /// to y.
    #[inline(always)]
    pub(super) fn store_largest<V: Vector<Number = T>, const C: usize>(
        &self,
        simd: Simd<V>,
        row: usize,
        places: [usize; 4],
        mut sums: [[V; C]; 4],
        y: &mut [T],
    ) {
        let Self::Store(store) = self else { unreachable!("what is added to is not pooled") };
        if store.keeps_order(row) {
            let mut largest = [largest(&sums)];
            store.apply(simd, row, [places[0]], &mut largest);
            write(&largest[0], y);
        } else {
            store.apply(simd, row, places, &mut sums);
            write(&largest(&sums), y);
        }
    }
}

/// Adds numbers that lie in memory.
#[inline(always)]
fn add<V: Vector, const C: usize>(simd: Simd<V>, sums: &mut [V; C], from: &[V::Number]) {
    for (sum, from) in sums.iter_mut().zip(from.chunks_exact(V::LEN)) {
        *sum = *sum + simd.load(from);
    }
}

/// The largest of four columns.
#[inline(always)]
fn largest<V: Vector, const C: usize>(sums: &[[V; C]; 4]) -> [V; C] {
    let mut largest = sums[0];
    for sums in &sums[1..] {
        for (largest, &sum) in largest.iter_mut().zip(sums) {
            *largest = V::maximum(sum, *largest);
        }
    }
    largest
}

#[inline(always)]
fn write<V: Vector, const C: usize>(column: &[V; C], y: &mut [V::Number]) {
    for (&value, y) in column.iter().zip(y.chunks_exact_mut(V::LEN)) {
        value.store(y);
    }
}
