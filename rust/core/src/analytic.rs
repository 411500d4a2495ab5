//! Test functions with closed forms for values, gradients, Hessians and minima.

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::objective::{BatchedObjective, Objective, Subspace};
use crate::operator::{Dense, LinearOperator};
use crate::scalar::Scalar;
use crate::subspace::HostSubspace;

/// A function with closed forms for its value, gradient and Hessian, in f64.
///
/// Every implementation is an [`Objective`] of either storage type.
pub trait ClosedForm {
    /// The number of coordinates.
    fn dim(&self) -> usize;

    /// f(x).
    fn value(&self, x: &[f64]) -> f64;

    /// ∇f(x).
    fn gradient(&self, x: &[f64]) -> Vec<f64>;

    /// The entry ∂²f / ∂xᵢ∂xⱼ at x, for j ≤ i.
    fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64;
}

impl<S: Scalar, F: ClosedForm> Objective<S> for F {
    fn dim(&self) -> usize {
        ClosedForm::dim(self)
    }

    fn losses(&self, points: &[S], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        for (point, loss) in points.chunks(ClosedForm::dim(self)).zip(out) {
            cancel.check()?;
            *loss = self.value(&wide(point));
        }
        Ok(())
    }

    fn gradients(
        &self,
        points: &[S],
        losses: &mut [f64],
        gradients: &mut [S],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.losses(points, losses, cancel)?;
        let dim = ClosedForm::dim(self);
        for (point, row) in points.chunks(dim).zip(gradients.chunks_mut(dim)) {
            for (entry, slope) in row.iter_mut().zip(self.gradient(&wide(point))) {
                *entry = S::narrow(slope);
            }
        }
        Ok(())
    }

    fn curvature_at<'a>(&'a self, point: &[S]) -> Result<Box<dyn LinearOperator<S> + 'a>, Error> {
        let (x, dim) = (wide(point), ClosedForm::dim(self));
        let entry = |k: usize| {
            let (i, j) = (k / dim, k % dim);
            self.second_derivative(&x, i.max(j), i.min(j))
        };
        Ok(Box::new(Dense::new((0..dim * dim).map(entry).collect(), dim)?))
    }

    fn subspace<'a>(
        &'a self,
        origin: &[S],
        basis: &[&[S]],
    ) -> Result<Box<dyn Subspace + 'a>, Error> {
        Ok(Box::new(HostSubspace::new(self, origin, basis)?))
    }
}

/// One batch: a closed form has no samples.
impl<S: Scalar, F: ClosedForm> BatchedObjective<S> for F {
    fn batches(&self) -> Result<usize, Error> {
        Ok(1)
    }

    fn gradients_on(
        &self,
        points: &[S],
        _: &[usize],
        losses: &mut [f64],
        gradients: &mut [S],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.gradients(points, losses, gradients, cancel)
    }
}

fn wide<S: Scalar>(point: &[S]) -> Vec<f64> {
    point.iter().map(|value| value.widen()).collect()
}

/// f(x) = ½ (x − m)' A (x − m): every surface is a paraboloid, the Hessian is A everywhere.
#[derive(Clone, Debug)]
pub struct Quadratic {
    matrix: Dense,
    centre: Vec<f64>,
}

impl Quadratic {
    /// The quadratic of the symmetric matrix A about the centre m.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the centre has another dimension than the matrix.
    pub fn new(matrix: Dense, centre: Vec<f64>) -> Result<Self, Error> {
        let dim = LinearOperator::<f64>::dim(&matrix);
        require!(
            centre.len() == dim,
            "got a centre of {} entries for a matrix of {dim} rows; pass {dim}",
            centre.len()
        );
        Ok(Self { matrix, centre })
    }

    fn displacement(&self, x: &[f64]) -> Vec<f64> {
        x.iter().zip(&self.centre).map(|(value, centre)| value - centre).collect()
    }
}

impl ClosedForm for Quadratic {
    fn dim(&self) -> usize {
        self.centre.len()
    }

    fn value(&self, x: &[f64]) -> f64 {
        let image = self.gradient(x);
        0.5 * self.displacement(x).iter().zip(image).map(|(a, b)| a * b).sum::<f64>()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        self.matrix.product(&self.displacement(x))
    }

    fn second_derivative(&self, _: &[f64], i: usize, j: usize) -> f64 {
        self.matrix.entry(i, j)
    }
}

/// f(x) = Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²: a narrow curved valley with its minimum 0 at (1, …, 1).
///
/// # Reference
/// Rosenbrock (1960), *An automatic method for finding the greatest or least value of a function*.
#[derive(Clone, Copy, Debug)]
pub struct Rosenbrock {
    /// The number of coordinates, at least 2.
    pub dim: usize,
}

