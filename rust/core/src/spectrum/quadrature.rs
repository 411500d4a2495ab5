//! Nodes and weights of what a vector sees of a spectrum: Gauss quadrature by Lanczos.

use super::basis::Basis;
use super::products::Products;
use super::symmetric::eigen;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::vector::norm;

/// What is left of a vector below so many units of rounding is no direction.
const NOTHING: f64 = 8.0;

/// vᵀ f(A) v / vᵀv ≈ Σᵢ wᵢ f(θᵢ), exact for polynomials f of degree below twice the steps.
///
/// # Reference
/// Golub and Meurant (2010), *Matrices, Moments and Quadrature with Applications*, chapters 3 and 6.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quadrature {
    /// The Ritz values θ, ascending.
    pub nodes: Vec<f64>,
    /// The squared first components of their eigenvectors; they sum to 1.
    pub weights: Vec<f64>,
}

/// Lanczos on one vector, with full reorthogonalisation.
struct Run<S> {
    basis: Basis<S>,
    diagonal: Vec<f64>,
    below: Vec<f64>,
    /// The Krylov space of the vector is spanned.
    finished: bool,
}

impl<S: Scalar> Run<S> {
    fn new(start: &[S], steps: usize) -> Result<Self, Error> {
        let mut basis = Basis::new(start.len(), steps, None)?;
        basis.push(start, 1.0 / norm(start))?;
        Ok(Self { basis, diagonal: Vec::new(), below: Vec::new(), finished: false })
    }

    /// Takes the product of the last row.
    fn take(&mut self, image: &mut [S], more: bool) -> Result<(), Error> {
        let size = norm(image);
        let taken = self.basis.orthogonalise(image);
        self.diagonal.extend(taken.last());
        let beta = norm(image);
        let whole = self.basis.len() == image.len();
        self.finished = whole || beta <= NOTHING * S::EPSILON * size;
        if more && !self.finished {
            self.below.push(beta);
            self.basis.push(image, 1.0 / beta)?;
        }
        Ok(())
    }

    fn quadrature(&self) -> Quadrature {
        let order = self.diagonal.len();
        let mut matrix = vec![vec![0.0; order]; order];
        for (i, value) in self.diagonal.iter().enumerate() {
            matrix[i][i] = *value;
            if i + 1 < order {
                (matrix[i][i + 1], matrix[i + 1][i]) = (self.below[i], self.below[i]);
            }
        }
        let pairs = eigen(&matrix);
        let weights = pairs.vectors.iter().map(|s| s[0] * s[0]).collect();
        Quadrature { nodes: pairs.values, weights }
    }
}

/// Lanczos on several vectors in step, so that their products are made together.
pub struct Quadratures<S> {
    runs: Vec<Run<S>>,
    /// Steps that were made, and that may be.
    steps: usize,
    limit: usize,
    images: Vec<S>,
}

impl<S: Scalar> Quadratures<S> {
    /// Runs of at most so many steps from the rows of `starts`, row-major (k, dim).
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are no steps or no entries.
    pub fn new(starts: &[S], dim: usize, steps: usize) -> Result<Self, Error> {
        let limit = steps.min(dim);
        let runs = starts.chunks(dim).map(|start| Run::new(start, limit));
        Ok(Self { runs: runs.collect::<Result<_, _>>()?, steps: 0, limit, images: Vec::new() })
    }

    /// One product of every vector whose Krylov space is not spanned yet; false where none is left or
    /// all steps are made.
    ///
    /// # Errors
    /// Those of the operator; nothing has changed then.
    pub fn step(&mut self, products: &mut Products<'_, S>) -> Result<bool, Error> {
        let mut live: Vec<&mut Run<S>> = self.runs.iter_mut().filter(|run| !run.finished).collect();
        if live.is_empty() || self.steps == self.limit {
            return Ok(false);
        }
        let last = |run: &Run<S>| run.basis.row(run.basis.len() - 1).to_vec();
        let block: Vec<S> = live.iter().flat_map(|run| last(run)).collect();
        let mut images = vec![S::default(); block.len()];
        products.apply(&block, &mut images)?;
        self.steps += 1;
        if self.steps == 1 {
            self.images.clone_from(&images);
        }
        for (run, image) in live.iter_mut().zip(images.chunks_mut(products.dim())) {
            run.take(image, self.steps < self.limit)?;
        }
        let finished = live.iter().all(|run| run.finished);
        Ok(!finished && self.steps < self.limit)
    }

    /// How many steps were made.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the quadratures are exact for every function.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.runs.iter().all(|run| run.finished)
    }

    /// A times the normalised start vectors, row-major; after the first step.
    #[must_use]
    pub fn into_images(self) -> Vec<S> {
        self.images
    }

    /// The quadratures by now, one a start vector.
    #[must_use]
    pub fn found(&self) -> Vec<Quadrature> {
        self.runs.iter().map(Run::quadrature).collect()
    }
}
