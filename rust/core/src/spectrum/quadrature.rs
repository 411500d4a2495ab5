//! Nodes and weights of what a vector sees of a spectrum: Gauss quadrature by Lanczos.

use super::krylov::Krylov;
use super::products::Products;
use super::symmetric::eigen;
use crate::error::Error;
use crate::scalar::Scalar;

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

impl Quadrature {
    /// That of the start of a Krylov space.
    fn of<S: Scalar>(space: &Krylov<S>) -> Self {
        let pairs = eigen(&space.matrix());
        let weights = pairs.vectors.iter().map(|s| s[0] * s[0]).collect();
        Self { nodes: pairs.values, weights }
    }
}

/// Lanczos on several vectors in step, so that their products are made together.
pub struct Quadratures<S> {
    runs: Vec<Krylov<S>>,
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
        let runs = starts.chunks(dim).map(|start| Krylov::new(start, limit));
        Ok(Self { runs: runs.collect::<Result<_, _>>()?, steps: 0, limit, images: Vec::new() })
    }

    /// One product of every vector whose Krylov space is not spanned yet; false where none is left or
    /// all steps are made.
    ///
    /// # Errors
    /// Those of the operator; nothing has changed then.
    pub fn step(&mut self, products: &mut Products<'_, S>) -> Result<bool, Error> {
        let mut live: Vec<_> = self.runs.iter_mut().filter(|run| !run.finished()).collect();
        if live.is_empty() || self.steps == self.limit {
            return Ok(false);
        }
        let block: Vec<S> = live.iter().flat_map(|run| run.last().to_vec()).collect();
        let mut images = vec![S::default(); block.len()];
        products.apply(&block, &mut images)?;
        self.steps += 1;
        if self.steps == 1 {
            self.images.clone_from(&images);
        }
        for (run, image) in live.iter_mut().zip(images.chunks_mut(products.dim())) {
            run.take(image)?;
        }
        let finished = live.iter().all(|run| run.finished());
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
        self.runs.iter().all(Krylov::invariant)
    }

    /// A times the normalised start vectors, row-major; after the first step.
    #[must_use]
    pub fn into_images(self) -> Vec<S> {
        self.images
    }

    /// The quadratures by now, one a start vector.
    #[must_use]
    pub fn found(&self) -> Vec<Quadrature> {
        self.runs.iter().map(Quadrature::of).collect()
    }
}
