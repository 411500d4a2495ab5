//! How eigenvalues are distributed, as random vectors see it: stochastic Lanczos quadrature.

use super::basis::Basis;
use super::iteration::Iteration;
use super::products::Products;
use super::quadrature::{Quadrature, Quadratures};
use super::status::Status;
use super::trace::sphere;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// Quadratures of independent random vectors; their mean is that of the density of eigenvalues.
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
    found: Vec<Quadrature>,
    /// The block of vectors that is under way.
    running: Option<Quadratures<S>>,
    products: usize,
}

impl<S: Scalar> Density<S> {
    /// So many vectors of so many steps each, `block` of them multiplied together; `known` are the
    /// quadratures of the first, which took `products`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a number is 0, or more are known than wanted.
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
        Ok(Self { dim, probes, steps, block, seed, found: known, running: None, products })
    }

    /// The quadratures that are finished.
    #[must_use]
    pub fn quadratures(&self) -> &[Quadrature] {
        &self.found
    }

    /// The next block of random unit vectors.
    fn begin(&self) -> Result<Quadratures<S>, Error> {
        let count = self.block.min(self.probes - self.found.len());
        let nothing = Basis::new(self.dim, 1, None)?;
        let mut starts = vec![S::default(); count * self.dim];
        for (row, stream) in starts.chunks_mut(self.dim).zip(self.found.len() as u64..) {
            sphere(self.seed, stream, &nothing, row);
        }
        Quadratures::new(&starts, self.dim, self.steps)
    }
}

impl<S: Scalar> Iteration<S> for Density<S> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn products(&self) -> usize {
        self.products
    }

    fn status(&self) -> Status {
        if self.found.len() == self.probes { Status::Converged } else { Status::Running }
    }

    fn step(&mut self, operator: &dyn LinearOperator<S>, cancel: &Cancel) -> Result<(), Error> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.begin()?,
        };
        let mut products = Products::new(operator, cancel, self.products);
        let more = running.step(&mut products);
        if more.is_ok() {
            self.products = products.count();
        }
        match more {
            Ok(false) => self.found.extend(running.found()),
            _ => self.running = Some(running),
        }
        more.map(|_| ())
    }
}
