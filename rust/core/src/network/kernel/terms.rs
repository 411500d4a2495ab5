//! Weights times a panel, term by term.

use std::array::from_fn;
use std::ops::Range;

use super::aligned::Aligned;
use super::finish::Finish;
use super::packing::{GROUP, Packing};
use super::real::Real;
use super::taps::Taps;
use super::vector::{Kernel, Simd, Vector};

/// The panel as `[position][channel][lane]`, where it is not that already: a tile reads all channels
/// of a position again and again, and as they lie in x, a power of two apart, they would evict each
/// other from the cache.
pub(super) fn by_position<T: Real>(
    x: &[T],
    channels: usize,
    positions: usize,
) -> Option<Aligned<T>> {
    let place = |p: usize| move |channel: usize| (channel * positions + p) * T::LANES;
    let places = (0..positions).flat_map(|p| (0..channels).map(place(p)));
    let apart = channels > 1 && positions > 1;
    apart.then(|| Aligned::gather(x, places, positions * channels))
}

/// The sums of a product, at all positions or at some.
pub(super) struct Terms<'a, T> {
    /// The order of the weights of a tap.
    pub packing: &'a Packing,
    pub weights: &'a [T],
    pub taps: &'a Taps,
    /// `[position][channel][lane]`.
    pub x: &'a [T],
    pub finish: &'a Finish<'a, T>,
    pub y: &'a mut [T],
    /// The positions to compute, where they are not all.
    pub only: Option<&'a [usize]>,
}

impl<T: Real> Kernel<T> for Terms<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let depth = self.taps.taps() * self.packing.inner();
        for index in 0..self.only.map_or(self.taps.positions(), <[_]>::len) {
            let position = self.only.map_or(index, |only| only[index]);
            let mut rest = self.weights;
            let mut groups = self.packing.groups().iter().peekable();
            while let Some(rows) = groups.next() {
                let (first, others) = rest.split_at(depth * rows.len());
                // Alone in its register, a panel's column feeds two groups, or the sums would wait
                // for each other.
                if C == 1 && groups.next_if(|next| next.len() == rows.len()).is_some() {
                    let (second, others) = others.split_at(first.len());
                    rest = others;
                    self.tiles::<V, 2, C, L>(simd, position, rows.clone(), [first, second]);
                } else {
                    rest = others;
                    self.tiles::<V, 1, C, L>(simd, position, rows.clone(), [first]);
                }
            }
        }
    }
}

impl<T: Real> Terms<'_, T> {
    /// The tile for G groups as long as this one, a number of rows that is known only now.
    #[inline(always)]
    fn tiles<V: Vector<Number = T>, const G: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        position: usize,
        rows: Range<usize>,
        weights: [&[T]; G],
    ) {
        match rows.len() {
            1 => self.tile::<V, G, 1, C, L>(simd, position, rows.start, weights),
            2 => self.tile::<V, G, 2, C, L>(simd, position, rows.start, weights),
            3 => self.tile::<V, G, 3, C, L>(simd, position, rows.start, weights),
            4 => self.tile::<V, G, 4, C, L>(simd, position, rows.start, weights),
            5 => self.tile::<V, G, 5, C, L>(simd, position, rows.start, weights),
            _ => self.tile::<V, G, GROUP, C, L>(simd, position, rows.start, weights),
        }
    }

    /// G groups of R rows at a position.
    #[inline(always)]
    fn tile<V, const G: usize, const R: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        position: usize,
        row: usize,
        weights: [&[T]; G],
    ) where
        V: Vector<Number = T>,
    {
        let sums = self.sums::<V, G, R, C, L>(simd, position, weights);
        let stride = self.taps.positions() * L;
        let finish = *self.finish;
        let place = row * stride + position * L;
        for (g, sums) in sums.into_iter().enumerate() {
            for (r, sums) in sums.into_iter().enumerate() {
                let place = place + (g * R + r) * stride;
                finish.store(simd, row + g * R + r, &mut self.y[place..place + L], place, sums);
            }
        }
    }

    /// The sums of a tile, which stay in registers.
    #[inline(always)]
    fn sums<V, const G: usize, const R: usize, const C: usize, const L: usize>(
        &self,
        simd: Simd<V>,
        position: usize,
        weights: [&[T]; G],
    ) -> [[[V; C]; R]; G]
    where
        V: Vector<Number = T>,
    {
        let inner = self.packing.inner();
        let (x, _) = self.x.as_chunks::<L>();
        let weights = weights.map(|weights| weights.as_chunks::<R>().0);
        let mut sums = [[[simd.splat(T::ZERO); C]; R]; G];
        for (tap, source) in self.taps.sources(position).iter().enumerate() {
            let Some(source) = *source else { continue };
            if inner == 1 {
                // A loop for a single channel would cost more than its work.
                step(simd, &mut sums, &x[source], weights.map(|weights| &weights[tap]));
                continue;
            }
            let weights = weights.map(|weights| &weights[tap * inner..][..inner]);
            for (k, x) in x[source * inner..][..inner].iter().enumerate() {
                step(simd, &mut sums, x, weights.map(|weights| &weights[k]));
            }
        }
        sums
    }
}

/// Adds a column of x, times a weight of each row, to the sums.
#[inline(always)]
fn step<T, V, const G: usize, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    sums: &mut [[[V; C]; R]; G],
    x: &[T; L],
    weights: [&[T; R]; G],
) where
    T: Real,
    V: Vector<Number = T>,
{
    let x: [V; C] = from_fn(|c| simd.load(&x[c * V::LEN..]));
    for (sums, weights) in sums.iter_mut().zip(weights) {
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat(weight);
            for (sum, &x) in sums.iter_mut().zip(&x) {
                *sum = V::mul_add(x, weight, *sum);
            }
        }
    }
}
