//! Every diagonal entry, from random signs beside a sketch.

use rayon::prelude::*;

use super::FEWEST;
use super::mean::student_quantile;
use super::precision::Precision;
use super::probes::{signs, sphere, units};
use super::sketch::Sketch;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::spectrum::iteration::Iteration;
use crate::spectrum::products::Products;
use crate::spectrum::status::Status;
use crate::vector::{BLOCK, inner_product, norm};

/// diag(A) = 2 Σⱼ qⱼ∘Aqⱼ − Σⱼₖ (qⱼᵀAqₖ) qⱼ∘qₖ + E[z ∘ PAPz], with P = 1 − QᵀQ and z of random signs.
///
/// The precision is that of all entries together: the root of the summed squared standard errors is
/// compared with the norm of the diagonal.
///
/// # Reference
/// Bekas, Kokiopoulou, Saad (2007), *An estimator for the diagonal of a matrix*; Baston and
/// Nakatsukasa (2022), *Stochastic diagonal estimation: probabilistic bounds and an improved
/// algorithm*, section 4.
pub struct Diagonal<S> {
    dim: usize,
    precision: Precision,
    block: usize,
    seed: u64,
    sketch: Sketch<S>,
    summed: usize,
    /// The part of the sketch, then all of it where every row was swept.
    exact: Vec<f64>,
    /// Mean of the samples and summed squares of their distances from it.
    mean: Vec<f64>,
    squares: Vec<f64>,
    samples: usize,
    swept: Option<usize>,
    products: usize,
    streams: u64,
    status: Status,
}

impl<S: Scalar> Diagonal<S> {
    /// An estimate, with a sketch of at most `rows` rows and `block` vectors multiplied together.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit.
    pub fn new(
        dim: usize,
        precision: Precision,
        rows: usize,
        block: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        require!(
            dim > 0 && block > 0,
            "got {dim} rows and blocks of {block}; pass at least one of each"
        );
        Ok(Self {
            dim,
            precision: precision.checked()?,
            block,
            seed,
            sketch: Sketch::new(dim, rows)?,
            summed: 0,
            exact: vec![0.0; dim],
            mean: vec![0.0; dim],
            squares: vec![0.0; dim],
            samples: 0,
            swept: (dim <= FEWEST).then_some(0),
            products: 0,
            streams: 0,
            status: Status::Running,
        })
    }

    /// Images of random vectors beside the sketch, which tell its worth and make it grow: the
    /// variance of all entries is at most ‖PAP‖² in Frobenius' norm.
    fn look(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let (dim, block) = (self.dim, self.block);
        let mut vectors = vec![S::default(); block * dim];
        for (row, stream) in vectors.chunks_mut(dim).zip(self.streams..) {
            sphere(self.seed, stream, &self.sketch.basis, row);
        }
        let mut images = vec![S::default(); block * dim];
        products.apply(&vectors, &mut images)?;
        self.streams += block as u64;
        let mut spread = 0.0;
        let mut entries = self.exact.clone();
        for (vector, image) in vectors.chunks(dim).zip(images.chunks_mut(dim)) {
            self.sketch.basis.orthogonalise(image);
            spread += inner_product(image, image) / block as f64;
            for ((sum, x), y) in entries.iter_mut().zip(vector).zip(&*image) {
                *sum += x.widen() * y.widen() / block as f64;
            }
        }
        let needed = self.precision.samples(norm(&entries), spread);
        self.sketch.judge(products.count(), needed, 1, block, self.precision.max_products);
        if self.sketch.growing {
            self.sketch.extend(&mut images, dim)?;
        }
        Ok(())
    }

    /// The part of the rows that are new in the sketch.
    fn sum(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let (dim, first) = (self.dim, self.summed);
        let basis = &self.sketch.basis;
        let new = &basis.numbers()[first * dim..];
        let mut images = vec![S::default(); new.len()];
        products.apply(new, &mut images)?;
        for (place, image) in images.chunks(dim).enumerate() {
            let j = first + place;
            // Σₖ (qⱼᵀAqₖ) qₖ over all rows up to this one, twice for those before it.
            let factor = |k: usize| if k == j { 1.0 } else { 2.0 };
            let weights: Vec<f64> =
                (0..=j).map(|k| factor(k) * inner_product(basis.row(k), image)).collect();
            let along = basis.combinations(0, &[weights]);
            let parts = basis.row(j).par_iter().zip(image).zip(&along);
            self.exact.par_iter_mut().zip(parts).with_min_len(BLOCK).for_each(
                |(sum, ((q, y), inside))| *sum += q.widen() * (2.0 * y.widen() - inside.widen()),
            );
        }
        self.summed = basis.len();
        Ok(())
    }

