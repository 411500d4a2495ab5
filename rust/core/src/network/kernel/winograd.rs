//! Convolutions by fewer multiplications.
//!
//! Two by two outputs of a window of 3 × 3 read a tile d of 4 × 4 inputs. With the filter g they are
//! Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 16 multiplications in the place of 36 (Winograd 1980; Lavin & Gray
//! 2016, equations 8 to 10). Sums over channels commute with A, so that in between there are sixteen
//! matrix products. Errors are a few times those of the sums as they stand.
//!
//! What is not finite would spread within a tile: where numbers are that large, the positions are
//! left to the caller.

use std::array::from_fn;
use std::ops::Range;

use super::aligned::Aligned;
use super::finish::Finish;
use super::packing::Packing;
use super::real::Real;
use super::taps::{Image, POINTWISE, Taps, pointwise};
use super::terms::Terms;
use super::vector::{Kernel, LONGEST, Simd, Vector};
use crate::isa::Isa;
use crate::scalar::Scalar;

#[cfg(test)]
mod tests;

/// Entries of a tile.
const ENTRIES: usize = 16;
/// Bytes of transformed tiles that stay in the second cache.
const BYTES: usize = 256 << 10;
/// What the squares of transformed numbers may add up to.
const LARGEST: f64 = 1e30;

/// Whether there is less to do at an image: multiplications, and what the transforms take for every
/// channel and every row, as measured in the same unit.
pub(super) fn pays(packing: &Packing, taps: &Taps, image: Image) -> bool {
    let (rows, inner) = (packing.rows(), packing.inner());
    let tile = 18 * rows * inner + 60 * inner + 75 * rows;
    tiles(image) * tile < taps.fed() * rows * inner
}

fn tiles(image: Image) -> usize {
    image.height.div_ceil(2) * image.width.div_ceil(2)
}

/// Whether numbers with these sums of squares are small enough.
#[inline(always)]
fn small<V: Vector>(squares: [V; 4]) -> bool {
    let [a, b, c, d] = squares;
    ((a + b) + (c + d)).total().widen() < LARGEST
}

/// A line of G.
#[inline(always)]
fn filter_line<V: Vector>(half: V, [a, b, c]: [V; 3]) -> [V; 4] {
    let (ends, middle) = ((a + c) * half, b * half);
    [a, ends + middle, ends - middle, c]
}

/// A line of Bᵀ.
#[inline(always)]
fn input_line<V: Vector>(d: [V; 4]) -> [V; 4] {
    [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
}

/// A line of Aᵀ.
#[inline(always)]
fn output_line<V: Vector>(m: [V; 4]) -> [V; 2] {
    [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
}

/// The product, as [`product`](super::product) says it, with x as it lies; `left` gets positions
/// that are still to be computed.
#[expect(clippy::too_many_arguments, reason = "those of a product, and what it leaves")]
pub(super) fn convolve<T: Real>(
    isa: Isa,
    packing: &Packing,
    weights: &[T],
    image: Image,
    x: &[T],
    finish: &Finish<'_, T>,
    y: &mut [T],
    left: &mut Vec<usize>,
) {
    T::dispatch(isa, Winograd { packing, weights, image, x, finish, y, left });
}

struct Winograd<'a, T> {
    packing: &'a Packing,
    weights: &'a [T],
    image: Image,
    /// `[channel][position][lane]`.
    x: &'a [T],
    finish: &'a Finish<'a, T>,
    y: &'a mut [T],
    left: &'a mut Vec<usize>,
}

impl<T: Real> Kernel<T> for Winograd<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let (rows, inner, tiles) = (self.packing.rows(), self.packing.inner(), tiles(self.image));
        let bytes = ENTRIES * (rows + inner) * L * size_of::<T>();
        let block = (BYTES / bytes).clamp(1, POINTWISE.min(tiles));
        // One column more than there are, or entries would evict each other from the cache.
        let columns = [block * inner + 1, block * rows + 1];
        let strides = columns.map(|columns| columns * L);
        let filters = rows * inner;
        let mut room =
            Aligned::room(ENTRIES * (filters.next_multiple_of(L) + strides[0] + strides[1]));
        let (u, room) = room.split_at_mut(ENTRIES * filters.next_multiple_of(L));
        let (v, m) = room.split_at_mut(ENTRIES * strides[0]);
        if !self.filters(simd, u) {
            return self.left.extend(0..self.image.positions());
        }
        for first in (0..tiles).step_by(block) {
            let some = first..tiles.min(first + block);
            if !self.inputs::<V, L>(simd, some.clone(), columns[0], v) {
                self.leave(some);
                continue;
            }
            let entries = v.chunks_exact(strides[0]).zip(m.chunks_exact_mut(strides[1]));
            for (u, (v, m)) in u.chunks_exact(filters).zip(entries) {
                let terms = Terms {
                    packing: self.packing,
                    weights: u,
                    taps: pointwise(some.len()),
                    x: v,
                    finish: &Finish::PLAIN,
                    y: m,
                    only: None,
                };
                terms.run::<V, C, L>(simd);
            }
            self.outputs::<V, C, L>(simd, some, columns[1], m);
        }
    }
}

