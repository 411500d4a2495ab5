//! Gauss quadrature of the spectral measure of a vector, by the Lanczos method.

use super::counted_operator::CountedOperator;
use super::krylov::KrylovSpace;
use super::symmetric::eigh;
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
    /// The quadrature of a Krylov space's start vector.
    fn from_space<S: Scalar>(space: &KrylovSpace<S>) -> Self {
        let pairs = eigh(&space.matrix());
        let weights = pairs.vectors.iter().map(|s| s[0] * s[0]).collect();
        Self { nodes: pairs.values, weights }
    }
}

/// The Lanczos method on several vectors at once, so that their products are computed in blocks.
pub struct BlockQuadrature<S> {
    spaces: Vec<KrylovSpace<S>>,
    steps: usize,
    max_steps: usize,
    /// The products of the first step.
    images: Vec<S>,
}

impl<S: Scalar> BlockQuadrature<S> {
    /// Krylov spaces of the rows of `starts`, row-major (k, dim), of at most this many steps.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are no steps or no entries.
    pub fn new(starts: &[S], dim: usize, steps: usize) -> Result<Self, Error> {
        let max_steps = steps.min(dim);
        let spaces = starts.chunks(dim).map(|start| KrylovSpace::new(start, max_steps));
        let spaces = spaces.collect::<Result<_, _>>()?;
        Ok(Self { spaces, steps: 0, max_steps, images: Vec::new() })
    }

    /// Extends every Krylov space that is not complete by one product. False where that was the last
    /// step.
    ///
    /// # Errors
    /// Those of the operator, after which nothing has changed.
    pub fn step(&mut self, operator: &mut CountedOperator<'_, S>) -> Result<bool, Error> {
        let mut active: Vec<_> =
            self.spaces.iter_mut().filter(|space| !space.is_complete()).collect();
        if active.is_empty() || self.steps == self.max_steps {
            return Ok(false);
        }
        let block: Vec<S> = active.iter().flat_map(|space| space.last().to_vec()).collect();
        let mut images = vec![S::default(); block.len()];
        operator.apply(&block, &mut images)?;
        self.steps += 1;
        if self.steps == 1 {
            self.images.clone_from(&images);
        }
        for (space, image) in active.iter_mut().zip(images.chunks_mut(operator.dim())) {
            space.push_product(image)?;
        }
        let complete = active.iter().all(|space| space.is_complete());
        Ok(!complete && self.steps < self.max_steps)
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the quadratures are exact for every function: all spaces are invariant.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.spaces.iter().all(KrylovSpace::is_invariant)
    }

    /// The products with the normalised start vectors, row-major; empty before the first step.
    #[must_use]
    pub fn into_images(self) -> Vec<S> {
        self.images
    }

    /// The current quadratures, one a start vector.
    #[must_use]
    pub fn quadratures(&self) -> Vec<Quadrature> {
        self.spaces.iter().map(Quadrature::from_space).collect()
    }
}
