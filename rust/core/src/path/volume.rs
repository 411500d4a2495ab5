//! The logarithm of a simplex's volume, and its gradient.

use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::vector::{combine, gram};

/// A squared height below this many units of rounding of the squared edge counts as zero.
const FLAT: f64 = 16.0 * f64::EPSILON;

/// log V = ½ log det G − log k! of the simplex with these k + 1 corners, Gⱼₗ = ⟨vⱼ − v₀, vₗ − v₀⟩; −∞
/// where the corners lie in an affine subspace of fewer dimensions. V has units of length to the k.
///
/// # Errors
/// [`Error::Invalid`] when there is no corner, or they are not of one length.
pub fn log_volume<S: Scalar>(corners: &[&[S]]) -> Result<f64, Error> {
    Ok(EdgeGram::factorise(corners)?.log_volume())
}

/// The Cholesky factor L of the Gram matrix of the edges from the first corner.
pub(super) struct EdgeGram {
    /// Row by row; None where the simplex has no volume.
    lower: Option<Vec<Vec<f64>>>,
    count: usize,
}

impl EdgeGram {
    /// # Errors
    /// [`Error::Invalid`] when there is no corner, or they are not of one length.
    pub fn factorise<S: Scalar>(corners: &[&[S]]) -> Result<Self, Error> {
        require!(!corners.is_empty(), "got a simplex without corners; pass at least one");
        let edge = |corner: &&[S]| combine(&[*corner, corners[0]], &[1.0, -1.0]);
        let edges = corners[1..].iter().map(edge).collect::<Result<Vec<_>, _>>()?;
        let products = gram(&edges.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let count = edges.len();
        Ok(Self { lower: cholesky(&products, count), count })
    }

    pub fn log_volume(&self) -> f64 {
        let Some(lower) = &self.lower else { return f64::NEG_INFINITY };
        // The diagonal of L holds the height of each corner above those before it.
        let terms = lower.iter().enumerate();
        terms.map(|(j, row)| libm::log(row[j]) - libm::log((j + 1) as f64)).sum()
    }

    /// ∂ log V / ∂vₖ for the last corner vₖ, as coefficients of all corners: the height vector over its
    /// squared length, Σₗ (G⁻¹)ₖₗ (vₗ − v₀). None where there is no volume.
    pub fn gradient(&self) -> Option<Vec<f64>> {
        let lower = self.lower.as_ref().filter(|_| self.count > 0)?;
        // L' x = eₖ / Lₖₖ solves L L' x = eₖ, for the last unit vector eₖ.
        let mut solved = vec![0.0; self.count];
        let last = self.count - 1;
        solved[last] = 1.0 / lower[last][last];
        for j in (0..self.count).rev() {
            let known: f64 = (j + 1..self.count).map(|l| lower[l][j] * solved[l]).sum();
            solved[j] = (solved[j] - known) / lower[j][j];
        }
        let sum: f64 = solved.iter().sum();
        Some([&[-sum], solved.as_slice()].concat())
    }
}

/// The factor L of a symmetric matrix L L'; None where a pivot vanishes.
fn cholesky(matrix: &[f64], order: usize) -> Option<Vec<Vec<f64>>> {
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(order);
    for i in 0..order {
        let mut row: Vec<f64> = Vec::with_capacity(order);
        for j in 0..i {
            let known: f64 = row.iter().zip(&lower[j]).map(|(a, b)| a * b).sum();
            row.push((matrix[i * order + j] - known) / lower[j][j]);
        }
        let square = matrix[i * order + i];
        let pivot = square - row.iter().map(|value| value * value).sum::<f64>();
        if pivot.is_nan() || pivot <= FLAT * square {
            return None;
        }
        row.push(pivot.sqrt());
        lower.push(row);
    }
    Some(lower)
}
