//! Parameter vectors, packed for the kernels: in full, or by their coordinates in a subspace.

use std::ops::Range;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::graph::Network;
use crate::network::kernel::Real;
use crate::network::pass::Packed;

/// A set of points that can be packed.
pub(crate) trait PackedPoints<T>: Sync {
    /// The number of points.
    fn count(&self) -> usize;

    /// Packs a point for the forward rules.
    fn pack(&self, index: usize, out: &mut Packed<T>);
}

/// The layouts that a point is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightLayouts {
    /// For values alone.
    Forward,
    /// For derivatives as well.
    ForwardAndBackward,
}

/// Points given in full, one per row.
pub(crate) struct PointRows<'a, T> {
    network: &'a Network<T>,
    rows: &'a [T],
}

impl<'a, T: Real> PointRows<'a, T> {
    /// The points of shape (k, dim).
    pub fn new(network: &'a Network<T>, rows: &'a [T]) -> Result<Self, Error> {
        let dim = network.dim();
        require!(
            dim > 0 && rows.len().is_multiple_of(dim),
            "got {} numbers for points of {dim} parameters; pass a multiple",
            rows.len()
        );
        Ok(Self { network, rows })
    }

    /// A point.
    pub fn row(&self, index: usize) -> &'a [T] {
        &self.rows[index * self.network.dim()..][..self.network.dim()]
    }
}

impl<T: Real> PackedPoints<T> for PointRows<'_, T> {
    fn count(&self) -> usize {
        self.rows.len() / self.network.dim()
    }

    fn pack(&self, index: usize, out: &mut Packed<T>) {
        self.network.pack(self.row(index), WeightLayouts::Forward, out);
    }
}

impl<T: Real> Network<T> {
    /// Packs a point.
    pub(crate) fn pack(&self, theta: &[T], rules: WeightLayouts, out: &mut Packed<T>) {
        self.pack_with(theta, &self.frozen, rules, out);
    }

    /// Packs a direction, whose frozen part is zero.
    pub(crate) fn pack_direction(
        &self,
        direction: &[T],
        rules: WeightLayouts,
        out: &mut Packed<T>,
    ) {
        self.pack_with(direction, &[], rules, out);
    }

    fn pack_with(&self, theta: &[T], frozen: &[T], rules: WeightLayouts, out: &mut Packed<T>) {
        self.forward.pack(theta, frozen, &mut out.forward);
        out.backward.clear();
        if rules == WeightLayouts::ForwardAndBackward {
            self.backward.pack(theta, frozen, &mut out.backward);
        }
    }
}

/// An affine subspace, packed for the forward rules: a packed point is the same combination of packed vectors.
pub(crate) struct PackedSubspace<T> {
    origin: Packed<T>,
    basis: Vec<Packed<T>>,
}

impl<T: Real> PackedSubspace<T> {
    /// The subspace through `origin` along `basis`, vectors of length dim.
    pub fn new(network: &Network<T>, origin: &[T], basis: &[&[T]]) -> Self {
        let mut packed = Self { origin: Packed::default(), basis: Vec::new() };
        network.pack(origin, WeightLayouts::Forward, &mut packed.origin);
        for vector in basis {
            let mut direction = Packed::default();
            network.pack_direction(vector, WeightLayouts::Forward, &mut direction);
            packed.basis.push(direction);
        }
        packed
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.basis.len()
    }

    /// The packed origin and the packed basis.
    pub fn vectors(&self) -> impl Iterator<Item = &Packed<T>> {
        std::iter::once(&self.origin).chain(&self.basis)
    }
}

/// Points of a subspace, by their coordinates.
pub(crate) struct SubspacePoints<'a, T> {
    subspace: &'a PackedSubspace<T>,
    isa: Isa,
    coords: &'a [f64],
    /// The ranges of a packed point that are read.
    needed: &'a [Range<usize>],
}

impl<'a, T: Real> SubspacePoints<'a, T> {
    /// The points with coordinates of shape (k, m), of which only the needed ranges are packed.
    pub fn new(
        subspace: &'a PackedSubspace<T>,
        isa: Isa,
        coords: &'a [f64],
        needed: &'a [Range<usize>],
    ) -> Self {
        Self { subspace, isa, coords, needed }
    }

    /// The coordinates of a point.
    pub fn at(&self, index: usize) -> &'a [f64] {
        &self.coords[index * self.subspace.dim()..][..self.subspace.dim()]
    }
}

impl<T: Real> PackedPoints<T> for SubspacePoints<'_, T> {
    fn count(&self) -> usize {
        self.coords.len() / self.subspace.dim()
    }

    fn pack(&self, index: usize, out: &mut Packed<T>) {
        let coords = self.at(index);
        out.backward.clear();
        out.forward.resize(self.subspace.origin.forward.len(), T::ZERO);
        for needed in self.needed {
            let vectors = self.subspace.vectors().map(|packed| &packed.forward[needed.clone()]);
            combine(self.isa, vectors, coords, &mut out.forward[needed.clone()]);
        }
    }
}

/// The first vector plus the others times the coordinates.
fn combine<'a, T: Real>(
    isa: Isa,
    mut vectors: impl Iterator<Item = &'a [T]>,
    coords: &[f64],
    out: &mut [T],
) {
    out.copy_from_slice(vectors.next().unwrap_or_default());
    for (vector, &coord) in vectors.zip(coords) {
        let coord = T::narrow(coord);
        isa.run(
            #[inline(always)]
            || {
                for (out, &entry) in out.iter_mut().zip(vector) {
                    *out += coord * entry;
                }
            },
        );
    }
}
