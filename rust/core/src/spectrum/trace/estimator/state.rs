//! An estimate as a record and arrays, from which the same one is made again.

use serde::{Deserialize, Serialize};

use super::{Trace, TraceOptions};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::spectrum::status::Status;

/// The arrays of an estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceArrays<S> {
    /// The sketch, row-major (rows, dim).
    pub sketch: Vec<S>,
    /// The samples, row-major (n, columns).
    pub samples: Vec<f64>,
    /// Sums of exact forms, and the lowest cost that was predicted.
    pub sums: Vec<f64>,
}

/// Everything else.
#[derive(Serialize, Deserialize)]
struct Record {
    summed: usize,
    stale: usize,
    growing: bool,
    swept: Option<usize>,
    products: usize,
    cost: usize,
    streams: u64,
    status: Status,
}

impl<S: Scalar> Trace<S> {
    /// The record, as JSON, and copies of the arrays.
    ///
    /// # Panics
    /// Never: a record of integers is always JSON.
    #[must_use]
    pub fn state(&self) -> (String, TraceArrays<S>) {
        let record = Record {
            summed: self.summed,
            stale: self.sketch.stale,
            growing: self.sketch.growing,
            swept: self.swept,
            products: self.products,
            cost: self.cost,
            streams: self.streams,
            status: self.status,
        };
        let sums = self.exact.iter().chain(&self.sweep).flatten().copied();
        let arrays = TraceArrays {
            sketch: self.sketch().to_vec(),
            samples: self.samples.concat(),
            sums: sums.chain([self.sketch.best]).collect(),
        };
        (serde_json::to_string(&record).expect("a record of integers"), arrays)
    }

    /// The estimate of these options whose [`Self::state`] this is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record cannot be read, or the arrays are not its own.
    pub fn resumed(
        options: TraceOptions,
        record: &str,
        arrays: &TraceArrays<S>,
    ) -> Result<Self, Error> {
        let read: Record = serde_json::from_str(record).map_err(|cause| {
            Error::Invalid(format!(
                "got a record that cannot be read: {cause}; pass that of `state`"
            ))
        })?;
        let mut made = Self::new(options)?;
        let columns = made.exact.len();
        require!(
            arrays.sums.len() == 4 * columns + 1
                && arrays.samples.len().is_multiple_of(columns)
                && arrays.sketch.len().is_multiple_of(options.dim)
                && read.summed * options.dim <= arrays.sketch.len(),
            "got {} sums, {} samples and {} numbers of a sketch for {columns} forms; pass the \
             arrays of the same `state`",
            arrays.sums.len(),
            arrays.samples.len(),
            arrays.sketch.len()
        );
        for row in arrays.sketch.chunks_exact(options.dim) {
            made.sketch.basis.push(row, 1.0)?;
        }
        let (pairs, best) = arrays.sums.as_chunks::<2>();
        made.exact = pairs[..columns].to_vec();
        made.sweep = pairs[columns..].to_vec();
        made.samples = arrays.samples.chunks(columns).map(<[f64]>::to_vec).collect();
        made.sketch.best = best[0];
        made.sketch.stale = read.stale;
        made.sketch.growing = read.growing;
        made.summed = read.summed;
        made.swept = read.swept;
        made.products = read.products;
        made.cost = read.cost;
        made.streams = read.streams;
        made.status = read.status;
        Ok(made)
    }
}
