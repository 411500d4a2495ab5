//! A Lanczos iteration as a record and arrays, from which the same one is made again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Lanczos, Options};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::spectrum::status::Status;
use crate::spectrum::symmetric::eigen;
use crate::spectrum::wanted::Which;

/// The arrays of an iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays<S> {
    /// Deflated rows, V and the next direction, row-major (n, dim).
    pub basis: Vec<S>,
    /// T, row-major (m, m).
    pub projected: Vec<f64>,
}

/// Everything else. Numbers of f64 are written as their bits, which no reader rounds.
#[derive(Serialize, Deserialize)]
struct Record {
    dim: usize,
    count: usize,
    which: Which,
    tolerance: u64,
    basis: usize,
    max_products: usize,
    seed: u64,
    order: usize,
    deflated: usize,
    beta: u64,
    products: usize,
    restarts: usize,
    streams: u64,
    good: usize,
    status: Status,
}

impl<S: Scalar> Lanczos<S> {
    /// The record, as JSON, and copies of the arrays.
    ///
    /// # Panics
    /// Never: a record of integers is always JSON.
    #[must_use]
    pub fn state(&self) -> (String, Arrays<S>) {
        let options = self.options;
        let record = Record {
            dim: options.dim,
            count: options.count,
            which: options.which,
            tolerance: options.tolerance.to_bits(),
            basis: options.basis,
            max_products: options.max_products,
            seed: options.seed,
            order: self.projected.len(),
            deflated: self.deflated,
            beta: self.beta.to_bits(),
            products: self.products,
            restarts: self.restarts,
            streams: self.streams,
            good: self.good,
            status: self.status,
        };
        let arrays =
            Arrays { basis: self.basis.numbers().to_vec(), projected: self.projected.concat() };
        (serde_json::to_string(&record).expect("a record of integers"), arrays)
    }

    /// The iteration whose [`Self::state`] this is, with its basis in memory or in a new file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record cannot be read, or the arrays are not its own.
    pub fn resumed(record: &str, arrays: &Arrays<S>, path: Option<&Path>) -> Result<Self, Error> {
        let read: Record = serde_json::from_str(record).map_err(|cause| {
            Error::Invalid(format!(
                "got a record that cannot be read: {cause}; pass that of `state`"
            ))
        })?;
        let options = Options {
            dim: read.dim,
            count: read.count,
            which: read.which,
            tolerance: f64::from_bits(read.tolerance),
            basis: read.basis,
            max_products: read.max_products,
            seed: read.seed,
        }
        .checked(read.deflated)?;
        let next = usize::from(read.status != Status::Exhausted);
        require!(
            read.order <= options.basis
                && arrays.projected.len() == read.order * read.order
                && arrays.basis.len() == (read.deflated + read.order + next) * read.dim,
            "got {} numbers of basis and {} of T for a record of order {}; pass the arrays of the \
             same `state`",
            arrays.basis.len(),
            arrays.projected.len(),
            read.order
        );
        let mut basis = Basis::new(options.dim, read.deflated + options.basis + 1, path)?;
        for row in arrays.basis.chunks_exact(options.dim) {
            basis.push(row, 1.0)?;
        }
        let projected: Vec<Vec<f64>> =
            arrays.projected.chunks(read.order.max(1)).map(<[f64]>::to_vec).collect();
        Ok(Self {
            options,
            basis,
            deflated: read.deflated,
            ritz: eigen(&projected),
            projected,
            beta: f64::from_bits(read.beta),
            products: read.products,
            restarts: read.restarts,
            streams: read.streams,
            good: read.good,
            status: read.status,
        })
    }
}
