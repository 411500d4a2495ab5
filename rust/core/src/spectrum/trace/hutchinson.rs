//! Traces of quadratic forms: Hutchinson's estimator, and Hutch++ with a sketch.

use serde::{Deserialize, Serialize};

use super::mean::Mean;
use super::precision::Precision;
use super::probes::{fill_sphere, unit_vectors};
use super::quadratic_forms::{FormValues, QuadraticForm};
use super::sketched_estimator::{Pilot, Quantity, SketchedEstimator, SketchedOptions, Streams};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, RecordReader, Resumable, Solver, Status, to_record};
use crate::spectrum::basis::Basis;
use crate::spectrum::counted_operator::CountedOperator;

/// Options of a trace estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOptions {
    /// The number of rows of the operator.
    pub dim: usize,
    /// The quadratic forms whose traces are estimated.
    pub form: QuadraticForm,
    /// The first of the form's columns whose precision counts.
    pub target: usize,
    /// The stopping criterion.
    pub precision: Precision,
    /// The maximum number of rows of the sketch; 0 is Hutchinson's estimator.
    pub rows: usize,
    /// The number of vectors multiplied together.
    pub block: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

/// tr f(A) = Σⱼ qⱼᵀ f(A) qⱼ + E[gᵀ f(A) g], with the rows q of a sketch and g random and orthogonal to
/// them.
///
/// # Reference
/// Hutchinson (1990), *A stochastic estimator of the trace of the influence matrix for Laplacian
/// smoothing splines*; Meyer, Musco, Musco, Woodruff (2021), *Hutch++: optimal stochastic trace
/// estimation*, algorithm 1.
pub type Trace<S> = SketchedEstimator<S, Traces>;

/// The traces of some quadratic forms, one a column.
pub struct Traces {
    form: QuadraticForm,
    target: usize,
    /// Σ qⱼᵀ f(A) qⱼ over the sketch, and the sum of the terms' absolute values, by columns.
    sketch_sums: Vec<[f64; 2]>,
    /// gᵀ f(A) g, one row a vector.
    samples: Vec<Vec<f64>>,
    /// The same sums over unit vectors.
    sweep_sums: Vec<[f64; 2]>,
}

impl Traces {
    /// The number of samples like these that the required precision takes, in the column that needs
    /// most.
    fn required_samples_like(&self, samples: &[Vec<f64>], precision: &Precision) -> f64 {
        let required = |column: usize| {
            let n = samples.len() as f64;
            let mean = samples.iter().map(|row| row[column]).sum::<f64>() / n;
            let squares = samples.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>();
            let estimate = self.sketch_sums[column][0] + mean;
            precision.required_samples(estimate, squares / (n - 1.0))
        };
        (self.target..self.form.columns()).map(required).fold(0.0, f64::max)
    }

    /// The forms of random vectors orthogonal to the sketch.
    fn evaluate_random<S: Scalar>(
        &self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
    ) -> Result<FormValues<S>, Error> {
        let dim = operator.dim();
        let mut block = vec![S::default(); streams.count * dim];
        for (row, stream) in block.chunks_mut(dim).zip(streams.first..) {
            fill_sphere(streams.seed, stream, sketch, row);
        }
        self.form.evaluate(operator, &block)
    }
}

impl<S: Scalar> Quantity<S> for Traces {
    /// A variance takes two samples.
    const MIN_PILOT: usize = 2;

    fn cost(&self) -> usize {
        self.form.cost()
    }

    fn run_pilot(
        &self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
        precision: &Precision,
    ) -> Result<Pilot<S>, Error> {
        let forms = self.evaluate_random(operator, sketch, streams)?;
        let samples = self.required_samples_like(&forms.values, precision);
        Ok(Pilot { samples, images: forms.images })
    }

    fn add_sketch_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        first: usize,
    ) -> Result<(), Error> {
        let rows = &sketch.numbers()[first * operator.dim()..];
        add_values(&mut self.sketch_sums, &self.form.evaluate(operator, rows)?.values);
        Ok(())
    }

    fn add_samples(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
    ) -> Result<(), Error> {
        let forms = self.evaluate_random(operator, sketch, streams)?;
        self.samples.extend(forms.values);
        Ok(())
    }

    fn samples(&self) -> usize {
        self.samples.len()
    }

    fn required_samples(&self, precision: &Precision) -> f64 {
        self.required_samples_like(&self.samples, precision)
    }

    /// The first block is complete even where fewer products remain: it is what a small matrix starts
    /// with.
    fn sweep_block(&self, first: usize, block: usize, affordable: usize) -> usize {
        if first > 0 && affordable == 0 { 0 } else { block }
    }

    fn add_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        first: usize,
        count: usize,
    ) -> Result<(), Error> {
        let rows = unit_vectors::<S>(operator.dim(), first, count);
        add_values(&mut self.sweep_sums, &self.form.evaluate(operator, &rows)?.values);
        Ok(())
    }
}

/// The state besides the arrays, as it is saved.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(rename = "summed")]
    included_rows: usize,
    stale: usize,
    growing: bool,
    swept: Option<usize>,
    products: usize,
    cost: usize,
    streams: u64,
    status: Status,
}

const READER: RecordReader = RecordReader("a trace estimate");

