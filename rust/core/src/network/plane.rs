//! L on an affine subspace of parameters.
//!
//! A product that reads the data alone is linear in the coordinates: its values for the origin and
//! for each basis vector are computed once, and at a point they are combined.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use smallvec::SmallVec;

use crate::error::Error;
use crate::isa::Isa;
use crate::monitor::Cancel;
use crate::network::evaluate::Known;
use crate::network::kernel::{Finish, Last, Lines, Real, combine};
use crate::network::layer::Moments;
use crate::network::layers::product::Product;
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::measure::Column;
use crate::network::points::{Coordinates, Frame};
use crate::network::program::Feed;
use crate::network::threads::install;
use crate::subspace::check_frame;

/// Bytes of known products that a processor's last cache may be expected to hold.
const CACHED: usize = 16 << 20;
/// Bytes of known products that are kept at all.
const KEPT: usize = 1 << 30;

/// A network's loss on θ(c) = origin + Σᵢ cᵢ basisᵢ.
pub struct NetworkPlane<T> {
    loss: Arc<NetworkLoss<T>>,
    frame: Frame<T>,
    products: Vec<Option<Products<T>>>,
    /// The entries of a packed point that are read where the products are known.
    needed: Vec<Range<usize>>,
    /// All entries.
    all: Range<usize>,
}

/// What one product makes of the data, for the origin and each basis vector.
struct Products<T> {
    /// (panels, vectors, rows, positions, lanes).
    values: Lines<T>,
    /// Numbers of a panel for one vector.
    size: usize,
}

impl<T: Real> NetworkPlane<T> {
    /// The subspace through `origin` along `basis`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the basis is empty or a vector is not of length dim;
    /// [`Error::Cancelled`] on request.
    pub fn new(
        loss: Arc<NetworkLoss<T>>,
        origin: &[T],
        basis: &[&[T]],
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        check_frame("a network", loss.dim(), origin, basis)?;
        let frame = Frame::new(&loss.network, origin, basis);
        let products = install(|| products(&loss, &frame, cancel))?;
        let size = frame.vectors().next().map_or(0, |origin| origin.forward.len());
        let needed = needed(&loss, &products, size);
        Ok(Self { loss, frame, products, needed, all: 0..size })
    }

    /// The loss that it restricts.
    #[must_use]
    pub fn loss(&self) -> &NetworkLoss<T> {
        &self.loss
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.frame.dim()
    }

    /// Sums over the samples at points of coordinates of shape (k, m), into (k, columns).
    ///
    /// # Errors
    /// [`Error::Cancelled`] on request, [`Error::Invalid`] where statistics cannot be re-estimated.
    pub fn sums(
        &self,
        coords: &[f64],
        columns: &[Column],
        statistics: Statistics<'_, T>,
        cancel: &Cancel,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let points = self.points(coords, statistics);
        let known = Combined { plane: self, points: &points };
        self.loss.sums_at(&points, &known, columns, statistics, cancel, out)
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
        let known = Combined { plane: self, points: &points };
        self.loss.sample_losses_at(&points, &known, statistics, cancel, out)
    }
}

impl<T: Real> NetworkPlane<T> {
    /// Points by their coordinates. Batch statistics come from passes that know no products.
    fn points<'a>(
        &'a self,
        coords: &'a [f64],
        statistics: Statistics<'_, T>,
    ) -> Coordinates<'a, T> {
        let needed = match statistics {
            Statistics::Stored => &self.needed[..],
            Statistics::Batch | Statistics::Recalibrated(_) => std::slice::from_ref(&self.all),
        };
        Coordinates::new(&self.frame, self.loss.isa, coords, needed)
    }
}

