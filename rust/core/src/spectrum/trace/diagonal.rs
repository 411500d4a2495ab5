//! All diagonal entries, from random signs with a sketch.

use rayon::prelude::*;

use super::mean::student_quantile;
use super::precision::Precision;
use super::probes::{fill_signs, fill_sphere, unit_vectors};
use super::sketched_estimator::{Pilot, Quantity, SketchedEstimator, SketchedOptions, Streams};
use crate::error::Error;
use crate::memory::require_memory;
use crate::scalar::Scalar;
use crate::solver::Status;
use crate::spectrum::basis::Basis;
use crate::spectrum::counted_operator::CountedOperator;
use crate::threads::install;
use crate::vector::{BLOCK, inner_product, norm};

/// diag(A) = 2 Σⱼ qⱼ∘Aqⱼ − Σⱼₖ (qⱼᵀAqₖ) qⱼ∘qₖ + E[z ∘ PAPz], with the rows q of a sketch, P = 1 − QᵀQ
/// and z of random signs.
///
/// The precision is that of all entries together: the root of the summed squared standard errors,
/// relative to the norm of the diagonal.
///
/// # Reference
/// Bekas, Kokiopoulou, Saad (2007), *An estimator for the diagonal of a matrix*; Baston and
/// Nakatsukasa (2022), *Stochastic diagonal estimation: probabilistic bounds and an improved
/// algorithm*, section 4.
pub type Diagonal<S> = SketchedEstimator<S, DiagonalEntries>;

/// The diagonal: the contribution of the sketch, and the mean of samples.
pub struct DiagonalEntries {
    /// The contribution of the sketch; after a sweep, the entries themselves.
    exact: Vec<f64>,
    /// The mean of the samples, and their summed squared deviations from it.
    mean: Vec<f64>,
    squares: Vec<f64>,
    samples: usize,
}

impl DiagonalEntries {
    fn values(&self) -> Vec<f64> {
        self.exact.iter().zip(&self.mean).map(|(exact, mean)| exact + mean).collect()
    }

    /// Adds a sample z ∘ PAPz (Welford's update).
    fn add_sample<S: Scalar>(&mut self, signs: &[S], image: &[S]) {
        self.samples += 1;
        let n = self.samples as f64;
        let update = |((mean, squares), (z, y)): ((&mut f64, &mut f64), (&S, &S))| {
            let value = z.widen() * y.widen();
            let deviation = value - *mean;
            *mean += deviation / n;
            *squares += deviation * (value - *mean);
        };
        install(|| {
            let sample = signs.par_iter().zip(image);
            let sums = self.mean.par_iter_mut().zip(&mut self.squares);
            sums.zip(sample).with_min_len(BLOCK).for_each(update);
        });
    }
}

impl<S: Scalar> Quantity<S> for DiagonalEntries {
    const MIN_PILOT: usize = 1;

    fn cost(&self) -> usize {
        1
    }

    /// The variance of all entries together is at most ‖PAP‖² in the Frobenius norm, which images of
    /// vectors on the sphere estimate.
    fn run_pilot(
        &self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
        precision: &Precision,
    ) -> Result<Pilot<S>, Error> {
        let (dim, block) = (operator.dim(), streams.count);
        let mut vectors = vec![S::default(); block * dim];
        for (row, stream) in vectors.chunks_mut(dim).zip(streams.first..) {
            fill_sphere(streams.seed, stream, sketch, row);
        }
        let mut images = vec![S::default(); block * dim];
        operator.apply(&vectors, &mut images)?;
        let mut variance = 0.0;
        let mut entries = self.exact.clone();
        for (vector, image) in vectors.chunks(dim).zip(images.chunks_mut(dim)) {
            sketch.orthogonalise(image);
            variance += inner_product(image, image) / block as f64;
            for ((sum, x), y) in entries.iter_mut().zip(vector).zip(&*image) {
                *sum += x.widen() * y.widen() / block as f64;
            }
        }
        Ok(Pilot { samples: precision.required_samples(norm(&entries), variance), images })
    }

