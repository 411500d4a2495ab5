//! Traces of forms from random vectors: Hutchinson's estimate, and Hutch++ with a sketch in front.

mod state;

use super::FEWEST;
use super::forms::{Form, Forms};
use super::mean::Mean;
use super::precision::Precision;
use super::probes::{sphere, units};
use super::sketch::Sketch;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::spectrum::iteration::Iteration;
use crate::spectrum::products::Products;
use crate::spectrum::status::Status;

pub use state::TraceArrays;

/// What an estimate is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOptions {
    /// The number of rows of the operator.
    pub dim: usize,
    /// What is summed over an orthonormal basis.
    pub form: Form,
    /// The first of the form's columns whose precision counts.
    pub target: usize,
    /// When the estimate is good enough.
    pub precision: Precision,
    /// Rows that the sketch may have; none is Hutchinson's estimate.
    pub rows: usize,
    /// Vectors that are multiplied together.
    pub block: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

/// tr f(A) = Σⱼ qⱼᵀ f(A) qⱼ + E[gᵀ f(A) g], with the rows q of a sketch and g random beside them.
///
/// The sketch grows while that is predicted to save products; it and the samples of g are
/// independent, so that the estimate is unbiased and its interval that of a mean. Where more samples
/// would be needed than the matrix has rows, all rows are summed instead.
///
/// # Reference
/// Hutchinson (1990), *A stochastic estimator of the trace of the influence matrix for Laplacian
/// smoothing splines*; Meyer, Musco, Musco, Woodruff (2021), *Hutch++: optimal stochastic trace
/// estimation*, algorithm 1.
pub struct Trace<S> {
    options: TraceOptions,
    sketch: Sketch<S>,
    /// Rows of the sketch whose forms are in `exact`.
    summed: usize,
    /// Σ qⱼᵀ f(A) qⱼ, a column, and the sum of its terms' sizes.
    exact: Vec<[f64; 2]>,
    /// gᵀ f(A) g: a row a vector.
    samples: Vec<Vec<f64>>,
    /// Unit vectors that were summed, where all are, and their sums as in `exact`.
    swept: Option<usize>,
    sweep: Vec<[f64; 2]>,
    products: usize,
    /// Products of one vector: of quadratures, as many as the last ones took.
    cost: usize,
    streams: u64,
    status: Status,
}

impl<S: Scalar> Trace<S> {
    /// An estimate.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit.
    pub fn new(mut options: TraceOptions) -> Result<Self, Error> {
        options.form = options.form.checked()?;
        options.precision = options.precision.checked()?;
        let columns = options.form.columns();
        require!(
            options.dim > 0 && options.block > 0 && options.target < columns,
            "got {} rows, blocks of {} and the target {} of {columns} forms; pass one of each",
            options.dim,
            options.block,
            options.target
        );
        Ok(Self {
            options,
            sketch: Sketch::new(options.dim, options.rows)?,
            summed: 0,
            exact: vec![[0.0; 2]; columns],
            samples: Vec::new(),
            swept: (options.dim <= FEWEST).then_some(0),
            sweep: vec![[0.0; 2]; columns],
            products: 0,
            cost: options.form.cost(),
            streams: 0,
            status: Status::Running,
        })
    }

    /// So many random vectors beside the sketch, and their forms.
    fn forms(&mut self, products: &mut Products<'_, S>, count: usize) -> Result<Forms<S>, Error> {
        let dim = self.options.dim;
        let mut block = vec![S::default(); count * dim];
        for (row, stream) in block.chunks_mut(dim).zip(self.streams..) {
            sphere(self.options.seed, stream, &self.sketch.basis, row);
        }
        let before = products.count();
        let found = self.options.form.of(products, &block)?;
        self.cost = (products.count() - before).div_ceil(count);
        Ok(found)
    }

    /// A block of samples that tell how many the sketch would need as it is; where it is to grow,
    /// their images do it. They are not used again: the sketch depends on them.
    fn look(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let block = self.options.block.max(2);
        let mut found = self.forms(products, block)?;
        self.streams += block as u64;
        let (needed, cost) = (self.needed(&found.values), self.cost);
        let most = self.options.precision.max_products;
        self.sketch.judge(products.count(), needed, cost, block, most);
        if self.sketch.growing {
            self.sketch.extend(&mut found.images, self.options.dim)?;
        }
        Ok(())
    }

