//! Quadratic forms of powers and functions of an operator.

use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::spectrum::products::Products;
use crate::spectrum::quadrature::{Quadrature, Quadratures};
use crate::vector::inner_product;

/// Steps of a quadrature between two looks at its value.
const LOOK: usize = 5;

/// What is computed of a vector v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// vᵀAv, vᵀA²v, … up to this power, from half as many products.
    Powers(usize),
    /// vᵀ log(A + shift) v, by Lanczos quadrature.
    Logarithm {
        /// What is added to every eigenvalue, so that all are positive.
        shift: f64,
        /// Relative change of the form below which a quadrature has settled.
        tolerance: f64,
        /// Products that one vector may take.
        steps: usize,
    },
}

/// The forms of some vectors.
pub(super) struct Forms<S> {
    /// One row a vector, one column a form.
    pub values: Vec<Vec<f64>>,
    /// A v, to a factor, row-major.
    pub images: Vec<S>,
}

impl Form {
    pub(super) fn checked(self) -> Result<Self, Error> {
        match self {
            Self::Powers(count) => require!(count > 0, "got no powers; pass at least 1"),
            Self::Logarithm { shift, steps, .. } => require!(
                shift.is_finite() && steps > 0,
                "got shift {shift} and {steps} steps; pass a finite shift and at least 1 step"
            ),
        }
        Ok(self)
    }

    /// Numbers of one vector.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Powers(count) => count,
            Self::Logarithm { .. } => 1,
        }
    }

    /// Products of one vector; of a quadrature the most.
    pub(super) fn cost(self) -> usize {
        match self {
            Self::Powers(count) => count.div_ceil(2),
            Self::Logarithm { steps, .. } => steps,
        }
    }

    /// The forms of the rows of `block`.
    pub(super) fn of<S: Scalar>(
        self,
        products: &mut Products<'_, S>,
        block: &[S],
    ) -> Result<Forms<S>, Error> {
        match self {
            Self::Powers(count) => powers(products, block, count),
            Self::Logarithm { shift, tolerance, steps } => {
                logarithms(products, block, (shift, tolerance, steps))
            }
        }
    }
}

/// ⟨Aᵃv, Aᵇv⟩ with a + b = 1, …, count and b − a at most 1.
fn powers<S: Scalar>(
    products: &mut Products<'_, S>,
    block: &[S],
    count: usize,
) -> Result<Forms<S>, Error> {
    let dim = products.dim();
    let mut images = vec![block.to_vec()];
    for power in 1..=count.div_ceil(2) {
        let mut image = vec![S::default(); block.len()];
        products.apply(&images[power - 1], &mut image)?;
        images.push(image);
    }
    let form = |row: usize, order: usize| {
        let part = row * dim..(row + 1) * dim;
        inner_product(&images[order / 2][part.clone()], &images[order.div_ceil(2)][part])
    };
    let rows = 0..block.len() / dim;
    let values = rows.map(|row| (1..=count).map(|order| form(row, order)).collect()).collect();
    Ok(Forms { values, images: images.swap_remove(1) })
}

/// ‖v‖² Σᵢ wᵢ log(θᵢ + shift) over the nodes θ and weights w of v's quadrature.
fn logarithms<S: Scalar>(
    products: &mut Products<'_, S>,
    block: &[S],
    (shift, tolerance, steps): (f64, f64, usize),
) -> Result<Forms<S>, Error> {
    let dim = products.dim();
    let sizes: Vec<f64> = block.chunks(dim).map(|v| inner_product(v, v)).collect();
    let mut values = vec![f64::INFINITY; sizes.len()];
    let mut runs = Quadratures::new(block, dim, steps)?;
    loop {
        let more = runs.step(products)?;
        if more && !runs.steps().is_multiple_of(LOOK) {
            continue;
        }
        let mut settled = true;
        for ((value, size), found) in values.iter_mut().zip(&sizes).zip(runs.found()) {
            let sum = size * logarithm(&found, shift)?;
            settled &= (sum - *value).abs() <= tolerance * sum.abs();
            *value = sum;
        }
        if settled || runs.finished() {
            let values = values.into_iter().map(|value| vec![value]).collect();
            return Ok(Forms { values, images: runs.into_images() });
        }
        require!(
            more,
            "the quadrature of log(A + {shift}) still changed by more than {tolerance} of itself in \
             the last of {steps} products; raise steps or the shift"
        );
    }
}

/// Σᵢ wᵢ log(θᵢ + shift).
fn logarithm(quadrature: &Quadrature, shift: f64) -> Result<f64, Error> {
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