impl<T: Real> Winograd<'_, T> {
    /// Where a tile's first output is.
    fn place(&self, tile: usize) -> [usize; 2] {
        let across = self.image.width.div_ceil(2);
        [tile / across * 2, tile % across * 2]
    }

    /// Leaves the outputs of tiles to the caller.
    fn leave(&mut self, tiles: Range<usize>) {
        for tile in tiles {
            let [y, x] = self.place(tile);
            let (height, width) = (self.image.height, self.image.width);
            for row in y..height.min(y + 2) {
                self.left.extend((x..width.min(x + 2)).map(|column| row * width + column));
            }
        }
    }

    /// G g Gᵀ of every filter, an entry after the other, each in the order of a product's weights.
    /// Returns whether they are small enough.
    #[inline(always)]
    fn filters<V: Vector<Number = T>>(&self, simd: Simd<V>, u: &mut [T]) -> bool {
        let count = self.packing.rows() * self.packing.inner();
        let (mut squares, half) = ([simd.splat(T::ZERO); 4], simd.splat(T::narrow(0.5)));
        for group in self.packing.groups() {
            let (start, size) =
                (group.start * self.packing.inner(), group.len() * self.packing.inner());
            let weights = &self.weights[9 * start..][..9 * size];
            for first in (0..size).step_by(V::LEN) {
                let held = (size - first).min(V::LEN);
                let mut g = [half; 9];
                for (tap, g) in g.iter_mut().enumerate() {
                    let tap = if self.image.mirrored { 8 - tap } else { tap };
                    let weights = &weights[tap * size + first..][..held];
                    if held == V::LEN {
                        *g = simd.load(weights);
                    } else {
                        let mut padded = [T::ZERO; LONGEST];
                        padded[..held].copy_from_slice(weights);
                        *g = simd.load(&padded);
                    }
                }
                let columns = [0, 1, 2].map(|b| filter_line(half, [g[b], g[3 + b], g[6 + b]]));
                for a in 0..4 {
                    let row = filter_line(half, [columns[0][a], columns[1][a], columns[2][a]]);
                    for (b, entry) in row.into_iter().enumerate() {
                        squares[b] = V::mul_add(entry, entry, squares[b]);
                        let out = &mut u[(a * 4 + b) * count + start + first..][..held];
                        if held == V::LEN {
                            entry.store(out);
                        } else {
                            let mut padded = [T::ZERO; LONGEST];
                            entry.store(&mut padded);
                            out.copy_from_slice(&padded[..held]);
                        }
                    }
                }
            }
        }
        small(squares)
    }

    /// Bᵀ d B of every channel of some tiles, as `[entry][tile][channel][lane]`. Returns whether they
    /// are small enough.
    #[inline(always)]
    fn inputs<V: Vector<Number = T>, const L: usize>(
        &self,
        simd: Simd<V>,
        tiles: Range<usize>,
        stride: usize,
        v: &mut [T],
    ) -> bool {
        let inner = self.packing.inner();
        let zero = simd.splat(T::ZERO);
        let mut squares = [zero; 4];
        let v = v.as_chunks_mut::<L>().0;
        for (index, tile) in tiles.enumerate() {
            let place = self.place(tile);
            let sources: [[Option<usize>; 4]; 4] =
                from_fn(|a| from_fn(|b| self.image.source(place, [a, b])));
            let images = self.x.as_chunks::<L>().0.chunks_exact(self.image.positions());
            for (channel, x) in images.enumerate() {
                for lane in (0..L).step_by(V::LEN) {
                    let mut columns = [[zero; 4]; 4];
                    for (b, column) in columns.iter_mut().enumerate() {
                        let mut d = [zero; 4];
                        for (d, row) in d.iter_mut().zip(&sources) {
                            if let Some(source) = row[b] {
                                *d = simd.load(&x[source][lane..]);
                            }
                        }
                        *column = input_line(d);
                    }
                    let place = index * inner + channel;
                    for a in 0..4 {
                        let row = input_line(columns.map(|column| column[a]));
                        for (b, entry) in row.into_iter().enumerate() {
                            squares[b] = V::mul_add(entry, entry, squares[b]);
                            entry.store(&mut v[(a * 4 + b) * stride + place][lane..]);
                        }
                    }
                }
            }
        }
        small(squares)
    }

    /// Aᵀ m A of every row of some tiles, from `[entry][row][tile][lane]`, finished.
    #[inline(always)]
    fn outputs<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        tiles: Range<usize>,
        stride: usize,
        m: &[T],
    ) {
        let Image { height, width, .. } = self.image;
        let (count, finish) = (tiles.len(), *self.finish);
        let mut places = [[0; 2]; POINTWISE];
        for (place, tile) in places.iter_mut().zip(tiles) {
            *place = self.place(tile);
        }
        let (m, y) = (m.as_chunks::<L>().0, self.y.as_chunks_mut::<L>().0);
        for (row, y) in y.chunks_exact_mut(height * width).enumerate() {
            for (index, &[top, left]) in places.iter().enumerate().take(count) {
                let m = &m[row * count + index..][..=15 * stride];
                let mut parts = [[[simd.splat(T::ZERO); C]; 2]; 2];
                for c in 0..C {
                    let mut columns = [[simd.splat(T::ZERO); 2]; 4];
                    for (b, column) in columns.iter_mut().enumerate() {
                        let entry = |a: usize| simd.load(&m[(a * 4 + b) * stride][c * V::LEN..]);
                        *column = output_line([entry(0), entry(1), entry(2), entry(3)]);
                    }
                    for (a, row) in parts.iter_mut().enumerate() {
                        let line = output_line(columns.map(|column| column[a]));
                        (row[0][c], row[1][c]) = (line[0], line[1]);
                    }
                }
                for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    if top + a < height && left + b < width {
                        let position = (top + a) * width + left + b;
                        let place = (row * height * width + position) * L;
                        finish.store(simd, row, &mut y[position], place, parts[a][b]);
                    }
                }
            }
        }
    }
}
