//! Convolutions by fewer multiplications.
//!
//! M by M outputs of a window of 3 × 3 read a tile d of N by N inputs, N = M + 2. With the filter g
//! they are Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 16 multiplications in the place of 36 for M = 2, and 36 in
//! the place of 144 for M = 4 (Winograd 1980; Lavin & Gray 2016, equations 8 to 10). Sums over
//! channels commute with A, so that in between there are N² matrix products. Errors are those of the
//! sums as they stand for M = 2, and about three times as large for M = 4.
//!
//! What is not finite would spread within a tile: where numbers are that large, the outputs are left
//! to the caller.

mod choice;
mod filters;
#[cfg(test)]
mod tests;
mod tile;

use std::array::from_fn;
use std::marker::PhantomData;

pub(super) use choice::Choice;
use choice::{Place, Size};
use filters::Filters;
use tile::{Four, Tile, Two, across};

use super::aligned::Aligned;
use super::columns::{POINTWISE, TOGETHER, pointwise};
use super::finish::{Finish, Places};
use super::packing::{Packing, Weights};
use super::real::Real;
use super::taps::Image;
use super::terms::{Order, Terms};
use super::vector::{Kernel, Simd, Vector};
use crate::isa::Isa;

/// Bytes of transformed tiles that stay in the second cache.
const BYTES: usize = 512 << 10;
/// What the squares of transformed numbers may add up to.
const LARGEST: f64 = 1e30;

/// A contraction of some panels of images.
pub(super) struct Winograd<'a, T> {
    pub packing: &'a Packing,
    pub weights: Weights<'a, T>,
    pub choice: Choice,
    pub panels: usize,
    /// `[panel][channel][position][lane]`.
    pub x: &'a [T],
    pub finish: &'a Finish<'a, T>,
}

impl<T: Real> Winograd<'_, T> {
    /// Fills y but for some of its columns, those of all panels counted one after another, which
    /// `left` gets.
    pub fn run(self, isa: Isa, y: &mut [T], left: &mut Vec<usize>) {
        match self.choice.size {
            Size::Two => {
                T::dispatch(isa, Tiles { images: self, y, left, tile: PhantomData::<Two> });
            }
            Size::Four => {
                T::dispatch(isa, Tiles { images: self, y, left, tile: PhantomData::<Four> });
            }
        }
    }
}

struct Tiles<'a, T, S, const N: usize, const M: usize> {
    images: Winograd<'a, T>,
    y: &'a mut [T],
    left: &'a mut Vec<usize>,
    tile: PhantomData<S>,
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Kernel<T> for Tiles<'_, T, S, N, M> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let Winograd { packing, weights, choice, panels, finish, .. } = self.images;
        let (rows, inner) = (packing.rows(), packing.inner());
        let bytes = N * N * (rows + inner) * L * size_of::<T>();
        let tiles = panels * choice.tiles();
        let block = (BYTES / bytes).clamp(TOGETHER, POINTWISE) / TOGETHER * TOGETHER;
        let block = block.min(tiles).max(1);
        // One column more than there are, or entries would evict each other from the cache.
        let columns = [block * inner + 1, block * rows + 1];
        let strides = columns.map(|columns| columns * L);
        let own = if weights.prepared.is_empty() { choice.prepared_len(packing) } else { 0 };
        let own = own.next_multiple_of(L);
        let mut room = Aligned::room(own + N * N * (strides[0] + strides[1]));
        let (u, room) = room.split_at_mut(own);
        let (v, m) = room.split_at_mut(N * N * strides[0]);
        let prepared = if own == 0 {
            weights.prepared
        } else {
            let u = &mut u[..choice.prepared_len(packing)];
            Filters::<T, S, N, M>::new(packing, weights.packed, choice.image.mirrored, u)
                .run::<V, C, L>(simd);
            u
        };
        let (squares, filters) = prepared.split_last().expect("a number that follows the filters");
        if !small(squares.widen()) {
            return self.left.extend(0..panels * finish.columns(choice.image.positions()));
        }
        for first in (0..tiles).step_by(block) {
            let mut places = [Place::default(); POINTWISE];
            let places = &mut places[..block.min(tiles - first)];
            for (offset, place) in places.iter_mut().enumerate() {
                *place = choice.place(first + offset);
            }
            if !self.inputs::<V, L>(simd, places, columns[0], v) {
                let pooled = finish.pool().is_some();
                self.left.extend(places.iter().flat_map(|place| choice.outputs(place, pooled)));
                continue;
            }
            let (taps, columns_of_tiles) = pointwise(places.len());
            let entries = v.chunks_exact(strides[0]).zip(m.chunks_exact_mut(strides[1]));
            for (u, (v, m)) in filters.chunks_exact(rows * inner).zip(entries) {
                let terms = Terms {
                    packing,
                    weights: u,
                    taps,
                    depth: 0..inner,
                    x: v,
                    finish: &Finish::plain(),
                    y: m,
                    order: Order::ByRow,
                    columns: columns_of_tiles,
                };
                terms.run::<V, C, L>(simd);
            }
            self.outputs::<V, L>(simd, places, columns[1], m);
        }
    }
}

