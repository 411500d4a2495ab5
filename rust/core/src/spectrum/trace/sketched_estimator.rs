//! Stochastic estimation of a quantity that is linear in an operator, with a sketch in front.

use super::precision::{MIN_SAMPLES, Precision};
use super::sketch::Sketch;
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::solver::{Solver, Status};
use crate::spectrum::basis::Basis;
use crate::spectrum::counted_operator::CountedOperator;

/// Options that all quantities share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SketchedOptions {
    /// The number of rows of the operator.
    pub dim: usize,
    /// The stopping criterion.
    pub precision: Precision,
    /// The maximum number of rows of the sketch.
    pub rows: usize,
    /// The number of vectors multiplied together.
    pub block: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

/// Consecutive random vectors: a seed, the first stream, and their number.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    pub seed: u64,
    pub first: u64,
    pub count: usize,
}

/// What a pilot block of random vectors predicts.
pub struct Pilot<S> {
    /// The number of samples that the required precision takes with the sketch as it is.
    pub samples: f64,
    /// Images of the vectors, by which the sketch can grow.
    pub images: Vec<S>,
}

/// A quantity that is linear in A: its value on the sketch, estimates of the rest from random vectors,
/// and its value from all rows of A.
pub trait Quantity<S: Scalar> {
    /// The minimum size of a pilot block.
    const MIN_PILOT: usize;

    /// The predicted number of products of one vector.
    fn cost(&self) -> usize;

    /// Evaluates a pilot block of vectors orthogonal to the sketch.
    ///
    /// # Errors
    /// Those of the operator.
    fn run_pilot(
        &self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
        precision: &Precision,
    ) -> Result<Pilot<S>, Error>;

    /// Adds the contribution of the sketch's rows from `first`.
    ///
    /// # Errors
    /// Those of the operator, after which nothing has changed.
    fn add_sketch_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        first: usize,
    ) -> Result<(), Error>;

    /// Adds samples.
    ///
    /// # Errors
    /// Those of the operator, after which nothing has changed.
    fn add_samples(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
    ) -> Result<(), Error>;

    /// The number of samples so far.
    fn samples(&self) -> usize;

    /// The number of samples that the required precision takes, estimated from those so far.
    fn required_samples(&self, precision: &Precision) -> f64;

    /// The number of rows of A in the next block of a sweep, at most `block`, where `affordable` vectors
    /// remain; 0 ends the sweep.
    fn sweep_block(&self, first: usize, block: usize, affordable: usize) -> usize;

    /// Adds the contribution of the rows of A from `first`.
    ///
    /// # Errors
    /// Those of the operator, after which nothing has changed.
    fn add_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        first: usize,
        count: usize,
    ) -> Result<(), Error>;
}

/// The estimate of a quantity: its value on a sketch, plus the mean of independent samples orthogonal
/// to the sketch.
///
/// The sketch grows while that is predicted to save products. It is independent of the samples, so the
/// estimate is unbiased and its interval that of a mean. Where more samples are required than A has
/// rows, all rows are multiplied instead, and the result is exact.
pub struct SketchedEstimator<S, Q> {
    pub(super) quantity: Q,
    pub(super) options: SketchedOptions,
    pub(super) sketch: Sketch<S>,
    /// Rows of the sketch that the quantity includes.
    pub(super) included_rows: usize,
    /// Rows of A that were multiplied, where all are.
    pub(super) swept: Option<usize>,
    pub(super) products: usize,
    /// Products of one vector, as many as the last ones took.
    pub(super) cost: usize,
    /// The number of random vectors drawn.
    pub(super) streams: u64,
    pub(super) status: Status,
}

impl<S: Scalar, Q: Quantity<S>> SketchedEstimator<S, Q> {
    /// An estimate without samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range.
    pub(super) fn start(quantity: Q, mut options: SketchedOptions) -> Result<Self, Error> {
        require!(
            options.dim > 0 && options.block > 0,
            "got {} rows and blocks of {}; pass at least one of each",
            options.dim,
            options.block
        );
        options.precision = options.precision.validate()?;
        let (dim, block) = (options.dim, options.block);
        let what = format!("blocks of {block} vectors of {dim} entries");
        require_memory::<S>(&what, &[block.max(Q::MIN_PILOT), 4, dim])?;
        Ok(Self {
            sketch: Sketch::new(options.dim, options.rows)?,
            included_rows: 0,
            swept: (options.dim <= MIN_SAMPLES).then_some(0),
            products: 0,
            cost: quantity.cost(),
            streams: 0,
            status: Status::Running,
            quantity,
            options,
        })
    }

