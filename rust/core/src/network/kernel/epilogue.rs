//! Fused epilogue of a product: scale, shift, residual, ReLU and 2 × 2 max-pooling while the sums are
//! in registers.

use std::ops::Range;

use super::pool2x2::Pool2x2;
use super::real::Real;
use super::simd::{Simd, Vector};
use super::tile_layout::TileLayout;

/// How the sums of a product are combined with the output y.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a, T> {
    /// y += sum.
    Accumulate,
    /// y = steps(sum).
    Overwrite(EpilogueSteps<'a, T>),
    /// y = steps(y + sum): the last of several partial sums. The pooling step is not applied.
    CompleteSum(EpilogueSteps<'a, T>),
}

/// y = pool?(relu?(sum · scale + shift + residual)).
#[derive(Clone, Copy, Debug)]
pub struct EpilogueSteps<'a, T> {
    /// One factor for each row.
    pub scale: Option<&'a [T]>,
    /// One summand for each row.
    pub shift: Option<&'a [T]>,
    /// One summand for each sum, in the layout of the unpooled output.
    pub residual: Option<&'a [T]>,
    /// The activation after the residual.
    pub relu: Rectify,
    /// Max-pooling windows.
    pub pool: Option<Pool2x2>,
}

/// Whether the ReLU is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectify {
    /// x.
    None,
    /// max(0, x); NaN stays NaN.
    Relu,
}

impl<T> Default for EpilogueSteps<'_, T> {
    /// y = sum.
    fn default() -> Self {
        Self { scale: None, shift: None, residual: None, relu: Rectify::None, pool: None }
    }
}

impl<'a, T: Real> EpilogueSteps<'a, T> {
    /// The steps of a range of rows, whose sums have the given range of indices.
    #[must_use]
    pub fn restrict(&self, rows: Range<usize>, sums: Range<usize>) -> Self {
        let of_rows = |values: &'a [T]| &values[rows.clone()];
        Self {
            scale: self.scale.map(of_rows),
            shift: self.shift.map(of_rows),
            residual: self.residual.map(|residual| &residual[sums]),
            ..*self
        }
    }

    /// Applies all steps but the pooling to a tile whose first row is `first`.
    ///
    /// Each step passes over the whole tile in a loop of its own, short enough to be unrolled: the
    /// sums stay in their registers.
    #[inline(always)]
    fn apply_before_pooling<
        V: Vector<Number = T>,
        const R: usize,
        const P: usize,
        const C: usize,
    >(
        &self,
        simd: Simd<V>,
        first: usize,
        layout: TileLayout<P>,
        tile: &mut [[[V; C]; P]; R],
    ) {
        self.scale_and_shift(simd, first, tile);
        if let Some(residual) = self.residual {
            layout.add(simd, tile, residual);
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

impl<T: Real> Epilogue<'_, T> {
    /// y = sum, without any step.
    #[must_use]
    pub fn plain() -> Self {
        Self::Overwrite(EpilogueSteps::default())
    }

    /// The epilogue of a range of rows, whose sums have the given range of indices.
    #[must_use]
    pub fn restrict(&self, rows: Range<usize>, sums: Range<usize>) -> Self {
        match self {
            Self::Accumulate => Self::Accumulate,
            Self::Overwrite(steps) => Self::Overwrite(steps.restrict(rows, sums)),
            Self::CompleteSum(steps) => Self::CompleteSum(steps.restrict(rows, sums)),
        }
    }

    /// The pooling windows, if the output is pooled.
    pub(super) fn pool(&self) -> Option<Pool2x2> {
        match self {
            Self::Accumulate | Self::CompleteSum(_) => None,
            Self::Overwrite(steps) => steps.pool,
        }
    }

    /// Columns of a row of y when the product has `positions` of them.
    pub(super) fn output_columns(&self, positions: usize) -> usize {
        self.pool().map_or(positions, Pool2x2::windows)
    }

    /// Whether scale and shift are increasing functions of the sum in every row, so that pooling may
    /// come first. Non-finite factors are excluded: they can turn a sum that is not the maximum
    /// into NaN.
    pub(super) fn is_increasing(&self) -> bool {
        let Self::Overwrite(steps) = self else { return false };
        let finite = |number: T| number > T::LOWEST && number < -T::LOWEST;
        let grows = |scale: &[T]| scale.iter().all(|&scale| scale > T::ZERO && finite(scale));
        steps.residual.is_none()
            && steps.scale.is_none_or(grows)
            && steps.shift.is_none_or(|shift| shift.iter().all(|&shift| finite(shift)))
    }

    /// The tile's values of y, without pooling; `first` is the tile's first row.
    #[inline(always)]
    pub(super) fn apply<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        layout: TileLayout<P>,
        mut tile: [[[V; C]; P]; R],
        y: &[T],
    ) -> [[[V; C]; P]; R] {
        if let Self::Accumulate | Self::CompleteSum(_) = self {
            layout.add(simd, &mut tile, y);
        }
        if let Self::Overwrite(steps) | Self::CompleteSum(steps) = self {
            steps.apply_before_pooling(simd, first, layout, &mut tile);
        }
        tile
    }

    /// Applies the epilogue to a tile, without pooling, and stores it to y.
    #[inline(always)]
    pub(super) fn apply_and_store<
        V: Vector<Number = T>,
        const R: usize,
        const P: usize,
        const C: usize,
    >(
        &self,
        simd: Simd<V>,
        first: usize,
        layout: TileLayout<P>,
        tile: [[[V; C]; P]; R],
        y: &mut [T],
    ) {
        layout.write(&self.apply(simd, first, layout, tile, y), y);
    }

    /// Applies the epilogue to the four positions of a pooling window, and stores their maximum.
    ///
    /// Where [`increasing`](Self::is_increasing), the maximum is taken first, which saves three
    /// quarters of the scaling.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "a tile, its input layout and its output layout")]
    pub(super) fn apply_pool_and_store<V: Vector<Number = T>, const R: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        first: usize,
        layout: TileLayout<4>,
        mut tile: [[[V; C]; 4]; R],
        increasing: bool,
        to: TileLayout<1>,
        y: &mut [T],
    ) {
        let Self::Overwrite(steps) = self else {
            unreachable!("only an overwritten output is pooled")
        };
        if !increasing {
            steps.apply_before_pooling(simd, first, layout, &mut tile);
        }
        let mut maxima = [[[simd.splat(T::ZERO); C]; 1]; R];
        for (max, sums) in maxima.iter_mut().zip(&tile) {
            *max = [max_of_four(sums)];
        }
        if increasing {
            steps.scale_and_shift(simd, first, &mut maxima);
            steps.rectify(simd, &mut maxima);
        }
        to.write(&maxima, y);
    }
}

/// The maximum of four columns, lane by lane; NaN where one is NaN.
#[inline(always)]
fn max_of_four<V: Vector, const C: usize>(sums: &[[V; C]; 4]) -> [V; C] {
    let mut max = sums[0];
    for sums in &sums[1..] {
        for (max, &sum) in max.iter_mut().zip(sums) {
            *max = V::maximum(sum, *max);
        }
    }
    max
}
