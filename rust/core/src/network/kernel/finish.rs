//! What becomes of sums before they reach memory.

use std::ops::Range;

use super::places::Places;
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

    /// Finishes sums of rows from this one on before they are pooled.
    ///
    /// Each step passes over all of them in a loop of its own, short enough to be unrolled: the sums
    /// stay in their registers.
    #[inline(always)]
    fn apply<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        places: Places<P>,
        tile: &mut [[[V; C]; P]; R],
    ) {
        self.scale_and_shift(simd, first, tile);
        if let Some(residual) = self.residual {
            places.add(simd, tile, residual);
        }
        self.rectify(simd, tile);
    }

    #[inline(always)]
    fn scale_and_shift<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        tile: &mut [[[V; C]; P]; R],
    ) {
        match (self.scale, self.shift) {
            (Some(scale), Some(shift)) => {
                let (scale, shift) = (&scale[first..][..R], &shift[first..][..R]);
                for ((sums, &scale), &shift) in tile.iter_mut().zip(scale).zip(shift) {
                    let (scale, shift) = (simd.splat(scale), simd.splat(shift));
                    for sum in sums.as_flattened_mut() {
                        *sum = V::mul_add(*sum, scale, shift);
                    }
                }
            }
            (Some(scale), None) => {
                for (sums, &scale) in tile.iter_mut().zip(&scale[first..][..R]) {
                    let scale = simd.splat(scale);
                    for sum in sums.as_flattened_mut() {
                        *sum = *sum * scale;
                    }
                }
            }
            (None, Some(shift)) => {
                for (sums, &shift) in tile.iter_mut().zip(&shift[first..][..R]) {
                    let shift = simd.splat(shift);
                    for sum in sums.as_flattened_mut() {
                        *sum = *sum + shift;
                    }
                }
            }
            (None, None) => {}
        }
    }

    #[inline(always)]
    fn rectify<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        tile: &mut [[[V; C]; P]; R],
    ) {
        if self.relu == Rectify::Relu {
            let zero = simd.splat(T::ZERO);
            for sum in tile.as_flattened_mut().as_flattened_mut() {
                *sum = V::larger(*sum, zero);
            }
        }
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

    /// Whether what becomes of sums grows with them in every row, so that the largest sum becomes
    /// the largest. What is not finite makes NaN of some sums that are not the largest.
    pub(super) fn keeps_order(&self) -> bool {
        let Self::Store(store) = self else { return false };
        let finite = |number: T| number > T::LOWEST && number < -T::LOWEST;
        let grows = |scale: &[T]| scale.iter().all(|&scale| scale > T::ZERO && finite(scale));
        store.residual.is_none()
            && store.scale.is_none_or(grows)
            && store.shift.is_none_or(|shift| shift.iter().all(|&shift| finite(shift)))
    }

    /// What becomes of sums of rows from this one on, whose places y has now.
    #[inline(always)]
    pub(super) fn finished<
        V: Vector<Number = T>,
        const R: usize,
        const P: usize,
        const C: usize,
    >(
        &self,
        simd: Simd<V>,
        first: usize,
        places: Places<P>,
        mut tile: [[[V; C]; P]; R],
        y: &[T],
    ) -> [[[V; C]; P]; R] {
        if let Self::Add | Self::Complete(_) = self {
            places.add(simd, &mut tile, y);
        }
        if let Self::Store(store) | Self::Complete(store) = self {
            store.apply(simd, first, places, &mut tile);
        }
        tile
    }

    /// Finishes sums of rows from this one on, and writes them to their places in y.
    #[inline(always)]
    pub(super) fn store<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        places: Places<P>,
        tile: [[[V; C]; P]; R],
        y: &mut [T],
    ) {
        places.write(&self.finished(simd, first, places, tile, y), y);
    }

    /// Finishes the sums of a square in rows from this one on, and writes the largest to y.
    ///
    /// `ordered` is what [`keeps_order`](Self::keeps_order) says.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "where sums come from and where they go")]
    pub(super) fn store_largest<V: Vector<Number = T>, const R: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        places: Places<4>,
        mut tile: [[[V; C]; 4]; R],
        ordered: bool,
        to: Places<1>,
        y: &mut [T],
    ) {
        let Self::Store(store) = self else { unreachable!("what is added to is not pooled") };
        if !ordered {
            store.apply(simd, first, places, &mut tile);
        }
        let mut tops = [[[simd.splat(T::ZERO); C]; 1]; R];
        for (top, sums) in tops.iter_mut().zip(&tile) {
            *top = [largest(sums)];
        }
        if ordered {
            store.scale_and_shift(simd, first, &mut tops);
            store.rectify(simd, &mut tops);
        }
        to.write(&tops, y);
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
