//! Spectral densities by stochastic Lanczos quadrature.

use super::basis::Basis;
use super::counted_operator::CountedOperator;
use super::quadrature::{BlockQuadrature, Quadrature};
use super::trace::fill_sphere;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::solver::{Solver, Status};

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
}

impl<S: Scalar> Density<S> {
    /// An estimate from `probes` random vectors of `steps` Lanczos steps each, `block` of them
    /// multiplied together. A resumed estimate continues from `known` quadratures of the first vectors,
    /// which took `products`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a number is 0, or more quadratures are known than requested.
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
        let current = None;
        Ok(Self { dim, probes, steps, block, seed, quadratures: known, current, products })
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
            Ok(false) => self.quadratures.extend(block.quadratures()),
            _ => self.current = Some(block),
        }
        more.map(|_| ())
    }
}
