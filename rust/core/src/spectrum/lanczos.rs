//! Thick-restart Lanczos with full reorthogonalisation.

mod options;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::counted_operator::CountedOperator;
use super::ritz::{Which, error_bounds};
use super::symmetric::{Eigenpairs, eigh};
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, RecordReader, Resumable, Solver, Status, to_record};
use crate::vector::norm;

pub use options::{LanczosOptions, RelativeTo};

/// A vector whose norm falls below this many units of rounding in orthogonalisation counts as zero.
const BREAKDOWN: f64 = 8.0;

/// A start vector with a small component of an eigenvector reveals its pair late, between others whose
/// residuals are small by then. So all pairs must stay converged for one product more, and for one more
/// per this many pairs.
const PAIRS_PER_EXTRA_PRODUCT: usize = 3;

/// Residuals of this many roundings are the least that can be asked for.
const ROUNDINGS: f64 = 4.0;

/// A Lanczos iteration A V = V T + β v e_mᵀ with V, v orthonormal.
///
/// Ritz pairs of T are pairs of A up to the residual |β s_m|. A full basis is replaced by the Ritz
/// vectors nearest to the requested end of the spectrum, which preserves the relation with an arrow
/// in T.
///
/// # Reference
/// Wu and Simon (2000), *Thick-restart Lanczos method for large symmetric eigenvalue problems*.
pub struct Lanczos<S> {
    options: LanczosOptions,
    /// The deflated rows, then V, then the next direction v.
    basis: Basis<S>,
    deflated: usize,
    /// T.
    projected: Vec<Vec<f64>>,
    beta: f64,
    products: usize,
    restarts: usize,
    /// The number of random vectors drawn.
    streams: u64,
    /// The number of last products after each of which all requested pairs were converged.
    converged_products: usize,
    status: Status,
    ritz: Eigenpairs,
}

/// The state besides the vectors, as it is saved. Numbers of f64 are written as their bits, which no
/// reader rounds.
#[derive(Serialize, Deserialize)]
struct Record {
    dim: usize,
    count: usize,
    which: Which,
    tolerance: u64,
    #[serde(default)]
    relative_to: RelativeTo,
    basis: usize,
    max_products: usize,
    seed: u64,
    order: usize,
    deflated: usize,
    beta: u64,
    products: usize,
    restarts: usize,
    streams: u64,
    #[serde(rename = "good")]
    converged_products: usize,
    status: Status,
}

const READER: RecordReader = RecordReader("a Lanczos iteration");

impl Record {
    /// # Errors
    /// [`Error::Invalid`] unless the state is one that an iteration with these options can be in.
    fn validate(&self, options: &LanczosOptions) -> Result<(), Error> {
        use Status::{Converged, Exhausted, MaxProducts, Running};
        READER.require_status(self.status, &[Running, Converged, Exhausted, MaxProducts])?;
        READER.require_finite(&[("beta", f64::from_bits(self.beta))], 0.0)?;
        READER.require_counts(&[
            ("products", self.products as u64),
            ("restarts", self.restarts as u64),
            ("streams", self.streams),
            ("good", self.converged_products as u64),
        ])?;
        let space = options.dim - self.deflated;
        let complete = self.order == space;
        let possible = self.order <= options.basis && self.order <= self.products;
        READER.require("order", possible && complete == (self.status == Exhausted))
    }
}

impl<S: Scalar> Lanczos<S> {
    /// An iteration on the space orthogonal to the orthonormal rows `deflate`, with its basis in memory
    /// or in a new file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit the space, or the basis cannot be allocated.
    pub fn new(
        options: LanczosOptions,
        path: Option<&Path>,
        deflate: &[&[S]],
    ) -> Result<Self, Error> {
        let options = options.validate(deflate.len())?;
        let mut basis = Basis::new(options.dim, deflate.len() + options.basis + 1, path)?;
        for row in deflate {
            basis.push(row, 1.0)?;
        }
        let mut lanczos = Self {
            options,
            basis,
            deflated: deflate.len(),
            projected: Vec::new(),
            beta: 0.0,
            products: 0,
            restarts: 0,
            streams: 0,
            converged_products: 0,
            status: Status::Running,
            ritz: Eigenpairs::default(),
        };
        lanczos.push_random_direction()?;
        Ok(lanczos)
    }

