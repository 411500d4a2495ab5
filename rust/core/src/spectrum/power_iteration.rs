//! Shifted power iteration with deflation.

mod ends;

use super::basis::Basis;
use super::counted_operator::CountedOperator;
use super::lanczos::{LanczosOptions, RelativeTo};
use super::ritz::{Which, error_bounds};
use crate::error::Error;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::solver::{Solver, Status};
use crate::vector::{inner_product, norm};
use ends::{Pair, choose_next_end, is_complete, select};

/// The number of unshifted steps, which estimate ‖A‖.
const UNSHIFTED_STEPS: usize = 6;

/// Options of a power iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerOptions {
    /// The number of rows of the operator.
    pub dim: usize,
    /// The number of pairs, from each end for [`Which::Both`].
    pub count: usize,
    /// The part of the spectrum.
    pub which: Which,
    /// The residual of a converged pair, in units of the estimate of ‖A‖.
    pub tolerance: f64,
    /// The maximum number of products.
    pub max_products: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

impl PowerOptions {
    fn validate(self) -> Result<Self, Error> {
        let Self { dim, count, which, tolerance, max_products, seed } = self;
        let (basis, relative_to) = (dim, RelativeTo::Norm);
        let same =
            LanczosOptions { dim, count, which, tolerance, relative_to, basis, max_products, seed };
        same.validate(0).map(|_| self)
    }
}

/// v ← (σ ± A) v, orthogonal to the converged pairs, with σ the largest ‖A v‖ so far.
///
/// All eigenvalues of σ ± A are then about positive, and the largest belongs to the requested end. Each
/// pair is iterated until ‖A v − ρ v‖ is within the tolerance times σ, with ρ the Rayleigh quotient.
///
/// # Reference
/// Parlett (1998), *The Symmetric Eigenvalue Problem*, chapter 4.
pub struct PowerIteration<S> {
    options: PowerOptions,
    /// The vectors of the converged pairs.
    basis: Basis<S>,
    converged: Vec<Pair>,
    vector: Vec<S>,
    /// A v; empty after v has changed.
    image: Vec<S>,
    current: Option<Pair>,
    /// Whether the next step starts from a new random vector.
    restart: bool,
    end: f64,
    norm: f64,
    products: usize,
    /// The number of random vectors drawn.
    streams: u64,
    status: Status,
}

impl<S: Scalar> PowerIteration<S> {
    /// An iteration from random vectors.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit the space.
    pub fn new(options: PowerOptions) -> Result<Self, Error> {
        let options = options.validate()?;
        let rows = options.which.pairs(options.count, options.dim) + 1;
        Ok(Self {
            options,
            basis: Basis::new(options.dim, rows, None)?,
            converged: Vec::new(),
            vector: vec![S::default(); options.dim],
            image: Vec::new(),
            current: None,
            restart: true,
            end: choose_next_end(options.which, options.count, &[]),
            norm: 0.0,
            products: 0,
            streams: 0,
            status: Status::Running,
        })
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &PowerOptions {
        &self.options
    }

    /// Operator products so far.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products
    }

    /// The number of pairs with residuals within the tolerance.
    #[must_use]
    pub fn converged(&self) -> usize {
        self.converged.len().min(self.options.which.pairs(self.options.count, self.options.dim))
    }