    /// The forms of the rows that are new in the sketch.
    fn sum(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let dim = self.options.dim;
        let rows = &self.sketch.basis.numbers()[self.summed * dim..];
        let found = self.options.form.of(products, rows)?;
        add(&mut self.exact, &found.values);
        self.summed = self.sketch.basis.len();
        Ok(())
    }

    fn probe(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let precision = self.options.precision;
        let affordable = precision.max_products.saturating_sub(self.products) / self.cost;
        let count = self.options.block.min(affordable).max(1);
        let found = self.forms(products, count)?;
        self.streams += count as u64;
        self.samples.extend(found.values);
        if self.samples.len() >= FEWEST {
            let missing = self.needed(&self.samples) - self.samples.len() as f64;
            let left = precision.max_products.saturating_sub(products.count());
            if missing <= 0.0 {
                self.status = Status::Converged;
                return Ok(());
            }
            if missing >= self.options.dim as f64 && self.options.dim * self.cost <= left {
                self.swept = Some(0);
                return Ok(());
            }
        }
        if products.count() + self.cost > precision.max_products {
            self.status = Status::MaxProducts;
        }
        Ok(())
    }

    /// The forms of the next unit vectors.
    fn sweep(&mut self, products: &mut Products<'_, S>, first: usize) -> Result<(), Error> {
        let (dim, form) = (self.options.dim, self.options.form);
        let most = self.options.precision.max_products;
        if self.products + self.cost > most && first > 0 {
            self.status = Status::MaxProducts;
            return Ok(());
        }
        let count = self.options.block.min(dim - first);
        let found = form.of(products, &units(dim, first, count))?;
        add(&mut self.sweep, &found.values);
        self.swept = Some(first + count);
        if first + count == dim {
            self.status = Status::Exhausted;
        }
        Ok(())
    }

    /// How many samples like these make the estimate good enough, in the column that needs most.
    fn needed(&self, samples: &[Vec<f64>]) -> f64 {
        let columns = self.options.target..self.options.form.columns();
        let of = |column: usize| {
            let n = samples.len() as f64;
            let mean = samples.iter().map(|row| row[column]).sum::<f64>() / n;
            let squares = samples.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>();
            let estimate = self.exact[column][0] + mean;
            self.options.precision.samples(estimate, squares / (n - 1.0))
        };
        columns.map(of).fold(0.0, f64::max)
    }

    /// What is known of each form's trace by now.
    #[must_use]
    pub fn means(&self) -> Vec<Mean> {
        let of = |column: usize| {
            if self.status == Status::Exhausted {
                let [sum, size] = self.sweep[column];
                return Mean::exact(sum, S::EPSILON * size);
            }
            let samples: Vec<f64> = self.samples.iter().map(|row| row[column]).collect();
            let [sum, size] = self.exact[column];
            let found = Mean::of(&samples, self.options.precision.level);
            found.shifted(sum, S::EPSILON * (size + found.value.abs()))
        };
        (0..self.exact.len()).map(of).collect()
    }

    /// What was asked for.
    #[must_use]
    pub fn options(&self) -> &TraceOptions {
        &self.options
    }

    /// How many independent samples the estimate has.
    #[must_use]
    pub fn probes(&self) -> usize {
        self.samples.len()
    }

    /// The rows of the sketch, orthonormal, row-major.
    #[must_use]
    pub fn sketch(&self) -> &[S] {
        self.sketch.basis.numbers()
    }
}

impl<S: Scalar> Iteration<S> for Trace<S> {
    fn dim(&self) -> usize {
        self.options.dim
    }

    fn products(&self) -> usize {
        self.products
    }

    fn status(&self) -> Status {
        self.status
    }

    fn step(&mut self, operator: &dyn LinearOperator<S>, cancel: &Cancel) -> Result<(), Error> {
        let mut products = Products::new(operator, cancel, self.products);
        if let Some(first) = self.swept {
            self.sweep(&mut products, first)?;
        } else if self.summed < self.sketch.basis.len() {
            self.sum(&mut products)?;
        } else if self.sketch.growing {
            self.look(&mut products)?;
        } else {
            self.probe(&mut products)?;
        }
        self.products = products.count();
        Ok(())
    }
}

/// Adds forms, and their sizes, to sums.
fn add(sums: &mut [[f64; 2]], values: &[Vec<f64>]) {
    for row in values {
        for ([sum, size], value) in sums.iter_mut().zip(row) {
            *sum += value;
            *size += value.abs();
        }
    }
}
