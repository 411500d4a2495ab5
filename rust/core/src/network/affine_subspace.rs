//! The loss on an affine subspace of the parameters.
//!
//! A product that reads the data alone is linear in the coordinates: its results for the origin and
//! for each basis vector are computed once, and a point combines them.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use smallvec::SmallVec;

use crate::error::Error;
use crate::isa::Isa;
use crate::monitor::Cancel;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::evaluate::ProductCache;
use crate::network::fused_forward::InputProducts;
use crate::network::fusion::MatrixProduct;
use crate::network::kernel::{AlignedVec, Epilogue, FinalActivation, Real, linear_combination};
use crate::network::packed_points::{PackedSubspace, SubspacePoints};
use crate::network::pass::Moments;
use crate::network::reductions::SampleSum;
use crate::subspace::check_frame;
use crate::threads::install;

/// Bytes of cached products that a processor's last-level cache is expected to hold.
const LAST_LEVEL_CACHE: usize = 16 << 20;
/// Bytes that cached products may take in all.
const MAX_CACHED: usize = 1 << 30;

/// A network's loss on θ(c) = origin + Σᵢ cᵢ basisᵢ.
pub struct NetworkSubspace<T> {
    loss: Arc<DatasetLoss<T>>,
    subspace: PackedSubspace<T>,
    products: Vec<Option<CachedProduct<T>>>,
    /// The ranges of a packed point that are read where the cached products are used.
    needed: Vec<Range<usize>>,
    /// The range of all entries.
    all: Range<usize>,
}

/// One product of the data with the origin and with each basis vector.
struct CachedProduct<T> {
    /// (panels, vectors, rows, positions, lanes).
    values: AlignedVec<T>,
    /// Numbers of a panel for one vector.
    size: usize,
}

impl<T: Real> NetworkSubspace<T> {
    /// The subspace through `origin` along `basis`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the basis is empty or a vector is not of length dim;
    /// [`Error::Cancelled`] on request.
    pub fn new(
        loss: Arc<DatasetLoss<T>>,
        origin: &[T],
        basis: &[&[T]],
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        check_frame("a network", loss.dim(), origin, basis)?;
        let subspace = PackedSubspace::new(&loss.network, origin, basis);
        let products = install(|| cache_products(&loss, &subspace, cancel))?;
        let size = subspace.vectors().next().map_or(0, |origin| origin.forward.len());
        let needed = find_needed(&loss, &products, size);
        Ok(Self { loss, subspace, products, needed, all: 0..size })
    }

    /// The loss that is restricted to the subspace.
    #[must_use]
    pub fn loss(&self) -> &DatasetLoss<T> {
        &self.loss
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.subspace.dim()
    }

    /// Sums over the samples at points of coordinates of shape (k, m), into (k, columns).
    ///
    /// # Errors
    /// [`Error::Cancelled`] on request, [`Error::Invalid`] where statistics cannot be re-estimated.
    pub fn sums(
        &self,
        coords: &[f64],
        columns: &[SampleSum],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = self.points(coords, statistics);
        let cache = SubspaceCache { subspace: self, points: &points };
        self.loss.sums_at(&points, &cache, columns, statistics, cancel, out)
    }

    /// Every sample's loss at points of coordinates of shape (k, m), into (k, samples).
    ///
    /// # Errors
    /// As for [`sums`](Self::sums).
    pub fn sample_losses(
        &self,
        coords: &[f64],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = self.points(coords, statistics);
        let cache = SubspaceCache { subspace: self, points: &points };
        self.loss.sample_losses_at(&points, &cache, statistics, cancel, out)
    }
}

impl<T: Real> NetworkSubspace<T> {
    /// Points by their coordinates. Passes with batch statistics do not use the cached products, so
    /// that they read the whole point.
    fn points<'a>(
        &'a self,
        coords: &'a [f64],
        statistics: Statistics<'_, T>,
    ) -> SubspacePoints<'a, T> {
        let needed = match statistics {
            Statistics::Stored => &self.needed[..],
            Statistics::Batch | Statistics::Recalibrated(_) => std::slice::from_ref(&self.all),
        };
        SubspacePoints::new(&self.subspace, self.loss.isa, coords, needed)
    }
}

