//! Linear combinations of cached products, with the epilogue and an activation in registers.

use super::epilogue::Epilogue;
use super::math::tanh::tanh;
use super::pool2x2::Pool2x2;
use super::real::Real;
use super::simd::{Kernel, Simd, Vector, add_multiple, load_column};
use super::tile_layout::{TileLayout, single_column};
use crate::isa::Isa;

/// Columns of a tile.
const TILE: usize = 4;

/// An activation after the epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalActivation {
    /// x.
    Identity,
    /// tanh x.
    Tanh,
}

/// y = activation(epilogue(z + Σᵢ cᵢ vᵢ)) for one panel.
///
/// `vectors` are z and then every vᵢ, each in rows of `row` numbers.
///
/// # Panics
/// When a row is not a whole number of panel columns, or a vector or y not a whole number of rows; and
/// for an activation after pooling.
pub fn linear_combination<T: Real>(
    isa: Isa,
    vectors: &[T],
    coords: &[T],
    epilogue: &Epilogue<'_, T>,
    activation: FinalActivation,
    row: usize,
    y: &mut [T],
) {
    assert!(row > 0 && row.is_multiple_of(T::LANES), "got rows of {row}");
    assert!(vectors.len().is_multiple_of((coords.len() + 1) * row), "vectors");
    let rows = vectors.len() / (coords.len() + 1) / row;
    let positions = row / T::LANES;
    assert!(
        epilogue.pool().is_none() || activation == FinalActivation::Identity,
        "pooling and an activation"
    );
    assert!(epilogue.pool().is_none_or(|pool| pool.positions() == positions), "positions");
    let columns = epilogue.output_columns(positions);
    assert_eq!(y.len(), rows * columns * T::LANES, "y");
    T::dispatch(isa, Combination { vectors, coords, epilogue, activation, row, y });
}

struct Combination<'a, T> {
    vectors: &'a [T],
    coords: &'a [T],
    epilogue: &'a Epilogue<'a, T>,
    activation: FinalActivation,
    row: usize,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Combination<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let vectors = self.vectors.as_chunks::<L>().0;
        let size = vectors.len() / (self.coords.len() + 1);
        let (origin, rest) = vectors.split_at(size);
        if let [a, b] = *self.coords {
            let (u, v) = rest.split_at(size);
            let (a, b) = (simd.splat(a), simd.splat(b));
            // Two coordinates, the common case, without a loop over vectors.
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |at| {
                    let mut sums = load_column::<V, C, L>(simd, &origin[at]);
                    add_multiple(&mut sums, a, &load_column::<V, C, L>(simd, &u[at]));
                    add_multiple(&mut sums, b, &load_column::<V, C, L>(simd, &v[at]));
                    sums
                },
            );
        } else {
            let coords = self.coords;
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |at| {
                    let mut sums = load_column::<V, C, L>(simd, &origin[at]);
                    for (vector, &coord) in rest.chunks_exact(size).zip(coords) {
                        let coord = simd.splat(coord);
                        add_multiple(&mut sums, coord, &load_column::<V, C, L>(simd, &vector[at]));
                    }
                    sums
                },
            );
        }
    }
}

impl<T: Real> Combination<'_, T> {
    /// Applies the epilogue to the sums of every column, and stores them.
    #[inline(always)]
    fn columns<V: Vector<Number = T>, const C: usize, const L: usize>(
        mut self,
        simd: Simd<V>,
        sum: impl Fn(usize) -> [V; C],
    ) {
        let columns = self.row / L;
        let rows = self.vectors.len() / (self.coords.len() + 1) / self.row;
        if let Some(pool) = self.epilogue.pool() {
            return self.store_pooled::<V, C, L>(simd, pool, rows, sum);
        }
        // A tile of several rows or columns shares the overhead of the epilogue.
        let (lines, length) = if columns == 1 { (1, rows) } else { (rows, columns) };
        for line in 0..lines {
            let (start, end) = (line * length, (line + 1) * length);
            let tiles_end = start + length / TILE * TILE;
            for at in (start..tiles_end).step_by(TILE) {
                let mut sums = [[simd.splat(T::ZERO); C]; TILE];
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = sum(at + i);
                }
                self.store_tile::<V, TILE, C, L>(simd, columns, at, sums);
            }
            for at in tiles_end..end {
                self.store_tile::<V, 1, C, L>(simd, columns, at, [sum(at)]);
            }
        }
    }

    /// Applies epilogue and activation to the columns from `at` on, and stores them. Where a row has one
    /// column, they are rows.
    #[inline(always)]
    fn store_tile<V: Vector<Number = T>, const N: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        columns: usize,
        at: usize,
        sums: [[V; C]; N],
    ) {
        if columns == 1 {
            let layout = TileLayout { first: [at * L], step: L };
            let tile = self.epilogue.apply(simd, at, layout, single_column(sums), self.y);
            layout.write(&self.activate(simd, tile), self.y);
        } else {
            let mut layout = TileLayout { first: [at * L; N], step: 0 };
            for (i, offset) in layout.first.iter_mut().enumerate() {
                *offset += i * L;
            }
            let tile = self.epilogue.apply(simd, at / columns, layout, [sums], self.y);
            layout.write(&self.activate(simd, tile), self.y);
        }
    }

    /// Applies the activation to a tile.
    #[inline(always)]
    fn activate<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        mut tile: [[[V; C]; P]; R],
    ) -> [[[V; C]; P]; R] {
        if self.activation == FinalActivation::Tanh {
            for value in tile.as_flattened_mut().as_flattened_mut() {
                *value = tanh(simd, *value);
            }
        }
        tile
    }

    /// Applies the epilogue to every pooling window, and stores the maxima.
    #[inline(always)]
    fn store_pooled<V: Vector<Number = T>, const C: usize, const L: usize>(
        self,
        simd: Simd<V>,
        pool: Pool2x2,
        rows: usize,
        sum: impl Fn(usize) -> [V; C],
    ) {
        let increasing = self.epilogue.is_increasing();
        for row in 0..rows {
            for window in 0..pool.windows() {
                let columns @ [a, b, c, d] =
                    pool.window(window).map(|at| row * (self.row / L) + at);
                let sums = [[sum(a), sum(b), sum(c), sum(d)]];
                let layout = TileLayout { first: columns.map(|column| column * L), step: 0 };
                let to = TileLayout { first: [(row * pool.windows() + window) * L], step: 0 };
                self.epilogue.apply_pool_and_store(simd, row, layout, sums, increasing, to, self.y);
            }
        }
    }
}