    fn probe(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let (dim, most) = (self.dim, self.precision.max_products);
        let count = self.block.min(most.saturating_sub(self.products)).max(1);
        let mut vectors = vec![S::default(); count * dim];
        for (row, stream) in vectors.chunks_mut(dim).zip(self.streams..) {
            signs(self.seed, stream, row);
        }
        let mut beside = vectors.clone();
        for row in beside.chunks_mut(dim) {
            self.sketch.basis.orthogonalise(row);
        }
        let mut images = vec![S::default(); count * dim];
        products.apply(&beside, &mut images)?;
        self.streams += count as u64;
        for (vector, image) in vectors.chunks(dim).zip(images.chunks_mut(dim)) {
            self.sketch.basis.orthogonalise(image);
            self.add(vector, image);
        }
        let left = most.saturating_sub(products.count());
        if self.samples >= FEWEST {
            let variance = self.squares.iter().sum::<f64>() / (self.samples - 1) as f64;
            let missing = self.precision.samples(self.size(), variance) - self.samples as f64;
            if missing <= 0.0 {
                self.status = Status::Converged;
                return Ok(());
            }
            if missing >= dim as f64 && dim <= left {
                self.swept = Some(0);
                return Ok(());
            }
        }
        if left == 0 {
            self.status = Status::MaxProducts;
        }
        Ok(())
    }

    /// One sample more: z ∘ PAPz (Welford's update).
    fn add(&mut self, vector: &[S], image: &[S]) {
        self.samples += 1;
        let n = self.samples as f64;
        let sample = vector.par_iter().zip(image);
        self.mean.par_iter_mut().zip(&mut self.squares).zip(sample).with_min_len(BLOCK).for_each(
            |((mean, squares), (z, y))| {
                let value = z.widen() * y.widen();
                let off = value - *mean;
                *mean += off / n;
                *squares += off * (value - *mean);
            },
        );
    }

    /// The next rows of A, of which the diagonal entries are taken.
    fn sweep(&mut self, products: &mut Products<'_, S>, first: usize) -> Result<(), Error> {
        let (dim, most) = (self.dim, self.precision.max_products);
        let count = self.block.min(dim - first).min(most.saturating_sub(self.products));
        if count == 0 {
            self.status = Status::MaxProducts;
            return Ok(());
        }
        let mut images = vec![S::default(); count * dim];
        products.apply(&units(dim, first, count), &mut images)?;
        for (row, place) in images.chunks(dim).zip(first..) {
            self.exact[place] = row[place].widen();
            (self.mean[place], self.squares[place]) = (0.0, 0.0);
        }
        self.swept = Some(first + count);
        if first + count == dim {
            self.status = Status::Exhausted;
        }
        Ok(())
    }

    /// The estimates by now.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.exact.iter().zip(&self.mean).map(|(exact, mean)| exact + mean).collect()
    }

    /// Their standard errors, with what rounding adds.
    #[must_use]
    pub fn standard_errors(&self) -> Vec<f64> {
        let n = self.samples as f64;
        let error = |(squares, value): (&f64, f64)| {
            let drawn = if self.status == Status::Exhausted {
                0.0
            } else if self.samples < 2 {
                f64::INFINITY
            } else {
                (squares / (n - 1.0) / n).sqrt()
            };
            drawn.hypot(S::EPSILON * value.abs())
        };
        self.squares.iter().zip(self.values()).map(error).collect()
    }

    /// The norm of the diagonal.
    #[must_use]
    pub fn size(&self) -> f64 {
        norm(&self.values())
    }

    /// The root of the summed squared standard errors.
    #[must_use]
    pub fn error(&self) -> f64 {
        norm(&self.standard_errors())
    }

    /// Standard errors on each side of an interval.
    #[must_use]
    pub fn quantile(&self) -> f64 {
        student_quantile(self.precision.level, self.samples.saturating_sub(1).max(1) as f64)
    }

    /// How many independent samples the estimate has.
    #[must_use]
    pub fn probes(&self) -> usize {
        self.samples
    }

    /// The number of rows of the sketch.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.sketch.basis.len()
    }
}

impl<S: Scalar> Iteration<S> for Diagonal<S> {
    fn dim(&self) -> usize {
        self.dim
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
