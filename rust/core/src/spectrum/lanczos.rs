//! Thick-restart Lanczos with full reorthogonalisation, one product at a time.

mod options;
mod restart;
mod state;

use std::path::Path;

use super::basis::Basis;
use super::iteration::Iteration;
use super::products::Products;
use super::status::Status;
use super::symmetric::{Eigen, eigen};
use super::wanted::bounds;
use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::norm;

pub use options::Options;
pub use state::Arrays;

/// What is left of a vector below so many units of rounding is no direction.
const NOTHING: f64 = 8.0;

/// A start that has little of an eigenvector shows its pair late, between others whose residuals are
/// small by then. So all must stay converged for one product more, and one for each so many wanted.
const HIDDEN: usize = 3;

/// An iteration that owns its state: A V = V T + β v e_mᵀ with V, v orthonormal.
///
/// Ritz pairs of T are those of A to the residual |β s_m|. When the basis is full it is replaced by
/// the Ritz vectors nearest to what is wanted, which keeps the relation with an arrow in T.
///
/// # Reference
/// Wu and Simon (2000), *Thick-restart Lanczos method for large symmetric eigenvalue problems*.
pub struct Lanczos<S> {
    options: Options,
    /// The deflated rows, those of V, and the next direction v.
    basis: Basis<S>,
    deflated: usize,
    projected: Vec<Vec<f64>>,
    beta: f64,
    products: usize,
    restarts: usize,
    streams: u64,
    /// After how many products in a row all wanted pairs had converged.
    good: usize,
    status: Status,
    ritz: Eigen,
}

impl<S: Scalar> Lanczos<S> {
    /// An iteration on the space orthogonal to the orthonormal rows `deflate`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the options do not fit the space, and where the basis has no room.
    pub fn new(options: Options, path: Option<&Path>, deflate: &[&[S]]) -> Result<Self, Error> {
        let options = options.checked(deflate.len())?;
        let mut basis = Basis::new(options.dim, deflate.len() + options.basis + 1, path)?;
        for row in deflate {
            basis.push(row, 1.0)?;
        }
        let mut made = Self {
            options,
            basis,
            deflated: deflate.len(),
            projected: Vec::new(),
            beta: 0.0,
            products: 0,
            restarts: 0,
            streams: 0,
            good: 0,
            status: Status::Running,
            ritz: Eigen::default(),
        };
        made.push_random()?;
        Ok(made)
    }

    /// The same from a vector in place of a random one: a guess of what is wanted.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a product was made, the length is another, or nothing of the vector is
    /// orthogonal to the deflated rows.
    pub fn from(mut self, start: &[S]) -> Result<Self, Error> {
        let mut w = start.to_vec();
        require!(
            self.products == 0 && w.len() == self.options.dim,
            "got a start of {} entries after {} products; pass {} before the first",
            w.len(),
            self.products,
            self.options.dim
        );
        self.basis.truncate(self.deflated);
        let before = norm(&w);
        self.basis.orthogonalise(&mut w);
        let left = norm(&w);
        let leads_out = left > NOTHING * S::EPSILON * before;
        require!(
            leads_out,
            "got a start that lies in the space of the deflated rows, or is zero; pass another"
        );
        self.basis.push(&w, 1.0 / left)?;
        Ok(self)
    }

    /// The coupling of V to the next direction: β e_m.
    fn last(&self, beta: f64) -> Vec<f64> {
        let mut coupling = vec![0.0; self.projected.len()];
        if let Some(entry) = coupling.last_mut() {
            *entry = beta;
        }
        coupling
    }

    /// The next direction becomes one of V: T grows by its coupling and by ⟨v, A v⟩.
    fn extend(&mut self, coupling: Vec<f64>, alpha: f64) {
        for (row, value) in self.projected.iter_mut().zip(&coupling) {
            row.push(*value);
        }
        let mut row = coupling;
        row.push(alpha);
        self.projected.push(row);
    }

    /// A random next direction, orthogonal to all rows.
    fn push_random(&mut self) -> Result<(), Error> {
        const TRIALS: usize = 8;
        let mut w = vec![S::default(); self.options.dim];
        for _ in 0..TRIALS {
            Gaussian::new(self.options.seed, self.streams).fill(0, &mut w);
            self.streams += 1;
            let size = norm(&w);
            self.basis.orthogonalise(&mut w);
            let left = norm(&w);
            if left > NOTHING * S::EPSILON * size {
                let unit: Vec<S> = w.iter().map(|x| S::narrow(x.widen() / left)).collect();
                w = unit;
                // In few dimensions what is left is short, and its rounding is not.
                self.basis.orthogonalise(&mut w);
                return self.basis.push(&w, 1.0 / norm(&w));
            }
        }
        Err(Error::Invalid(format!(
            "found no direction orthogonal to {} rows; pass orthonormal rows to deflate",
            self.basis.len()
        )))
    }