impl ClosedForm for Rosenbrock {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value(&self, x: &[f64]) -> f64 {
        let term = |pair: &[f64]| {
            let (off_valley, to_minimum) = (pair[1] - pair[0] * pair[0], 1.0 - pair[0]);
            100.0 * off_valley * off_valley + to_minimum * to_minimum
        };
        x.windows(2).map(term).sum()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; x.len()];
        for i in 0..x.len() - 1 {
            let off_valley = x[i + 1] - x[i] * x[i];
            gradient[i] += -400.0 * x[i] * off_valley - 2.0 * (1.0 - x[i]);
            gradient[i + 1] += 200.0 * off_valley;
        }
        gradient
    }

    fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64 {
        let as_first =
            if i + 1 < x.len() { 1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 2.0 } else { 0.0 };
        match i - j {
            0 => as_first + if i > 0 { 200.0 } else { 0.0 },
            1 => -400.0 * x[j],
            _ => 0.0,
        }
    }
}

/// f(x) = (x₀² − 1)² + ½ Σ_{i>0} xᵢ²: minima of 0 at x₀ = ±1, and between them a barrier of exactly 1
/// at the origin, where the Hessian has the one negative eigenvalue −4.
#[derive(Clone, Copy, Debug)]
pub struct DoubleWell {
    /// The number of coordinates, at least 1.
    pub dim: usize,
}

impl ClosedForm for DoubleWell {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value(&self, x: &[f64]) -> f64 {
        let across = x[0] * x[0] - 1.0;
        across * across + 0.5 * x[1..].iter().map(|value| value * value).sum::<f64>()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let mut gradient = x.to_vec();
        gradient[0] = 4.0 * x[0] * (x[0] * x[0] - 1.0);
        gradient
    }

    fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64 {
        match (i, j) {
            (0, 0) => 12.0 * x[0] * x[0] - 4.0,
            _ if i == j => 1.0,
            _ => 0.0,
        }
    }
}

/// f(x) = Σₖ Aₖ exp(aₖ (x₀ − pₖ)² + bₖ (x₀ − pₖ)(x₁ − qₖ) + cₖ (x₁ − qₖ)²): three minima and two
/// saddles in the plane, the standard test of methods for minimum energy paths.
///
/// # Reference
/// Müller and Brown (1979), *Location of saddle points and minimum energy paths by a constrained
/// simplex optimization procedure*, table 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct MuellerBrown;

struct Bump {
    height: f64,
    a: f64,
    b: f64,
    c: f64,
    centre: [f64; 2],
}

impl MuellerBrown {
    const BUMPS: [Bump; 4] = [
        Bump { height: -200.0, a: -1.0, b: 0.0, c: -10.0, centre: [1.0, 0.0] },
        Bump { height: -100.0, a: -1.0, b: 0.0, c: -10.0, centre: [0.0, 0.5] },
        Bump { height: -170.0, a: -6.5, b: 11.0, c: -6.5, centre: [-0.5, 1.5] },
        Bump { height: 15.0, a: 0.7, b: 0.6, c: 0.7, centre: [-1.0, 1.0] },
    ];
}

impl Bump {
    fn value(&self, x: &[f64]) -> f64 {
        let [u, v] = [x[0] - self.centre[0], x[1] - self.centre[1]];
        self.height * libm::exp(self.a * u * u + self.b * u * v + self.c * v * v)
    }

    /// The gradient of the exponent.
    fn slope(&self, x: &[f64]) -> [f64; 2] {
        let [u, v] = [x[0] - self.centre[0], x[1] - self.centre[1]];
        [2.0 * self.a * u + self.b * v, self.b * u + 2.0 * self.c * v]
    }

    /// The Hessian of the exponent.
    fn bend(&self, i: usize, j: usize) -> f64 {
        [[2.0 * self.a, self.b], [self.b, 2.0 * self.c]][i][j]
    }
}

impl ClosedForm for MuellerBrown {
    fn dim(&self) -> usize {
        2
    }

    fn value(&self, x: &[f64]) -> f64 {
        Self::BUMPS.iter().map(|bump| bump.value(x)).sum()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let slope = |i: usize| Self::BUMPS.iter().map(|b| b.value(x) * b.slope(x)[i]).sum();
        vec![slope(0), slope(1)]
    }

    fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64 {
        let term = |b: &Bump| b.value(x) * (b.slope(x)[i] * b.slope(x)[j] + b.bend(i, j));
        Self::BUMPS.iter().map(term).sum()
    }
}