    /// Starts from a vector in place of a random one: a guess of the eigenvectors.
    ///
    /// # Errors
    /// [`Error::Invalid`] after a product, where the length is another, or where the vector lies in the
    /// span of the deflated rows.
    pub fn with_start(mut self, start: &[S]) -> Result<Self, Error> {
        let mut w = start.to_vec();
        require!(
            self.products == 0 && w.len() == self.options.dim,
            "got a start of {} entries after {} products; pass {} before the first",
            w.len(),
            self.products,
            self.options.dim
        );
        self.basis.truncate(self.deflated);
        let before = norm(&w);
        self.basis.orthogonalise(&mut w);
        let after = norm(&w);
        let independent = after > BREAKDOWN * S::EPSILON * before;
        require!(
            independent,
            "got a start that lies in the space of the deflated rows, or is zero; pass another"
        );
        self.basis.push(&w, 1.0 / after)?;
        Ok(self)
    }

    /// The iteration of a checkpoint with the arrays `basis` and `projected`, with its basis in memory or
    /// in a new file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of a Lanczos iteration.
    pub fn resume(mut checkpoint: Checkpoint<S>, path: Option<&Path>) -> Result<Self, Error> {
        let record: Record = checkpoint.parse_record("a Lanczos iteration")?;
        let vectors = checkpoint.take_vectors("basis")?;
        let projected = checkpoint.take_numbers("projected")?;
        let options = LanczosOptions {
            dim: record.dim,
            count: record.count,
            which: record.which,
            tolerance: f64::from_bits(record.tolerance),
            relative_to: record.relative_to,
            basis: record.basis,
            max_products: record.max_products,
            seed: record.seed,
        }
        .validate(record.deflated)?;
        record.validate(&options)?;
        let next = usize::from(record.status != Status::Exhausted);
        let rows = record.deflated + record.order + next;
        require!(
            checkpoint.dim == record.dim
                && Some(projected.len()) == record.order.checked_mul(record.order)
                && Some(vectors.len()) == rows.checked_mul(record.dim),
            "got {} numbers of basis and {} of T for a record of order {}; pass the arrays of the \
             same `state`",
            vectors.len(),
            projected.len(),
            record.order
        );
        READER.require_entries("basis", &vectors)?;
        READER.require_entries("projected matrix", &projected)?;
        let mut basis = Basis::new(options.dim, record.deflated + options.basis + 1, path)?;
        for row in vectors.chunks_exact(options.dim) {
            basis.push(row, 1.0)?;
        }
        let projected: Vec<Vec<f64>> =
            projected.chunks(record.order.max(1)).map(<[f64]>::to_vec).collect();
        Ok(Self {
            options,
            basis,
            deflated: record.deflated,
            ritz: eigh(&projected),
            projected,
            beta: f64::from_bits(record.beta),
            products: record.products,
            restarts: record.restarts,
            streams: record.streams,
            converged_products: record.converged_products,
            status: record.status,
        })
    }

    /// The options, with a basis no larger than the space.
    #[must_use]
    pub fn options(&self) -> &LanczosOptions {
        &self.options
    }

