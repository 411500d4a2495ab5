//! Symmetric linear operators that are known by their products.

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::scalar::Scalar;

/// A symmetric matrix A that is known by its products A v.
pub trait LinearOperator<S: Scalar> {
    /// The number of rows, and of columns.
    fn dim(&self) -> usize;

    /// A v for k vectors at once: `block` and `out` are row-major (k, dim), one vector a row.
    ///
    /// # Errors
    /// [`Error::Supplier`] when a product cannot be computed, [`Error::Cancelled`] on request.
    fn apply(&self, block: &[S], out: &mut [S], cancel: &Cancel) -> Result<(), Error>;
}

/// A symmetric matrix stored entry by entry, for tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    entries: Vec<f64>,
    dim: usize,
}

impl Dense {
    /// The matrix with these entries, row-major (dim, dim).
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the entries are dim² > 0 in number and symmetric bit for bit.
    pub fn new(entries: Vec<f64>, dim: usize) -> Result<Self, Error> {
        require!(dim > 0, "got a matrix of 0 rows; pass at least one");
        require!(
            entries.len() == dim * dim,
            "got {} entries for a matrix of {dim} rows; pass {}",
            entries.len(),
            dim * dim
        );
        let matrix = Self { entries, dim };
        for i in 0..dim {
            for j in 0..i {
                let (lower, upper) = (matrix.entry(i, j), matrix.entry(j, i));
                require!(
                    lower.to_bits() == upper.to_bits(),
                    "entry ({i}, {j}) is {lower} and entry ({j}, {i}) is {upper}; \
                     pass a symmetric matrix"
                );
            }
        }
        Ok(matrix)
    }

    /// The entry in row i and column j.
    #[must_use]
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        self.entries[i * self.dim + j]
    }

    /// A x in f64.
    #[must_use]
    pub fn product(&self, x: &[f64]) -> Vec<f64> {
        let row_product = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum();
        self.entries.chunks(self.dim.max(1)).map(row_product).collect()
    }
}

impl<S: Scalar> LinearOperator<S> for Dense {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&self, block: &[S], out: &mut [S], cancel: &Cancel) -> Result<(), Error> {
        for (vector, image) in block.chunks(self.dim).zip(out.chunks_mut(self.dim)) {
            cancel.check()?;
            let wide: Vec<f64> = vector.iter().map(|value| value.widen()).collect();
            for (entry, product) in image.iter_mut().zip(self.product(&wide)) {
                *entry = S::narrow(product);
            }
        }
        Ok(())
    }
}

/// A + σ I: the eigenvectors of A, every eigenvalue shifted by σ.
pub struct Shifted<'a, S: Scalar> {
    operator: &'a dyn LinearOperator<S>,
    shift: f64,
}

impl<'a, S: Scalar> Shifted<'a, S> {
    /// The operator A + `shift` · I.
    #[must_use]
    pub fn new(operator: &'a dyn LinearOperator<S>, shift: f64) -> Self {
        Self { operator, shift }
    }
}

impl<S: Scalar> LinearOperator<S> for Shifted<'_, S> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&self, block: &[S], out: &mut [S], cancel: &Cancel) -> Result<(), Error> {
        self.operator.apply(block, out, cancel)?;
        for (image, value) in out.iter_mut().zip(block) {
            *image = S::narrow(image.widen() + self.shift * value.widen());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Dense {
        Dense::new(vec![2.0, 1.0, 1.0, 3.0], 2).expect("symmetric")
    }

    #[test]
    fn a_block_of_vectors_is_multiplied_row_by_row() {
        let mut out = [0.0_f32; 4];
        example().apply(&[1.0, 0.0, 1.0, -1.0], &mut out, &Cancel::new()).expect("finite");
        assert_eq!(out, [2.0, 1.0, 1.0, -2.0]);
    }

    #[test]
    fn a_shift_moves_the_diagonal() {
        let matrix = example();
        let mut out = [0.0; 2];
        Shifted::new(&matrix, -2.0).apply(&[1.0, 1.0], &mut out, &Cancel::new()).expect("finite");
        assert_eq!(out, [1.0, 2.0]);
    }

    #[test]
    fn an_asymmetric_matrix_is_refused() {
        let error = Dense::new(vec![2.0, 1.0, 0.0, 3.0], 2).expect_err("asymmetric");
        assert!(error.to_string().contains("(1, 0) is 0 and entry (0, 1) is 1"), "{error}");
    }

    #[test]
    fn a_product_stops_when_cancelled() {
        let cancel = Cancel::new();
        cancel.request();
        let stopped = example().apply(&[1.0, 1.0], &mut [0.0; 2], &cancel);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
