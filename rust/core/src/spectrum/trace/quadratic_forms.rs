//! Quadratic forms vᵀ f(A) v of powers and of the logarithm of an operator.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::scalar::Scalar;
use crate::spectrum::counted_operator::CountedOperator;
use crate::spectrum::quadrature::{BlockQuadrature, Quadrature};
use crate::vector::inner_product;

/// The number of quadrature steps between two tests of convergence.
const CHECK_INTERVAL: usize = 5;

/// Functions of a vector v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuadraticForm {
    /// vᵀAv, vᵀA²v, … up to this power, from half as many products.
    Powers(usize),
    /// vᵀ log(A + shift) v, by Lanczos quadrature.
    Logarithm {
        /// The shift that makes all eigenvalues positive.
        shift: f64,
        /// The relative change between tests below which the quadrature has converged.
        tolerance: f64,
        /// The maximum number of products of one vector.
        steps: usize,
    },
}

/// The values of quadratic forms at some vectors.
pub(super) struct FormValues<S> {
    /// Row-major: one row a vector, one column a form.
    pub values: Vec<Vec<f64>>,
    /// A v up to a factor, row-major.
    pub images: Vec<S>,
}

impl QuadraticForm {
    pub(super) fn validate(self) -> Result<Self, Error> {
        match self {
            Self::Powers(count) => require!(count > 0, "got no powers; pass at least 1"),
            Self::Logarithm { shift, steps, .. } => require!(
                shift.is_finite() && steps > 0,
                "got shift {shift} and {steps} steps; pass a finite shift and at least 1 step"
            ),
        }
        Ok(self)
    }

    /// Refuses forms of more vectors at once than fit into memory.
    ///
    /// # Errors
    /// [`Error::Memory`] with the bytes that they would take.
    pub(super) fn require_memory<S>(self, dim: usize, block: usize) -> Result<(), Error> {
        let (vectors, what) = match self {
            Self::Powers(count) => (count.div_ceil(2), format!("{count} powers")),
            Self::Logarithm { steps, .. } => (steps.min(dim), format!("{steps} steps")),
        };
        let what = format!("{what} of blocks of {block} vectors of {dim} entries");
        require_memory::<S>(&what, &[block, vectors.saturating_add(4), dim])?;
        require_memory::<f64>(&what, &[block, self.columns()]).map(drop)
    }

    /// The number of forms of one vector.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Powers(count) => count,
            Self::Logarithm { .. } => 1,
        }
    }

    /// Products of one vector; for a quadrature the maximum.
    pub(super) fn cost(self) -> usize {
        match self {
            Self::Powers(count) => count.div_ceil(2),
            Self::Logarithm { steps, .. } => steps,
        }
    }

    /// The values at the rows of `block`.
    ///
    /// # Errors
    /// Those of the operator, and [`Error::Invalid`] where the logarithm does not exist or its quadrature
    /// does not converge.
    pub(super) fn evaluate<S: Scalar>(
        self,
        operator: &mut CountedOperator<'_, S>,
        block: &[S],
    ) -> Result<FormValues<S>, Error> {
        match self {
            Self::Powers(count) => evaluate_powers(operator, block, count),
            Self::Logarithm { shift, tolerance, steps } => {
                evaluate_logarithms(operator, block, (shift, tolerance, steps))
            }
        }
    }
}

/// ⟨Aᵃv, Aᵇv⟩ with a + b = 1, …, count and b − a at most 1.
fn evaluate_powers<S: Scalar>(
    operator: &mut CountedOperator<'_, S>,
    block: &[S],
    count: usize,
) -> Result<FormValues<S>, Error> {
    let dim = operator.dim();
    let mut images = vec![block.to_vec()];
    for power in 1..=count.div_ceil(2) {
        let mut image = vec![S::default(); block.len()];
        operator.apply(&images[power - 1], &mut image)?;
        images.push(image);
    }
    let form = |row: usize, order: usize| {
        let range = row * dim..(row + 1) * dim;
        inner_product(&images[order / 2][range.clone()], &images[order.div_ceil(2)][range])
    };
    let rows = 0..block.len() / dim;
    let values = rows.map(|row| (1..=count).map(|order| form(row, order)).collect()).collect();
    Ok(FormValues { values, images: images.swap_remove(1) })
}

/// ‖v‖² Σᵢ wᵢ log(θᵢ + shift) over the nodes θ and weights w of v's quadrature.
fn evaluate_logarithms<S: Scalar>(
    operator: &mut CountedOperator<'_, S>,
    block: &[S],
    (shift, tolerance, steps): (f64, f64, usize),
) -> Result<FormValues<S>, Error> {
    let dim = operator.dim();
    let sizes: Vec<f64> = block.chunks(dim).map(|v| inner_product(v, v)).collect();
    let mut values = vec![f64::INFINITY; sizes.len()];
    let mut quadrature = BlockQuadrature::new(block, dim, steps)?;
    loop {
        let more = quadrature.step(operator)?;
        if more && !quadrature.steps().is_multiple_of(CHECK_INTERVAL) {
            continue;
        }
        let mut converged = true;
        for ((value, size), rule) in values.iter_mut().zip(&sizes).zip(quadrature.quadratures()) {
            let sum = size * integrate_logarithm(&rule, shift)?;
            converged &= (sum - *value).abs() <= tolerance * sum.abs();
            *value = sum;
        }
        if converged || quadrature.is_exact() {
            let values = values.into_iter().map(|value| vec![value]).collect();
            return Ok(FormValues { values, images: quadrature.into_images() });
        }
        require!(
            more,
            "the quadrature of log(A + {shift}) still changed by more than {tolerance} of itself in \
             the last of {steps} products; raise steps or the shift"
        );
    }
}

/// Σᵢ wᵢ log(θᵢ + shift).
fn integrate_logarithm(quadrature: &Quadrature, shift: f64) -> Result<f64, Error> {
    let mut sum = 0.0;
    for (node, weight) in quadrature.nodes.iter().zip(&quadrature.weights) {
        if node + shift <= 0.0 {
            return Err(Error::Invalid(format!(
                "A + {shift} has no logarithm: an eigenvalue of A is at most {node}; pass a shift \
                 above {}",
                -node
            )));
        }
        sum += weight * (node + shift).ln();
    }
    Ok(sum)
}