/// What lies between the weights of the products that are known.
fn needed<T: Real>(
    loss: &NetworkLoss<T>,
    products: &[Option<Products<T>>],
    size: usize,
) -> Vec<Range<usize>> {
    let fed = loss.program.fed(&loss.network).zip(products);
    let mut known: Vec<_> =
        fed.filter_map(|(product, known)| known.as_ref().map(|_| product.weights())).collect();
    known.sort_by_key(|weights| weights.start);
    let starts = std::iter::once(0).chain(known.iter().map(|weights| weights.end));
    let ends = known.iter().map(|weights| weights.start).chain(std::iter::once(size));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect()
}

/// The products that are worth knowing beforehand.
fn products<T: Real>(
    loss: &NetworkLoss<T>,
    frame: &Frame<T>,
    cancel: &Cancel,
) -> Result<Vec<Option<Products<T>>>, Error> {
    let vectors = frame.dim() + 1;
    let mut kept = 0;
    let fed = loss.program.fed(&loss.network).map(|product| {
        let size = product.output_size();
        let bytes = loss.whole.panels() * vectors * size * size_of::<T>();
        // Combining reads a number for each vector: a short product is computed as fast, unless
        // the numbers come from a near cache.
        let worth = if bytes <= CACHED { 8 } else { 24 };
        let known = product.depth() >= worth * vectors && kept + bytes <= KEPT;
        kept += if known { bytes } else { 0 };
        if !known {
            return Ok(None);
        }
        let values = multiplied(loss, frame, product, size, cancel)?;
        Ok(Some(Products { values, size }))
    });
    fed.collect()
}

fn multiplied<T: Real>(
    loss: &NetworkLoss<T>,
    frame: &Frame<T>,
    product: &Product<T>,
    size: usize,
    cancel: &Cancel,
) -> Result<Lines<T>, Error> {
    let vectors = frame.dim() + 1;
    let mut values = Lines::zeros(loss.whole.panels() * vectors * size);
    values.par_chunks_mut(vectors * size).enumerate().try_for_each(|(panel, values)| {
        cancel.check()?;
        let block = loss.whole.block(panel, 1);
        for (packed, values) in frame.vectors().zip(values.chunks_exact_mut(size)) {
            let pass = loss.pass(packed, &block, Moments::Stored);
            product.multiply(&pass, &packed.forward, block.inputs, &Finish::plain(), values);
        }
        Ok::<_, Error>(())
    })?;
    Ok(values)
}

/// The plane's products at its points.
struct Combined<'a, T> {
    plane: &'a NetworkPlane<T>,
    points: &'a Coordinates<'a, T>,
}

impl<T: Real> Known<T> for Combined<'_, T> {
    type Feed<'b>
        = Combination<'b, T>
    where
        Self: 'b;

    fn at(&self, point: usize, panel: usize) -> Combination<'_, T> {
        let products = &self.plane.products;
        Combination { products, coords: self.points.at(point), panel, isa: self.plane.loss.isa }
    }
}

struct Combination<'a, T> {
    products: &'a [Option<Products<T>>],
    coords: &'a [f64],
    /// The first of the panels that are fed.
    panel: usize,
    isa: Isa,
}

impl<T: Real> Feed<T> for Combination<'_, T> {
    fn feed(
        &self,
        which: usize,
        finish: &Finish<'_, T>,
        last: Last,
        [channels, panels]: [usize; 2],
        y: &mut [T],
    ) -> bool {
        let Some(Products { values, size }) = &self.products[which] else { return false };
        let vectors = self.coords.len() + 1;
        let values = &values[self.panel * vectors * size..][..panels * vectors * size];
        let coords: SmallVec<[T; 4]> = self.coords.iter().map(|&coord| T::narrow(coord)).collect();
        let made = y.chunks_exact_mut(y.len() / panels);
        for (index, (values, y)) in values.chunks_exact(vectors * size).zip(made).enumerate() {
            let finish = finish.part(0..channels, index * size..(index + 1) * size);
            combine(self.isa, values, &coords, &finish, last, size / channels, y);
        }
        true
    }
}
