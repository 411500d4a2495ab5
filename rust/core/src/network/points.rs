//! Parameter vectors as networks take them: given in full, or by their coordinates in a subspace.

use std::ops::Range;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::graph::Network;
use crate::network::kernel::Real;
use crate::network::layer::Packed;

/// Points to evaluate.
pub(crate) trait Points<T>: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Packs one of them for the forward rules.
    fn pack(&self, index: usize, out: &mut Packed<T>);
}

/// Which rules a point is packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Values alone.
    Forward,
    /// Derivatives as well.
    Both,
}

/// Points given in full, row by row.
pub(crate) struct Rows<'a, T> {
    network: &'a Network<T>,
    rows: &'a [T],
}

impl<'a, T: Real> Rows<'a, T> {
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

    /// One of them.
    pub fn row(&self, index: usize) -> &'a [T] {
        &self.rows[index * self.network.dim()..][..self.network.dim()]
    }
}

impl<T: Real> Points<T> for Rows<'_, T> {
    fn count(&self) -> usize {
        self.rows.len() / self.network.dim()
    }

    fn pack(&self, index: usize, out: &mut Packed<T>) {
        self.network.pack(self.row(index), Rules::Forward, out);
    }
}

impl<T: Real> Network<T> {
    /// Packs a point.
    pub(crate) fn pack(&self, theta: &[T], rules: Rules, out: &mut Packed<T>) {
        self.pack_with(theta, &self.held, rules, out);
    }

    /// Packs a direction, along which nothing that is held moves.
    pub(crate) fn pack_direction(&self, direction: &[T], rules: Rules, out: &mut Packed<T>) {
        self.pack_with(direction, &[], rules, out);
    }

    fn pack_with(&self, theta: &[T], held: &[T], rules: Rules, out: &mut Packed<T>) {
        self.forward.pack(theta, held, &mut out.forward);
        out.backward.clear();
        if rules == Rules::Both {
            self.backward.pack(theta, held, &mut out.backward);
        }
    }
}

/// An affine subspace, packed for the forward rules: a packed point is the same combination of packed vectors.
pub(crate) struct Frame<T> {
    origin: Packed<T>,
    basis: Vec<Packed<T>>,
}

impl<T: Real> Frame<T> {
    /// The subspace through `origin` along `basis`, vectors of length dim.
    pub fn new(network: &Network<T>, origin: &[T], basis: &[&[T]]) -> Self {
        let mut packed = Self { origin: Packed::default(), basis: Vec::new() };
        network.pack(origin, Rules::Forward, &mut packed.origin);
        for vector in basis {
            let mut direction = Packed::default();
            network.pack_direction(vector, Rules::Forward, &mut direction);
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
pub(crate) struct Coordinates<'a, T> {
    frame: &'a Frame<T>,
    isa: Isa,
    coords: &'a [f64],
    /// The entries of a packed point that somebody reads.
    needed: &'a [Range<usize>],
}

impl<'a, T: Real> Coordinates<'a, T> {
    /// The points of coordinates of shape (k, m), packed as far as needed.
    pub fn new(
        frame: &'a Frame<T>,
        isa: Isa,
        coords: &'a [f64],
        needed: &'a [Range<usize>],
    ) -> Self {
        Self { frame, isa, coords, needed }
    }

    /// The coordinates of a point.
    pub fn at(&self, index: usize) -> &'a [f64] {
        &self.coords[index * self.frame.dim()..][..self.frame.dim()]
    }
}

impl<T: Real> Points<T> for Coordinates<'_, T> {
    fn count(&self) -> usize {
        self.coords.len() / self.frame.dim()
    }

    fn pack(&self, index: usize, out: &mut Packed<T>) {
        let coords = self.at(index);
        out.backward.clear();
        out.forward.resize(self.frame.origin.forward.len(), T::ZERO);
        for needed in self.needed {
            let vectors = self.frame.vectors().map(|packed| &packed.forward[needed.clone()]);
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