/// Whether numbers with this sum of squares are small enough.
fn small(squares: f64) -> bool {
    squares < LARGEST
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Tiles<'_, T, S, N, M> {
    fn image(&self) -> Image {
        self.images.choice.image
    }

    /// Bᵀ d B of every channel of some tiles, as `[entry][tile][channel][lane]`. Returns whether they
    /// are small enough.
    #[inline(always)]
    fn inputs<V: Vector<Number = T>, const L: usize>(
        &self,
        simd: Simd<V>,
        places: &[Place],
        stride: usize,
        v: &mut [T],
    ) -> bool {
        let (image, inner) = (self.image(), self.images.packing.inner());
        let zero = simd.splat(T::ZERO);
        let mut squares = [zero; N];
        let (x, v) = (self.images.x.as_chunks::<L>().0, v.as_chunks_mut::<L>().0);
        for (index, &Place { panel, top, left }) in places.iter().enumerate() {
            let sources: [[Option<usize>; N]; N] =
                from_fn(|a| from_fn(|b| image.source([top, left], [a, b])));
            let size = inner * image.positions();
            let channels = x[panel * size..][..size].chunks_exact(image.positions());
            for (channel, x) in channels.enumerate() {
                for lane in (0..L).step_by(V::LEN) {
                    let columns = S::of_inputs(
                        #[inline(always)]
                        |b| {
                            let mut d = [zero; N];
                            for (d, row) in d.iter_mut().zip(&sources) {
                                if let Some(source) = row[b] {
                                    *d = simd.load(&x[source][lane..]);
                                }
                            }
                            S::input(simd, d)
                        },
                    );
                    let place = index * inner + channel;
                    for a in 0..N {
                        let row = S::input(simd, across(&columns, a));
                        for (b, &entry) in row.iter().enumerate() {
                            squares[b] = V::mul_add(entry, entry, squares[b]);
                            entry.store(&mut v[(a * N + b) * stride + place][lane..]);
                        }
                    }
                }
            }
        }
        let mut sum = 0.0;
        for squares in &squares {
            sum += squares.total().widen();
        }
        small(sum)
    }

    /// Aᵀ m A of every row of some tiles, from `[entry][row][tile][lane]`, finished.
    #[inline(always)]
    fn outputs<V: Vector<Number = T>, const L: usize>(
        &mut self,
        simd: Simd<V>,
        places: &[Place],
        stride: usize,
        m: &[T],
    ) {
        let (rows, m) = (self.images.packing.rows(), m.as_chunks::<L>().0);
        let ordered = self.images.finish.keeps_order();
        for row in 0..rows {
            for (index, &place) in places.iter().enumerate() {
                let m = &m[row * places.len() + index..][..=(N * N - 1) * stride];
                for lane in (0..L).step_by(V::LEN) {
                    let columns = S::of_inputs(
                        #[inline(always)]
                        |b| {
                            let mut entries = [simd.splat(T::ZERO); N];
                            for (a, entry) in entries.iter_mut().enumerate() {
                                *entry = simd.load(&m[(a * N + b) * stride][lane..]);
                            }
                            S::output(simd, entries)
                        },
                    );
                    let lines = S::of_outputs(
                        #[inline(always)]
                        |a| S::output(simd, across(&columns, a)),
                    );
                    self.store::<V, L>(simd, row, (place, lane), ordered, &lines);
                }
            }
        }
    }

    /// Finishes the outputs of a row in a tile, in a register's lanes from this one on.
    #[inline(always)]
    fn store<V: Vector<Number = T>, const L: usize>(
        &mut self,
        simd: Simd<V>,
        row: usize,
        (Place { panel, top, left }, lane): (Place, usize),
        ordered: bool,
        lines: &[[V; M]; M],
    ) {
        let Image { height, width, .. } = self.image();
        let finish = self.images.finish;
        let row_of_all = panel * self.images.packing.rows() + row;
        let place = |y: usize, x: usize| ((row_of_all * height + y) * width + x) * L + lane;
        match finish.pool() {
            None => {
                for (y, line) in (top..height).zip(lines) {
                    for (x, &sum) in (left..width).zip(line) {
                        let places = Places { first: [place(y, x)], step: 0 };
                        finish.store(simd, row, places, [[[sum]]], self.y);
                    }
                }
            }
            Some(pool) => {
                let across = width / 2;
                let first = row_of_all * pool.squares();
                for (y, lines) in (top / 2..height / 2).zip(lines.as_chunks::<2>().0) {
                    let pairs = lines[0].as_chunks::<2>().0.iter().zip(lines[1].as_chunks::<2>().0);
                    for (x, (&[a, b], &[c, d])) in (left / 2..across).zip(pairs) {
                        let corner = place(2 * y, 2 * x);
                        let below = corner + width * L;
                        let places = [corner, corner + L, below, below + L];
                        let places = Places { first: places, step: 0 };
                        let sums = [[[a], [b], [c], [d]]];
                        let to = ((first + y * across + x) * L + lane, 0);
                        finish.store_largest(simd, row, places, sums, ordered, to, self.y);
                    }
                }
            }
        }
    }
}
