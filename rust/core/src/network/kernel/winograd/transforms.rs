//! Winograd transforms of the inputs and the outputs of tiles.

use std::array::from_fn;
use std::marker::PhantomData;

use super::choice::TileOrigin;
use super::tile::{Tile, across};
use crate::network::kernel::epilogue::Epilogue;
use crate::network::kernel::gather_table::Image;
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, Simd, Vector};
use crate::network::kernel::tile_layout::TileLayout;

/// Bᵀ d B of every channel of some tiles.
pub(super) struct Inputs<'a, T, S, const N: usize, const M: usize> {
    pub image: Image,
    pub channels: usize,
    /// `[panel][channel][position][lane]`.
    pub x: &'a [T],
    pub origins: &'a [TileOrigin],
    /// The distance between entries, in columns.
    pub stride: usize,
    /// `[entry][tile][channel][lane]`.
    pub v: &'a mut [T],
    /// The sum of squares of v.
    pub squares: &'a mut f64,
    pub tile: PhantomData<S>,
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Kernel<T> for Inputs<'_, T, S, N, M> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let Self { image, channels: inner, origins, stride, v, .. } = self;
        let zero = simd.splat(T::ZERO);
        let mut squares = [zero; N];
        let (x, v) = (self.x.as_chunks::<L>().0, v.as_chunks_mut::<L>().0);
        for (index, &TileOrigin { panel, top, left }) in origins.iter().enumerate() {
            let sources: [[Option<usize>; N]; N] =
                from_fn(|a| from_fn(|b| image.source([top, left], [a, b])));
            let size = inner * image.positions();
            let channels = x[panel * size..][..size].chunks_exact(image.positions());
            for (channel, x) in channels.enumerate() {
                for lane in (0..L).step_by(V::LEN) {
                    let mut columns = [[zero; N]; N];
                    for (b, column) in columns.iter_mut().enumerate() {
                        let mut d = [zero; N];
                        for (d, row) in d.iter_mut().zip(&sources) {
                            if let Some(source) = row[b] {
                                *d = simd.load(&x[source][lane..]);
                            }
                        }
                        *column = S::input(simd, d);
                    }
                    let column_index = index * inner + channel;
                    for a in 0..N {
                        let row = S::input(simd, across(&columns, a));
                        for (b, &entry) in row.iter().enumerate() {
                            squares[b] = V::mul_add(entry, entry, squares[b]);
                            entry.store(&mut v[(a * N + b) * stride + column_index][lane..]);
                        }
                    }
                }
            }
        }
        let mut sum = 0.0;
        for squares in &squares {
            sum += squares.sum_lanes().widen();
        }
        *self.squares = sum;
    }
}

/// epilogue(Aᵀ m A) of every row of some tiles.
pub(super) struct Outputs<'a, T, S, const N: usize, const M: usize> {
    pub image: Image,
    pub rows: usize,
    pub epilogue: &'a Epilogue<'a, T>,
    pub origins: &'a [TileOrigin],
    /// The distance between entries, in columns.
    pub stride: usize,
    /// `[entry][row][tile][lane]`.
    pub m: &'a [T],
    pub y: &'a mut [T],
    pub tile: PhantomData<S>,
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Kernel<T> for Outputs<'_, T, S, N, M> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let Self { origins, stride, m, rows, .. } = self;
        let m = m.as_chunks::<L>().0;
        let increasing = self.epilogue.is_increasing();
        for row in 0..rows {
            for (index, &origin) in origins.iter().enumerate() {
                let m = &m[row * origins.len() + index..][..=(N * N - 1) * stride];
                let mut parts = [[[simd.splat(T::ZERO); C]; M]; M];
                for c in 0..C {
                    let mut columns = [[simd.splat(T::ZERO); M]; N];
                    for (b, column) in columns.iter_mut().enumerate() {
                        let mut entries = [simd.splat(T::ZERO); N];
                        for (a, entry) in entries.iter_mut().enumerate() {
                            *entry = simd.load(&m[(a * N + b) * stride][c * V::LEN..]);
                        }
                        *column = S::output(simd, entries);
                    }
                    for (a, part) in parts.iter_mut().enumerate() {
                        let line = S::output(simd, across(&columns, a));
                        for (part, &value) in part.iter_mut().zip(&line) {
                            part[c] = value;
                        }
                    }
                }
                self.store::<V, C, L>(simd, row, origin, increasing, &parts);
            }
        }
    }
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Outputs<'_, T, S, N, M> {
    /// Applies the epilogue to the outputs of a row in a tile, and stores them.
    #[inline(always)]
    fn store<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        row: usize,
        TileOrigin { panel, top, left }: TileOrigin,
        increasing: bool,
        parts: &[[[V; C]; M]; M],
    ) {
        let Image { height, width, .. } = self.image;
        let epilogue = self.epilogue;
        let row_of_all = panel * self.rows + row;
        let offset = |y: usize, x: usize| ((row_of_all * height + y) * width + x) * L;
        match epilogue.pool() {
            None => {
                for (y, line) in (top..height).zip(parts) {
                    for (x, &sum) in (left..width).zip(line) {
                        let origins = TileLayout { first: [offset(y, x)], step: 0 };
                        epilogue.apply_and_store(simd, row, origins, [[sum]], self.y);
                    }
                }
            }
            Some(pool) => {
                let across = width / 2;
                let first = row_of_all * pool.windows();
                for (y, lines) in (top / 2..height / 2).zip(parts.as_chunks::<2>().0) {
                    let pairs = lines[0].as_chunks::<2>().0.iter().zip(lines[1].as_chunks::<2>().0);
                    for (x, (&[a, b], &[c, d])) in (left / 2..across).zip(pairs) {
                        let corner = offset(2 * y, 2 * x);
                        let below = corner + width * L;
                        let origins = [corner, corner + L, below, below + L];
                        let origins = TileLayout { first: origins, step: 0 };
                        let (sums, to) = ([[a, b, c, d]], (first + y * across + x) * L);
                        let to = TileLayout { first: [to], step: 0 };
                        epilogue
                            .apply_pool_and_store(simd, row, origins, sums, increasing, to, self.y);
                    }
                }
            }
        }
    }
}
