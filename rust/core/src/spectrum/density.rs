//! Spectral densities by stochastic Lanczos quadrature.

use super::basis::Basis;
use super::counted_operator::CountedOperator;
use super::quadrature::{BlockQuadrature, Quadrature};
use super::trace::fill_sphere;
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::solver::{MAX_COUNT, Solver, Status};

/// Quadratures of independent random vectors, whose mean estimates the density of eigenvalues.
///
/// # Reference
/// Ubaru, Chen, Saad (2017), *Fast estimation of tr(f(A)) via stochastic Lanczos quadrature*;
/// Ghorbani, Krishnan, Xiao (2019), *An investigation into neural net optimization via Hessian
/// eigenvalue density*, algorithm 1.
pub struct Density<S> {
    dim: usize,
    probes: usize,
    steps: usize,
    block: usize,
    seed: u64,
    quadratures: Vec<Quadrature>,
    /// The current block of random vectors.
    current: Option<BlockQuadrature<S>>,
    products: usize,
    /// Products that the completed quadratures took.
    completed_products: usize,
}

impl<S: Scalar> Density<S> {
    /// An estimate from `probes` random vectors of `steps` Lanczos steps each, `block` of them
    /// multiplied together. A resumed estimate continues from `known` quadratures of the first vectors,
    /// which took `products`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a number is 0, or more quadratures are known than requested;
    /// [`Error::Memory`] where a block of probes does not fit.
    pub fn new(
        dim: usize,
        (probes, steps): (usize, usize),
        block: usize,
        seed: u64,
        (known, products): (Vec<Quadrature>, usize),
    ) -> Result<Self, Error> {
        require!(
            dim > 0 && probes > 0 && steps > 0 && block > 0 && known.len() <= probes,
            "got {probes} probes of {steps} steps in {dim} dimensions, in blocks of {block}, and \
             {} known; pass at least one of each, and know no more",
            known.len()
        );
        let rows = block.min(probes);
        let what = format!("Krylov spaces of {rows} probes of {dim} entries, {steps} steps each,");
        require_memory::<S>(&what, &[rows, steps.min(dim).saturating_add(3), dim])?;
        let longest = steps.min(dim);
        for rule in &known {
            let (nodes, weights) = (&rule.nodes, &rule.weights);
            require!(
                nodes.len() == weights.len()
                    && (1..=longest).contains(&nodes.len())
                    && nodes.iter().all(|node| node.is_finite())
                    && weights.iter().all(|weight| (0.0..=1.0 + 1e-6).contains(weight)),
                "got a quadrature of {} nodes and {} weights that no {steps} steps in {dim} \
                 dimensions give; pass those of a checkpoint of this estimate",
                nodes.len(),
                weights.len()
            );
        }
        require!(
            products as u64 <= MAX_COUNT && (products > 0 || known.is_empty()),
            "got {products} products for {} known quadratures; pass those of the same checkpoint",
            known.len()
        );
        let (current, completed_products) = (None, products);
        Ok(Self {
            dim,
            probes,
            steps,
            block,
            seed,
            quadratures: known,
            current,
            products,
            completed_products,
        })
    }

    /// The completed quadratures.
    #[must_use]
    pub fn quadratures(&self) -> &[Quadrature] {
        &self.quadratures
    }

    /// Operator products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products
    }

    /// Operator products of the completed quadratures, which a resumed estimate continues from: those of
    /// the block at work are computed again.
    #[must_use]
    pub fn completed_products(&self) -> usize {
        self.completed_products
    }

    /// The next block of random unit vectors.
    fn start_block(&self) -> Result<BlockQuadrature<S>, Error> {
        let count = self.block.min(self.probes - self.quadratures.len());
        let empty = Basis::new(self.dim, 1, None)?;
        let mut starts = vec![S::default(); count * self.dim];
        for (row, stream) in starts.chunks_mut(self.dim).zip(self.quadratures.len() as u64..) {
            fill_sphere(self.seed, stream, &empty, row);
        }
        BlockQuadrature::new(&starts, self.dim, self.steps)
    }
}

impl<S: Scalar> Solver for Density<S> {
    type Scalar = S;
    type Problem<'a> = dyn LinearOperator<S> + 'a;

    fn dim(&self) -> usize {
        self.dim
    }

    fn status(&self) -> Status {
        if self.quadratures.len() == self.probes { Status::Converged } else { Status::Running }
    }

    fn step(&mut self, operator: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let mut block = match self.current.take() {
            Some(block) => block,
            None => self.start_block()?,
        };
        let mut operator = CountedOperator::new(operator, cancel, self.products);
        let more = block.step(&mut operator);
        if more.is_ok() {
            self.products = operator.count();
        }
        match more {
            Ok(false) => {
                self.quadratures.extend(block.quadratures());
                self.completed_products = self.products;
            }
            _ => self.current = Some(block),
        }
        more.map(|_| ())
    }
}