    /// Operator products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products
    }

    /// The number of requested pairs with residuals within the tolerance.
    #[must_use]
    pub fn converged(&self) -> usize {
        let threshold = self.options.tolerance * self.scale();
        self.residuals().iter().filter(|&&residual| residual <= threshold).count()
    }

    /// What residuals are relative to: the largest |Ritz value|, of all or of the requested end (of the
    /// weaker one where both are requested). That of an end is at least so large that rounding is within
    /// the tolerance.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let largest = |indices: &[usize]| {
            indices.iter().fold(0.0, |max: f64, &i| max.max(self.ritz.values[i].abs()))
        };
        let selected = self.selected();
        if self.options.relative_to == RelativeTo::Norm {
            return self.norm();
        }
        let end = match self.options.which {
            Which::Both => {
                let (high, low) = selected.split_at(selected.len().div_ceil(2));
                largest(high).min(largest(low))
            }
            Which::Largest | Which::Smallest | Which::Magnitude => largest(&selected),
        };
        if self.options.tolerance == 0.0 {
            return end;
        }
        end.max(ROUNDINGS * self.rounding() / self.options.tolerance)
    }

    /// The largest |Ritz value|, an estimate of ‖A‖.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.ritz.values.iter().fold(0.0, |max: f64, value| max.max(value.abs()))
    }

    /// The current Ritz values of the requested pairs; fewer while the space is small.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.selected().iter().map(|&i| self.ritz.values[i]).collect()
    }

    /// ‖A v − λ v‖ of these pairs, rounding included. Where rows are deflated, A is its restriction to
    /// the space orthogonal to them.
    #[must_use]
    pub fn residuals(&self) -> Vec<f64> {
        let all = self.all_residuals();
        self.selected().iter().map(|&i| all[i]).collect()
    }

    /// Bounds on the errors of these values, see [`error_bounds`]; at least the rounding error.
    #[must_use]
    pub fn bounds(&self) -> Vec<f64> {
        let all = error_bounds(&self.ritz.values, &self.all_residuals());
        let rounding = self.rounding();
        self.selected().iter().map(|&i| all[i].max(rounding)).collect()
    }

    /// The Ritz vectors of these pairs, orthonormal, row-major (n, dim).
    #[must_use]
    pub fn vectors(&self) -> Vec<S> {
        let rows: Vec<_> = self.selected().iter().map(|&i| self.ritz.vectors[i].clone()).collect();
        self.basis.combinations(self.deflated, &rows)
    }

    /// The dimension of the space orthogonal to the deflated rows.
    fn space(&self) -> usize {
        self.options.dim - self.deflated
    }

    /// The number of requested pairs.
    fn pairs(&self) -> usize {
        self.options.which.pairs(self.options.count, self.space())
    }

    /// The indices of the requested Ritz pairs.
    fn selected(&self) -> Vec<usize> {
        self.options.which.select(&self.ritz.values, self.pairs())
    }

    /// |β s_m| of every Ritz pair, rounding included.
    fn all_residuals(&self) -> Vec<f64> {
        let rounding = self.rounding();
        let last = |vector: &Vec<f64>| vector.last().copied().unwrap_or_default();
        self.ritz.vectors.iter().map(|s| (self.beta * last(s)).hypot(rounding)).collect()
    }

    /// The rounding error of residuals and eigenvalues.
    fn rounding(&self) -> f64 {
        S::EPSILON * self.norm() * ((1 + self.restarts) as f64).sqrt()
    }

    /// The row of T that couples V to the next direction: β e_m.
    fn coupling(&self) -> Vec<f64> {
        let mut row = vec![0.0; self.projected.len()];
        if let Some(entry) = row.last_mut() {
            *entry = self.beta;
        }
        row
    }

    /// Appends the next direction to V: T grows by its coupling and by α = ⟨v, A v⟩.
    fn extend(&mut self, coupling: Vec<f64>, alpha: f64) {
        for (row, value) in self.projected.iter_mut().zip(&coupling) {
            row.push(*value);
        }
        let mut row = coupling;
        row.push(alpha);
        self.projected.push(row);
    }

    /// Replaces V by the requested Ritz vectors and half of the others, those nearest to them. Returns
    /// the coupling of each to the next direction, β s_m.
    fn restart(&mut self) -> Vec<f64> {
        let (order, pairs) = (self.projected.len(), self.pairs());
        let keep = (pairs + (order - pairs) / 2).clamp(1, order - 1);
        let mut kept = self.options.which.select(&self.ritz.values, keep);
        kept.sort_unstable();
        let rows: Vec<_> = kept.iter().map(|&i| self.ritz.vectors[i].clone()).collect();
        self.basis.recombine(self.deflated, &rows);
        self.projected = kept
            .iter()
            .enumerate()
            .map(|(index, &i)| {
                let mut row = vec![0.0; kept.len()];
                row[index] = self.ritz.values[i];
                row
            })
            .collect();
        self.restarts += 1;
        rows.iter().map(|row| self.beta * row[order - 1]).collect()
    }

    /// Appends a random direction orthogonal to all rows.
    fn push_random_direction(&mut self) -> Result<(), Error> {
        const MAX_TRIALS: usize = 8;
        let mut w = vec![S::default(); self.options.dim];
        for _ in 0..MAX_TRIALS {
            Gaussian::new(self.options.seed, self.streams).fill(0, &mut w);
            self.streams += 1;
            let before = norm(&w);
            self.basis.orthogonalise(&mut w);
            let after = norm(&w);
            if after > BREAKDOWN * S::EPSILON * before {
                let unit: Vec<S> = w.iter().map(|x| S::narrow(x.widen() / after)).collect();
                w = unit;
                // In few dimensions the remainder is short, and its relative rounding error large.
                self.basis.orthogonalise(&mut w);
                return self.basis.push(&w, 1.0 / norm(&w));
            }
        }
        Err(Error::Invalid(format!(
            "found no direction orthogonal to {} rows; pass orthonormal rows to deflate",
            self.basis.len()
        )))
    }

    fn update_status(&mut self, exhausted: bool) {
        let pairs = self.pairs();
        let converged = self.values().len() == pairs && self.converged() == pairs;
        self.converged_products = if converged { self.converged_products + 1 } else { 0 };
        let required = 1 + self.options.count / PAIRS_PER_EXTRA_PRODUCT;
        self.status = if exhausted {
            Status::Exhausted
        } else if self.converged_products > required {
            Status::Converged
        } else if self.products >= self.options.max_products {
            Status::MaxProducts
        } else {
            Status::Running
        };
    }
}