impl Record {
    /// # Errors
    /// [`Error::Invalid`] unless the state is one that an estimate with these options can be in.
    fn validate(&self, options: &TraceOptions) -> Result<(), Error> {
        use Status::{Converged, Exhausted, MaxProducts, Running};
        READER.require_status(self.status, &[Running, Converged, Exhausted, MaxProducts])?;
        READER.require_counts(&[
            ("stale", self.stale as u64),
            ("products", self.products as u64),
            ("streams", self.streams),
        ])?;
        READER.require("cost", (1..=options.form.cost()).contains(&self.cost))?;
        let swept = self.swept.unwrap_or(0);
        let complete = self.swept == Some(options.dim);
        let ends = complete == (self.status == Exhausted);
        READER.require("swept rows", swept <= options.dim && ends)
    }
}

impl<S: Scalar> Trace<S> {
    /// An estimate without samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range.
    pub fn new(options: TraceOptions) -> Result<Self, Error> {
        let TraceOptions { dim, form, target, precision, rows, block, seed } = options;
        let form = form.validate()?;
        let columns = form.columns();
        form.require_memory::<S>(dim, block)?;
        require!(
            dim > 0 && block > 0 && target < columns,
            "got {dim} rows, blocks of {block} and the target {target} of {columns} forms; pass \
             one of each"
        );
        let traces = Traces {
            form,
            target,
            sketch_sums: vec![[0.0; 2]; columns],
            samples: Vec::new(),
            sweep_sums: vec![[0.0; 2]; columns],
        };
        Self::start(traces, SketchedOptions { dim, precision, rows, block, seed })
    }

    /// The estimate of a checkpoint with the arrays `sketch`, `samples` and `sums`; the options are those
    /// that it was created with.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of such an estimate.
    pub fn resume(options: TraceOptions, mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let record: Record = checkpoint.parse_record("a trace estimate")?;
        let sketch = checkpoint.take_vectors("sketch")?;
        let samples = checkpoint.take_numbers("samples")?;
        let sums = checkpoint.take_numbers("sums")?;
        let mut trace = Self::new(options)?;
        let columns = trace.quantity.sketch_sums.len();
        record.validate(&options)?;
        require!(
            sums.len() == 4 * columns + 1
                && samples.len().is_multiple_of(columns)
                && sketch.len().is_multiple_of(options.dim)
                && record.included_rows <= sketch.len() / options.dim,
            "got {} sums, {} samples and {} numbers of a sketch for {columns} forms; pass the \
             arrays of the same `state`",
            sums.len(),
            samples.len(),
            sketch.len()
        );
        let (lowest, finite) = (sums[4 * columns], &sums[..4 * columns]);
        READER.require("lowest cost", lowest >= 0.0)?;
        READER.require_entries("sums", finite)?;
        READER.require_entries("samples", &samples)?;
        READER.require_entries("sketch", &sketch)?;
        let enough = record.status != Status::Converged || samples.len() / columns > 1;
        READER.require("samples", enough)?;
        for row in sketch.chunks_exact(options.dim) {
            trace.sketch.basis.push(row, 1.0)?;
        }
        let (pairs, lowest_cost) = sums.as_chunks::<2>();
        trace.quantity.sketch_sums = pairs[..columns].to_vec();
        trace.quantity.sweep_sums = pairs[columns..].to_vec();
        trace.quantity.samples = samples.chunks(columns).map(<[f64]>::to_vec).collect();
        trace.sketch.lowest_cost = lowest_cost[0];
        trace.sketch.stale = record.stale;
        trace.sketch.growing = record.growing;
        trace.included_rows = record.included_rows;
        trace.swept = record.swept;
        trace.products = record.products;
        trace.cost = record.cost;
        trace.streams = record.streams;
        trace.status = record.status;
        Ok(trace)
    }

    /// The current estimate of each form's trace.
    #[must_use]
    pub fn means(&self) -> Vec<Mean> {
        let Traces { sketch_sums, sweep_sums, samples, .. } = &self.quantity;
        let mean = |column: usize| {
            if self.status == Status::Exhausted {
                let [sum, size] = sweep_sums[column];
                return Mean::exact(sum, S::EPSILON * size);
            }
            let samples: Vec<f64> = samples.iter().map(|row| row[column]).collect();
            let [sum, size] = sketch_sums[column];
            let mean = Mean::from_samples(&samples, self.options.precision.level);
            mean.shift(sum, S::EPSILON * (size + mean.value.abs()))
        };
        (0..sketch_sums.len()).map(mean).collect()
    }

    /// The estimate of the target column.
    #[must_use]
    pub fn target_mean(&self) -> Mean {
        self.means()[self.quantity.target]
    }
}

impl<S: Scalar> Resumable for Trace<S> {
    fn record(&self) -> String {
        let record = Record {
            included_rows: self.included_rows,
            stale: self.sketch.stale,
            growing: self.sketch.growing,
            swept: self.swept,
            products: self.products,
            cost: self.cost,
            streams: self.streams,
            status: self.status,
        };
        to_record(&record)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        let traces = &self.quantity;
        let sums = traces.sketch_sums.iter().chain(&traces.sweep_sums).flatten().copied();
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![("sketch", self.sketch().to_vec())],
            numbers: vec![
                ("samples", traces.samples.concat()),
                ("sums", sums.chain([self.sketch.lowest_cost]).collect()),
            ],
        }
    }
}

/// Adds the values of forms, and their absolute values, by columns.
fn add_values(sums: &mut [[f64; 2]], values: &[Vec<f64>]) {
    for row in values {
        for ([sum, size], value) in sums.iter_mut().zip(row) {
            *sum += value;
            *size += value.abs();
        }
    }
}