    /// Operator products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products
    }

    /// The number of independent samples.
    #[must_use]
    pub fn probes(&self) -> usize {
        self.quantity.samples()
    }

    /// The rows of the sketch, orthonormal, row-major.
    #[must_use]
    pub fn sketch(&self) -> &[S] {
        self.sketch.basis.numbers()
    }

    /// The number of rows of the sketch.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.sketch.basis.len()
    }

    /// A block of vectors that predicts the number of samples; where the sketch grows, it takes their
    /// images. They are not used as samples, because the sketch depends on them.
    fn run_pilot(&mut self, operator: &mut CountedOperator<'_, S>) -> Result<(), Error> {
        let count = self.options.block.max(Q::MIN_PILOT);
        let streams = Streams { seed: self.options.seed, first: self.streams, count };
        let (before, precision) = (operator.count(), self.options.precision);
        let basis = &self.sketch.basis;
        let mut pilot = self.quantity.run_pilot(operator, basis, streams, &precision)?;
        self.cost = (operator.count() - before).div_ceil(count);
        self.streams += count as u64;
        let max_products = precision.max_products;
        self.sketch.decide_growth(operator.count(), pilot.samples, self.cost, count, max_products);
        if self.sketch.growing {
            self.sketch.extend(&mut pilot.images, self.options.dim)?;
        }
        Ok(())
    }

    fn add_samples(&mut self, operator: &mut CountedOperator<'_, S>) -> Result<(), Error> {
        let (dim, precision) = (self.options.dim, self.options.precision);
        let affordable = precision.max_products.saturating_sub(self.products) / self.cost;
        let count = self.options.block.min(affordable).max(1);
        let streams = Streams { seed: self.options.seed, first: self.streams, count };
        let before = operator.count();
        self.quantity.add_samples(operator, &self.sketch.basis, streams)?;
        self.cost = (operator.count() - before).div_ceil(count);
        self.streams += count as u64;
        let samples = self.quantity.samples();
        if samples >= MIN_SAMPLES {
            let missing = self.quantity.required_samples(&precision) - samples as f64;
            let left = precision.max_products.saturating_sub(operator.count());
            if missing <= 0.0 {
                self.status = Status::Converged;
                return Ok(());
            }
            if missing >= dim as f64 && dim.saturating_mul(self.cost) <= left {
                self.swept = Some(0);
                return Ok(());
            }
        }
        if operator.count().saturating_add(self.cost) > precision.max_products {
            self.status = Status::MaxProducts;
        }
        Ok(())
    }

    /// Multiplies the next rows of A.
    fn sweep(&mut self, operator: &mut CountedOperator<'_, S>, first: usize) -> Result<(), Error> {
        let left = self.options.precision.max_products.saturating_sub(self.products);
        let block = self.options.block.min(self.options.dim - first);
        let count = self.quantity.sweep_block(first, block, left / self.cost);
        if count == 0 {
            self.status = Status::MaxProducts;
            return Ok(());
        }
        self.quantity.add_rows(operator, first, count)?;
        self.swept = Some(first + count);
        if first + count == self.options.dim {
            self.status = Status::Exhausted;
        }
        Ok(())
    }
}

impl<S: Scalar, Q: Quantity<S>> Solver for SketchedEstimator<S, Q> {
    type Scalar = S;
    type Problem<'a> = dyn LinearOperator<S> + 'a;

    fn dim(&self) -> usize {
        self.options.dim
    }

    fn status(&self) -> Status {
        self.status
    }

    fn step(&mut self, operator: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let mut operator = CountedOperator::new(operator, cancel, self.products);
        if let Some(first) = self.swept {
            self.sweep(&mut operator, first)?;
        } else if self.included_rows < self.sketch.basis.len() {
            let first = self.included_rows;
            self.quantity.add_sketch_rows(&mut operator, &self.sketch.basis, first)?;
            self.included_rows = self.sketch.basis.len();
        } else if self.sketch.growing {
            self.run_pilot(&mut operator)?;
        } else {
            self.add_samples(&mut operator)?;
        }
        self.products = operator.count();
        Ok(())
    }
}