/// The ranges of a packed point between the weights of the cached products.
fn find_needed<T: Real>(
    loss: &DatasetLoss<T>,
    products: &[Option<CachedProduct<T>>],
    size: usize,
) -> Vec<Range<usize>> {
    let products = loss.forward.input_products(&loss.network).zip(products);
    let mut cached: Vec<_> = products
        .filter_map(|(product, cached)| cached.as_ref().map(|_| product.weights()))
        .collect();
    cached.sort_by_key(|weights| weights.start);
    let starts = std::iter::once(0).chain(cached.iter().map(|weights| weights.end));
    let ends = cached.iter().map(|weights| weights.start).chain(std::iter::once(size));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect()
}

/// Computes the products that are worth caching.
fn cache_products<T: Real>(
    loss: &DatasetLoss<T>,
    subspace: &PackedSubspace<T>,
    cancel: &Cancel,
) -> Result<Vec<Option<CachedProduct<T>>>, Error> {
    let vectors = subspace.dim() + 1;
    let mut total = 0;
    let products = loss.forward.input_products(&loss.network).map(|product| {
        let size = product.output_size();
        let bytes = loss.whole.panels() * vectors * size * size_of::<T>();
        // A combination reads a number for each vector: computing a short product is as fast,
        // unless those numbers are in the L2 cache or nearer.
        let min_depth = if bytes <= LAST_LEVEL_CACHE { 8 } else { 24 };
        let worthwhile = product.depth() >= min_depth * vectors && total + bytes <= MAX_CACHED;
        total += if worthwhile { bytes } else { 0 };
        if !worthwhile {
            return Ok(None);
        }
        let values = multiply_vectors(loss, subspace, product, size, cancel)?;
        Ok(Some(CachedProduct { values, size }))
    });
    products.collect()
}

/// The product of all panels with every vector of the subspace.
fn multiply_vectors<T: Real>(
    loss: &DatasetLoss<T>,
    subspace: &PackedSubspace<T>,
    product: &dyn MatrixProduct<T>,
    size: usize,
    cancel: &Cancel,
) -> Result<AlignedVec<T>, Error> {
    let vectors = subspace.dim() + 1;
    let mut values = AlignedVec::zeros(loss.whole.panels() * vectors * size);
    values.par_chunks_mut(vectors * size).enumerate().try_for_each(|(panel, values)| {
        cancel.check()?;
        let block = loss.whole.block(panel, 1);
        for (packed, values) in subspace.vectors().zip(values.chunks_exact_mut(size)) {
            let pass = loss.pass(packed, &block, Moments::Stored);
            product.multiply(&pass, &[], block.inputs, &Epilogue::plain(), values);
        }
        Ok::<_, Error>(())
    })?;
    Ok(values)
}

/// The cached products at the points of a subspace.
struct SubspaceCache<'a, T> {
    subspace: &'a NetworkSubspace<T>,
    points: &'a SubspacePoints<'a, T>,
}

impl<T: Real> ProductCache<T> for SubspaceCache<'_, T> {
    type Products<'b>
        = CombinedProducts<'b, T>
    where
        Self: 'b;

    fn at(&self, point: usize, panel: usize) -> CombinedProducts<'_, T> {
        let products = &self.subspace.products;
        let isa = self.subspace.loss.isa;
        CombinedProducts { products, coords: self.points.at(point), panel, isa }
    }
}

/// Linear combinations of the cached products at one point.
struct CombinedProducts<'a, T> {
    products: &'a [Option<CachedProduct<T>>],
    coords: &'a [f64],
    /// The first panel.
    panel: usize,
    isa: Isa,
}

impl<T: Real> InputProducts<T> for CombinedProducts<'_, T> {
    fn write(
        &self,
        index: usize,
        epilogue: &Epilogue<'_, T>,
        activation: FinalActivation,
        [channels, panels]: [usize; 2],
        y: &mut [T],
    ) -> bool {
        let Some(CachedProduct { values, size }) = &self.products[index] else { return false };
        let vectors = self.coords.len() + 1;
        let values = &values[self.panel * vectors * size..][..panels * vectors * size];
        let coords: SmallVec<[T; 4]> = self.coords.iter().map(|&coord| T::narrow(coord)).collect();
        let outputs = y.chunks_exact_mut(y.len() / panels);
        for (panel, (values, y)) in values.chunks_exact(vectors * size).zip(outputs).enumerate() {
            let epilogue = epilogue.restrict(0..channels, panel * size..(panel + 1) * size);
            let row = size / channels;
            linear_combination(self.isa, values, &coords, &epilogue, activation, row, y);
        }
        true
    }
}