    fn judge(&self, exhausted: bool) -> Status {
        if exhausted {
            return Status::Exhausted;
        }
        if self.good > 1 + self.options.count / HIDDEN {
            return Status::Converged;
        }
        if self.products >= self.options.max_products {
            return Status::MaxProducts;
        }
        Status::Running
    }

    fn wanted(&self) -> usize {
        self.options.which.pairs(self.options.count, self.options.space(self.deflated))
    }

    fn best(&self) -> Vec<usize> {
        self.options.which.best(&self.ritz.values, self.wanted())
    }

    /// The largest |Ritz value|, which residuals are compared to.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.ritz.values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
    }

    /// |β s_m|, and what rounding of the basis adds to it, of every Ritz pair.
    fn all_residuals(&self) -> Vec<f64> {
        let floor = self.floor();
        let last = |vector: &Vec<f64>| vector.last().copied().unwrap_or_default();
        self.ritz.vectors.iter().map(|s| (self.beta * last(s)).hypot(floor)).collect()
    }

    /// What rounding adds to a residual and to an eigenvalue.
    fn floor(&self) -> f64 {
        S::EPSILON * self.scale() * ((1 + self.restarts) as f64).sqrt()
    }

    /// What the iteration was asked for.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many of the wanted pairs have residuals within the tolerance.
    #[must_use]
    pub fn converged(&self) -> usize {
        let most = self.options.tolerance * self.scale();
        self.residuals().iter().filter(|&&residual| residual <= most).count()
    }

    /// The best Ritz values by now, at most as many as are wanted.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.best().iter().map(|&i| self.ritz.values[i]).collect()
    }

    /// ‖A v − λ v‖ of these, with what rounding adds. Where rows are deflated, A is its part on the
    /// space orthogonal to them.
    #[must_use]
    pub fn residuals(&self) -> Vec<f64> {
        let all = self.all_residuals();
        self.best().iter().map(|&i| all[i]).collect()
    }

    /// Bounds on the errors of these values, see [`bounds`]; no less than what rounding makes.
    #[must_use]
    pub fn bounds(&self) -> Vec<f64> {
        let (all, floor) = (bounds(&self.ritz.values, &self.all_residuals()), self.floor());
        self.best().iter().map(|&i| all[i].max(floor)).collect()
    }

    /// The Ritz vectors of these, orthonormal, row-major (n, dim).
    #[must_use]
    pub fn vectors(&self) -> Vec<S> {
        let rows: Vec<_> = self.best().iter().map(|&i| self.ritz.vectors[i].clone()).collect();
        self.basis.combinations(self.deflated, &rows)
    }
}

impl<S: Scalar> Iteration<S> for Lanczos<S> {
    fn dim(&self) -> usize {
        self.options.dim
    }

    fn products(&self) -> usize {
        self.products
    }

    fn status(&self) -> Status {
        self.status
    }

    /// One product, after which nothing fails.
    fn step(&mut self, operator: &dyn LinearOperator<S>, cancel: &Cancel) -> Result<(), Error> {
        let mut w = vec![S::default(); self.options.dim];
        let w = w.as_mut_slice();
        let mut products = Products::new(operator, cancel, self.products);
        products.apply(self.basis.row(self.basis.len() - 1), w)?;
        self.products = products.count();
        let coupling = if self.projected.len() == self.options.basis {
            self.restart()
        } else {
            self.last(self.beta)
        };
        let size = norm(w);
        let taken = self.basis.orthogonalise(w);
        self.beta = norm(w);
        self.extend(coupling, taken[taken.len() - 1]);
        self.ritz = eigen(&self.projected);
        let exhausted = self.projected.len() == self.options.space(self.deflated);
        if exhausted {
            self.beta = 0.0;
        } else if self.beta <= NOTHING * S::EPSILON * size.max(self.scale()) {
            self.beta = 0.0;
            self.push_random()?;
        } else {
            self.basis.push(w, 1.0 / self.beta)?;
        }
        let wanted = self.wanted();
        let all = self.values().len() == wanted && self.converged() == wanted;
        self.good = if all { self.good + 1 } else { 0 };
        self.status = self.judge(exhausted);
        Ok(())
    }
}
