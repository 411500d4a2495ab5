//! Power iteration with deflation, shifted so that the two ends are not confused.

mod ends;

use super::basis::Basis;
use super::iteration::Iteration;
use super::lanczos::Options;
use super::products::Products;
use super::status::Status;
use super::wanted::bounds;
use crate::error::Error;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{inner_product, norm};
use ends::{Pair, next_end, report};

/// Plain power steps that estimate ‖A‖ before the first shift.
const ESTIMATE: usize = 6;

/// v <- (σ ± A) v, orthogonal to the pairs that were found, with σ the largest ‖A v‖ yet.
///
/// All eigenvalues of σ ± A are then about positive, and the largest is the wanted end. Each pair is
/// iterated until ‖A v − ρ v‖ is within the tolerance times σ, with ρ the Rayleigh quotient.
///
/// # Reference
/// Parlett (1998), *The Symmetric Eigenvalue Problem*, chapter 4.
pub struct Power<S> {
    options: Options,
    /// The vectors of `found`.
    basis: Basis<S>,
    found: Vec<Pair>,
    vector: Vec<S>,
    /// A v, where it is known and v has not moved.
    image: Vec<S>,
    current: Option<Pair>,
    /// The next step begins with a new random vector.
    fresh: bool,
    end: f64,
    norm: f64,
    products: usize,
    streams: u64,
    status: Status,
}

impl<S: Scalar> Power<S> {
    /// An iteration; of the options `basis` is not used.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit the space.
    pub fn new(options: Options) -> Result<Self, Error> {
        let options = Options { basis: options.dim, ..options }.checked(0)?;
        let rows = options.which.pairs(options.count, options.dim) + 1;
        Ok(Self {
            options,
            basis: Basis::new(options.dim, rows, None)?,
            found: Vec::new(),
            vector: vec![S::default(); options.dim],
            image: Vec::new(),
            current: None,
            fresh: true,
            end: next_end(options.which, options.count, &[]),
            norm: 0.0,
            products: 0,
            streams: 0,
            status: Status::Running,
        })
    }

    /// A random unit vector orthogonal to the pairs that were found.
    fn begin(&mut self) {
        Gaussian::new(self.options.seed, self.streams).fill(0, &mut self.vector);
        self.streams += 1;
        for _ in 0..2 {
            self.basis.orthogonalise(&mut self.vector);
            normalise(&mut self.vector);
        }
        self.forget();
    }

    /// The vector has moved: what was known of it is of the last one.
    fn forget(&mut self) {
        self.fresh = false;
        self.current = None;
        self.image.clear();
    }

    /// ‖A v − ρ v‖, and its part orthogonal to the pairs that were found, both with what rounding
    /// adds. Where the parts of k pairs are within t, the whole residuals are within √k t.
    fn residual(&self, value: f64, w: &[S]) -> (f64, f64) {
        let pairs = w.iter().zip(&self.vector);
        let mut rest: Vec<S> =
            pairs.map(|(w, v)| S::narrow(w.widen() - value * v.widen())).collect();
        let rounding = S::EPSILON * self.norm;
        let whole = norm(&rest).hypot(rounding);
        self.basis.orthogonalise(&mut rest);
        (whole, norm(&rest).hypot(rounding))
    }

    fn accept(&mut self, pair: Pair) -> Result<(), Error> {
        self.basis.push(&self.vector, 1.0)?;
        self.found.push(pair);
        self.current = None;
        self.fresh = true;
        let (which, count) = (self.options.which, self.options.count);
        self.end = next_end(which, count, &self.found);
        if self.found.len() == self.options.dim {
            self.status = Status::Exhausted;
        } else if ends::enough(which, count, &self.found) {
            self.status = Status::Converged;
        }
        Ok(())
    }

    /// The next vector: that of A itself while its norm is being estimated, else of σ ± A.
    fn advance(&mut self) {
        let (shift, sign) =
            if self.products < ESTIMATE { (0.0, 1.0) } else { (self.norm, self.end) };
        for (v, w) in self.vector.iter_mut().zip(&self.image) {
            *v = S::narrow(shift * v.widen() + sign * w.widen());
        }
        self.basis.orthogonalise(&mut self.vector);
        if normalise(&mut self.vector) {
            self.forget();
        } else {
            self.begin();
        }
    }

    fn best(&self) -> Vec<usize> {
        report(self.options.which, self.options.count, &self.pairs())
    }

    fn pairs(&self) -> Vec<Pair> {
        self.found.iter().chain(&self.current).copied().collect()
    }

    /// What the iteration was asked for.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many pairs have residuals within the tolerance.
    #[must_use]
    pub fn converged(&self) -> usize {
        self.found.len().min(self.options.which.pairs(self.options.count, self.options.dim))
    }

    /// The largest ‖A v‖ of all unit vectors so far, which residuals are compared to.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.norm
    }

    /// Rayleigh quotients of the pairs that were found, and of the one that is being iterated.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        let pairs = self.pairs();
        self.best().iter().map(|&i| pairs[i].value).collect()
    }

    /// ‖A v − ρ v‖ of these.
    #[must_use]
    pub fn residuals(&self) -> Vec<f64> {
        let pairs = self.pairs();
        self.best().iter().map(|&i| pairs[i].residual).collect()
    }

    /// Bounds on the errors of these values, see [`bounds`].
    #[must_use]
    pub fn bounds(&self) -> Vec<f64> {
        let pairs = self.pairs();
        let values: Vec<f64> = pairs.iter().map(|pair| pair.value).collect();
        let residuals: Vec<f64> = pairs.iter().map(|pair| pair.residual).collect();
        let all = bounds(&values, &residuals);
        self.best().iter().map(|&i| all[i]).collect()
    }

    /// Their vectors, row-major (n, dim).
    #[must_use]
    pub fn vectors(&self) -> Vec<S> {
        let row = |&i: &usize| if i < self.basis.len() { self.basis.row(i) } else { &self.vector };
        self.best().iter().flat_map(|i| row(i).iter().copied()).collect()
    }
}

impl<S: Scalar> Iteration<S> for Power<S> {
    fn dim(&self) -> usize {
        self.options.dim
    }

    fn products(&self) -> usize {
        self.products
    }

    fn status(&self) -> Status {
        self.status
    }

    fn step(&mut self, operator: &dyn LinearOperator<S>, cancel: &Cancel) -> Result<(), Error> {
        let w = &mut vec![S::default(); self.options.dim];
        if self.fresh {
            self.begin();
        } else if !self.image.is_empty() {
            self.advance();
        }
        let mut products = Products::new(operator, cancel, self.products);
        products.apply(&self.vector, w)?;
        self.products = products.count();
        self.image.clone_from(w);
        self.norm = self.norm.max(norm(w));
        let value = inner_product(&self.vector, w);
        let (residual, own) = self.residual(value, w);
        let pair = Pair { value, residual, end: self.end };
        self.current = Some(pair);
        let pairs = self.options.which.pairs(self.options.count, self.options.dim) + 1;
        let most = self.options.tolerance * self.norm / (pairs as f64).sqrt();
        if self.products <= ESTIMATE {
            // Plain steps may have met the other end: they are only good for the norm.
            self.fresh = self.products == ESTIMATE;
        } else if own <= most {
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