    fn add_sketch_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        first: usize,
    ) -> Result<(), Error> {
        let dim = operator.dim();
        let rows = &sketch.numbers()[first * dim..];
        let mut images = vec![S::default(); rows.len()];
        operator.apply(rows, &mut images)?;
        for (image, j) in images.chunks(dim).zip(first..) {
            // Σₖ (qⱼᵀAqₖ) qₖ over all rows up to j, twice for those before j.
            let factor = |k: usize| if k == j { 1.0 } else { 2.0 };
            let weights: Vec<f64> =
                (0..=j).map(|k| factor(k) * inner_product(sketch.row(k), image)).collect();
            let projection = sketch.combinations(0, &[weights]);
            let add = |(sum, ((q, y), inside)): (&mut f64, ((&S, &S), &S))| {
                *sum += q.widen() * (2.0 * y.widen() - inside.widen());
            };
            install(|| {
                let terms = sketch.row(j).par_iter().zip(image).zip(&projection);
                self.exact.par_iter_mut().zip(terms).with_min_len(BLOCK).for_each(add);
            });
        }
        Ok(())
    }

    fn add_samples(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        sketch: &Basis<S>,
        streams: Streams,
    ) -> Result<(), Error> {
        let dim = operator.dim();
        let mut signs = vec![S::default(); streams.count * dim];
        for (row, stream) in signs.chunks_mut(dim).zip(streams.first..) {
            fill_signs(streams.seed, stream, row);
        }
        let mut projected = signs.clone();
        for row in projected.chunks_mut(dim) {
            sketch.orthogonalise(row);
        }
        let mut images = vec![S::default(); streams.count * dim];
        operator.apply(&projected, &mut images)?;
        for (signs, image) in signs.chunks(dim).zip(images.chunks_mut(dim)) {
            sketch.orthogonalise(image);
            self.add_sample(signs, image);
        }
        Ok(())
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn required_samples(&self, precision: &Precision) -> f64 {
        let variance = self.squares.iter().sum::<f64>() / (self.samples - 1) as f64;
        precision.required_samples(norm(&self.values()), variance)
    }

    fn sweep_block(&self, _first: usize, block: usize, affordable: usize) -> usize {
        block.min(affordable)
    }

    fn add_rows(
        &mut self,
        operator: &mut CountedOperator<'_, S>,
        first: usize,
        count: usize,
    ) -> Result<(), Error> {
        let dim = operator.dim();
        let mut images = vec![S::default(); count * dim];
        operator.apply(&unit_vectors(dim, first, count), &mut images)?;
        for (row, i) in images.chunks(dim).zip(first..) {
            self.exact[i] = row[i].widen();
            (self.mean[i], self.squares[i]) = (0.0, 0.0);
        }
        Ok(())
    }
}

impl<S: Scalar> Diagonal<S> {
    /// An estimate with a sketch of at most `rows` rows and `block` vectors multiplied together.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range.
    pub fn new(
        dim: usize,
        precision: Precision,
        rows: usize,
        block: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        require_memory::<f64>(&format!("a diagonal of {dim} entries"), &[6, dim])?;
        let zeros = || vec![0.0; dim];
        let entries =
            DiagonalEntries { exact: zeros(), mean: zeros(), squares: zeros(), samples: 0 };
        Self::start(entries, SketchedOptions { dim, precision, rows, block, seed })
    }

    /// The current estimates.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.quantity.values()
    }

    /// Their standard errors, rounding included.
    #[must_use]
    pub fn standard_errors(&self) -> Vec<f64> {
        let samples = self.quantity.samples;
        let n = samples as f64;
        let error = |(squares, value): (&f64, f64)| {
            let sampling = if self.status == Status::Exhausted {
                0.0
            } else if samples < 2 {
                f64::INFINITY
            } else {
                (squares / (n - 1.0) / n).sqrt()
            };
            sampling.hypot(S::EPSILON * value.abs())
        };
        self.quantity.squares.iter().zip(self.values()).map(error).collect()
    }

    /// The norm of the diagonal.
    #[must_use]
    pub fn norm(&self) -> f64 {
        norm(&self.values())
    }

    /// The root of the summed squared standard errors.
    #[must_use]
    pub fn error(&self) -> f64 {
        norm(&self.standard_errors())
    }

    /// Student's quantile: half the width of an interval, in standard errors.
    #[must_use]
    pub fn quantile(&self) -> f64 {
        let freedom = self.quantity.samples.saturating_sub(1).max(1) as f64;
        student_quantile(self.options.precision.level, freedom)
    }
}
