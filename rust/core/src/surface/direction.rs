//! Filter, layer and model normalisation of a direction.

use std::ops::{Add, Range};

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::threads::install;
use crate::vector::{BLOCK, inner_product, require_one_length, tree_sum};

/// The parts of a direction that are scaled to the norm of the same part of the reference θ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalisation {
    /// Every filter of every tensor by itself: invariant under rescaling of ReLU layers.
    Filter,
    /// Every tensor by itself.
    Layer,
    /// All listed tensors together, by one factor.
    Model,
}

/// The layout of a tensor in a flat parameter vector, and its filters.
///
/// The entries from `offset` on are laid out `[block][outer][filter][inner]`, row-major; filter
/// (b, f) is all its (o, i) entries. A linear weight (out, in) is `(1, 1, out, in)`, a transposed
/// convolution (in, out, h, w) is `(1, in, out, h·w)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorLayout {
    /// Position of the first entry.
    pub offset: usize,
    /// Independent blocks: groups of a convolution, heads of packed attention weights.
    pub blocks: usize,
    /// Entries of the dimensions before the filter dimension.
    pub outer: usize,
    /// Filters in each block.
    pub filters: usize,
    /// Entries of the dimensions after the filter dimension.
    pub inner: usize,
}

impl TensorLayout {
    /// Its range in the flat vector; None where the sizes overflow.
    fn checked_range(&self) -> Option<Range<usize>> {
        let length = self
            .blocks
            .checked_mul(self.outer)?
            .checked_mul(self.filters)?
            .checked_mul(self.inner)?;
        Some(self.offset..self.offset.checked_add(length)?)
    }

    fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.blocks * self.outer * self.filters * self.inner
    }

    /// The same entries as one single filter.
    fn undivided(&self) -> Self {
        Self { blocks: 1, outer: 1, filters: 1, inner: self.range().len(), ..*self }
    }

    /// A run is `inner` consecutive entries of one filter; runs are numbered from `offset` on.
    fn run(&self, block: usize, outer: usize, filter: usize) -> Range<usize> {
        let index = (block * self.outer + outer) * self.filters + filter;
        let start = self.offset + index * self.inner;
        start..start + self.inner
    }

    fn filter_of_run(&self, run: usize) -> usize {
        run / (self.outer * self.filters) * self.filters + run % self.filters
    }
}

/// The direction with each part P (see [`Normalisation`]) scaled to the reference's norm,
///
/// d_P ← d_P ‖θ_P‖ / ‖d_P‖,
///
/// zero where either norm is zero and on entries that no tensor covers. One factor a part, computed
/// in f64; each entry is rounded once.
///
/// # Errors
/// [`Error::Invalid`] when the lengths differ, or tensors overlap or reach outside the vector.
///
/// # Reference
/// Li, Xu, Taylor, Studer, Goldstein (2018), *Visualizing the loss landscape of neural nets*,
/// section 4.
///
/// # Example
/// ```
/// use landscape_core::surface::{Normalisation, TensorLayout, normalise};
///
/// let linear = TensorLayout { offset: 0, blocks: 1, outer: 1, filters: 2, inner: 2 };
/// let (direction, theta) = ([3.0, 4.0, 0.0, 1.0, 9.0], [0.0, 10.0, 2.0, 0.0, 1.0]);
/// let scaled = normalise(&direction, &theta, &[linear], Normalisation::Filter)?;
/// assert_eq!(scaled, [6.0, 8.0, 0.0, 2.0, 0.0]);
/// # Ok::<(), landscape_core::Error>(())
/// ```
pub fn normalise<S: Scalar>(
    direction: &[S],
    reference: &[S],
    tensors: &[TensorLayout],
    kind: Normalisation,
) -> Result<Vec<S>, Error> {
    let length = require_one_length(&[direction, reference])?;
    require_disjoint(tensors, length)?;
    let tensors: Vec<_> = match kind {
        Normalisation::Filter => tensors.to_vec(),
        Normalisation::Layer | Normalisation::Model => {
            tensors.iter().map(TensorLayout::undivided).collect()
        }
    };
    let mut squares: Vec<Vec<Squares>> =
        tensors.iter().map(|tensor| filter_squares(tensor, direction, reference)).collect();
    if kind == Normalisation::Model {
        let total = squares.concat().into_iter().fold(Squares::default(), Squares::add);
        squares.fill(vec![total]);
    }
    let mut scaled = vec![S::default(); length];
    for (tensor, squares) in tensors.iter().zip(squares) {
        let factors: Vec<_> = squares.into_iter().map(Squares::factor).collect();
        scale_filters(tensor, &factors, direction, &mut scaled);
    }
    Ok(scaled)
}