impl<S: Scalar> Solver for Lanczos<S> {
    type Scalar = S;
    type Problem<'a> = dyn LinearOperator<S> + 'a;

    fn dim(&self) -> usize {
        self.options.dim
    }

    fn status(&self) -> Status {
        self.status
    }

    /// One product, after which nothing fails.
    fn step(&mut self, operator: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let mut w = vec![S::default(); self.options.dim];
        let w = w.as_mut_slice();
        let mut operator = CountedOperator::new(operator, cancel, self.products);
        operator.apply(self.basis.row(self.basis.len() - 1), w)?;
        self.products = operator.count();
        let full = self.projected.len() == self.options.basis;
        let coupling = if full { self.restart() } else { self.coupling() };
        let size = norm(w);
        let coefficients = self.basis.orthogonalise(w);
        self.beta = norm(w);
        self.extend(coupling, coefficients[coefficients.len() - 1]);
        self.ritz = eigh(&self.projected);
        let exhausted = self.projected.len() == self.space();
        if exhausted {
            self.beta = 0.0;
        } else if self.beta <= BREAKDOWN * S::EPSILON * size.max(self.norm()) {
            self.beta = 0.0;
            self.push_random_direction()?;
        } else {
            self.basis.push(w, 1.0 / self.beta)?;
        }
        self.update_status(exhausted);
        Ok(())
    }
}

impl<S: Scalar> Resumable for Lanczos<S> {
    fn record(&self) -> String {
        let options = self.options;
        let record = Record {
            dim: options.dim,
            count: options.count,
            which: options.which,
            tolerance: options.tolerance.to_bits(),
            relative_to: options.relative_to,
            basis: options.basis,
            max_products: options.max_products,
            seed: options.seed,
            order: self.projected.len(),
            deflated: self.deflated,
            beta: self.beta.to_bits(),
            products: self.products,
            restarts: self.restarts,
            streams: self.streams,
            converged_products: self.converged_products,
            status: self.status,
        };
        to_record(&record)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.options.dim,
            vectors: vec![("basis", self.basis.numbers().to_vec())],
            numbers: vec![("projected", self.projected.concat())],
        }
    }
}
