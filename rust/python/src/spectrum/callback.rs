//! A Python function as a symmetric operator.

use landscape_core::{Cancel, Error, LinearOperator, Scalar};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::boundary::returned;
use crate::gate;

/// An operator whose products a Python function computes: (k, dim) vectors to (k, dim) products, both
/// of the dtype of `S`.
pub struct Callback {
    pub apply: Py<PyAny>,
    pub dim: usize,
}

impl<S: Scalar + Element> LinearOperator<S> for Callback {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&self, block: &[S], out: &mut [S], _: &Cancel) -> Result<(), Error> {
        gate::reenter(|py| {
            let shape = [block.len() / self.dim, self.dim];
            let vectors: Bound<'_, PyArray2<S>> = PyArray1::from_slice(py, block).reshape(shape)?;
            let found = self.apply.bind(py).call1((vectors,))?;
            out.copy_from_slice(returned::<S>(&found, shape)?.as_slice()?);
            Ok(())
        })
    }
}