/// The squared norms of one part of both vectors.
#[derive(Clone, Copy, Default)]
struct Squares {
    direction: f64,
    reference: f64,
}

impl Squares {
    fn of<S: Scalar>(direction: &[S], reference: &[S]) -> Self {
        Self {
            direction: inner_product(direction, direction),
            reference: inner_product(reference, reference),
        }
    }

    /// The factor that scales the direction to the reference's norm.
    fn factor(self) -> f64 {
        if self.direction == 0.0 { 0.0 } else { self.reference.sqrt() / self.direction.sqrt() }
    }
}

impl Add for Squares {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            direction: self.direction + other.direction,
            reference: self.reference + other.reference,
        }
    }
}

/// The squared norms of every filter, block by block.
///
/// Filters are taken in bands that lie side by side in memory, so that a tensor is read in order
/// whichever of its dimensions counts the filters; the rows of a band are summed as a tree.
fn filter_squares<S: Scalar>(
    tensor: &TensorLayout,
    direction: &[S],
    reference: &[S],
) -> Vec<Squares> {
    let band_width = (BLOCK / tensor.inner.max(1)).clamp(1, tensor.filters.max(1));
    let rows_a_leaf = (BLOCK / (band_width * tensor.inner).max(1)).max(1);
    let bands: Vec<_> = (0..tensor.blocks)
        .flat_map(|block| (0..tensor.filters).step_by(band_width).map(move |first| (block, first)))
        .collect();
    let band_squares = |(block, first): (usize, usize)| {
        let filters = first..tensor.filters.min(first + band_width);
        let rows = |rows: Range<usize>| {
            let mut sums = vec![Squares::default(); filters.len()];
            for row in rows {
                for (sum, filter) in sums.iter_mut().zip(filters.clone()) {
                    let run = tensor.run(block, row, filter);
                    *sum = *sum + Squares::of(&direction[run.clone()], &reference[run]);
                }
            }
            sums
        };
        let add = |left: Vec<Squares>, right: Vec<Squares>| {
            left.into_iter().zip(right).map(|(a, b)| a + b).collect()
        };
        tree_sum(0..tensor.outer, rows_a_leaf, &rows, &add)
    };
    install(|| bands.into_par_iter().flat_map_iter(band_squares).collect())
}

/// Writes the tensor's part of `direction`, each filter times its factor, to `scaled`.
fn scale_filters<S: Scalar>(
    tensor: &TensorLayout,
    factors: &[f64],
    direction: &[S],
    scaled: &mut [S],
) {
    let (source, target) = (&direction[tensor.range()], &mut scaled[tensor.range()]);
    let scale = |(block, out): (usize, &mut [S])| {
        let (mut position, end) = (block * BLOCK, block * BLOCK + out.len());
        let mut out = out.iter_mut();
        while position < end {
            let run = position / tensor.inner;
            let factor = factors[tensor.filter_of_run(run)];
            let rest_of_run = position..end.min((run + 1) * tensor.inner);
            position = rest_of_run.end;
            for (entry, value) in source[rest_of_run].iter().zip(&mut out) {
                *value = S::narrow(factor * entry.widen());
            }
        }
    };
    install(|| target.par_chunks_mut(BLOCK).enumerate().for_each(scale));
}

fn require_disjoint(tensors: &[TensorLayout], length: usize) -> Result<(), Error> {
    let mut ranges = Vec::with_capacity(tensors.len());
    for (row, tensor) in tensors.iter().enumerate() {
        let range = tensor.checked_range().filter(|range| range.end <= length);
        require!(
            range.is_some(),
            "tensor {row} is {tensor:?}, which reaches outside the vector of {length} entries; \
             pass the layout of the model that the vectors belong to"
        );
        ranges.extend(range.map(|range| (range.start, range.end, row)));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((_, end, first), (start, _, second)) = (pair[0], pair[1]);
        require!(
            end <= start,
            "tensors {first} and {second} overlap: one ends at {end}, the other starts at {start}; \
             list every parameter once, tied ones too"
        );
    }
    Ok(())
}