    /// The largest ‖A v‖ of all unit vectors so far, to which residuals are relative.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.norm
    }

    /// Rayleigh quotients of the converged pairs and of the current one.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        let pairs = self.pairs();
        self.selected().iter().map(|&i| pairs[i].value).collect()
    }

    /// ‖A v − ρ v‖ of these pairs, rounding included.
    #[must_use]
    pub fn residuals(&self) -> Vec<f64> {
        let pairs = self.pairs();
        self.selected().iter().map(|&i| pairs[i].residual).collect()
    }

    /// Bounds on the errors of these values, see [`error_bounds`].
    #[must_use]
    pub fn bounds(&self) -> Vec<f64> {
        let pairs = self.pairs();
        let values: Vec<f64> = pairs.iter().map(|pair| pair.value).collect();
        let residuals: Vec<f64> = pairs.iter().map(|pair| pair.residual).collect();
        let all = error_bounds(&values, &residuals);
        self.selected().iter().map(|&i| all[i]).collect()
    }

    /// The vectors of these pairs, row-major (n, dim).
    #[must_use]
    pub fn vectors(&self) -> Vec<S> {
        let row = |&i: &usize| if i < self.basis.len() { self.basis.row(i) } else { &self.vector };
        self.selected().iter().flat_map(|i| row(i).iter().copied()).collect()
    }

    fn pairs(&self) -> Vec<Pair> {
        self.converged.iter().chain(&self.current).copied().collect()
    }

    /// The indices of the requested pairs.
    fn selected(&self) -> Vec<usize> {
        select(self.options.which, self.options.count, &self.pairs())
    }

    /// Replaces v by a random unit vector orthogonal to the converged pairs.
    fn restart(&mut self) {
        Gaussian::new(self.options.seed, self.streams).fill(0, &mut self.vector);
        self.streams += 1;
        for _ in 0..2 {
            self.basis.orthogonalise(&mut self.vector);
            normalise(&mut self.vector);
        }
        self.discard_product();
    }

    /// Discards the product and the pair of the previous v.
    fn discard_product(&mut self) {
        self.restart = false;
        self.current = None;
        self.image.clear();
    }

    /// ‖A v − ρ v‖ and its component orthogonal to the converged pairs, both with rounding. Where the
    /// components of k pairs are within t, the full residuals are within √k t.
    fn residual(&self, value: f64, w: &[S]) -> (f64, f64) {
        let pairs = w.iter().zip(&self.vector);
        let mut residual: Vec<S> =
            pairs.map(|(w, v)| S::narrow(w.widen() - value * v.widen())).collect();
        let rounding = S::EPSILON * self.norm;
        let full = norm(&residual).hypot(rounding);
        self.basis.orthogonalise(&mut residual);
        (full, norm(&residual).hypot(rounding))
    }

    fn accept(&mut self, pair: Pair) -> Result<(), Error> {
        self.basis.push(&self.vector, 1.0)?;
        self.converged.push(pair);
        self.current = None;
        self.restart = true;
        let (which, count) = (self.options.which, self.options.count);
        self.end = choose_next_end(which, count, &self.converged);
        if self.converged.len() == self.options.dim {
            self.status = Status::Exhausted;
        } else if is_complete(which, count, &self.converged) {
            self.status = Status::Converged;
        }
        Ok(())
    }

    /// The next v: A v while ‖A‖ is being estimated, then (σ ± A) v.
    fn advance(&mut self) {
        let (shift, sign) =
            if self.products < UNSHIFTED_STEPS { (0.0, 1.0) } else { (self.norm, self.end) };
        for (v, w) in self.vector.iter_mut().zip(&self.image) {
            *v = S::narrow(shift * v.widen() + sign * w.widen());
        }
        self.basis.orthogonalise(&mut self.vector);
        if normalise(&mut self.vector) {
            self.discard_product();
        } else {
            self.restart();
        }
    }
}

impl<S: Scalar> Solver for PowerIteration<S> {
    type Scalar = S;
    type Problem<'a> = dyn LinearOperator<S> + 'a;

    fn dim(&self) -> usize {
        self.options.dim
    }

    fn status(&self) -> Status {
        self.status
    }

    fn step(&mut self, operator: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        let w = &mut vec![S::default(); self.options.dim];
        if self.restart {
            self.restart();
        } else if !self.image.is_empty() {
            self.advance();
        }
        let mut operator = CountedOperator::new(operator, cancel, self.products);
        operator.apply(&self.vector, w)?;
        self.products = operator.count();
        self.image.clone_from(w);
        self.norm = self.norm.max(norm(w));
        let value = inner_product(&self.vector, w);
        let (residual, orthogonal) = self.residual(value, w);
        let pair = Pair { value, residual, end: self.end };
        self.current = Some(pair);
        let pairs = self.options.which.pairs(self.options.count, self.options.dim) + 1;
        let threshold = self.options.tolerance * self.norm / (pairs as f64).sqrt();
        if self.products <= UNSHIFTED_STEPS {
            // Unshifted steps may converge to the other end: only the norm is used.
            self.restart = self.products == UNSHIFTED_STEPS;
        } else if orthogonal <= threshold {
            self.accept(pair)?;
        }
        if self.status == Status::Running && self.products >= self.options.max_products {
            self.status = Status::MaxProducts;
        }
        Ok(())
    }
}

/// v / ‖v‖; false where v is 0.
fn normalise<S: Scalar>(v: &mut [S]) -> bool {
    let size = norm(v);
    for x in v.iter_mut() {
        *x = S::narrow(x.widen() / size);
    }
    size > 0.0
}
