//! A Python function as a symmetric operator.

use landscape_core::{Cancel, Error, LinearOperator, Solver};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::boundary::{Storage, returned};
use crate::gate;

/// An operator whose products a Python function computes: (k, dim) vectors to (k, dim) products, both
/// of the dtype of `S`.
pub struct CallbackOperator {
    pub apply: Py<PyAny>,
    pub dim: usize,
}

impl<S: Storage> LinearOperator<S> for CallbackOperator {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&self, block: &[S], out: &mut [S], _: &Cancel) -> Result<(), Error> {
        gate::reenter(|py| {
            let shape = [block.len() / self.dim, self.dim];
            let vectors: Bound<'_, PyArray2<S>> = PyArray1::from_slice(py, block).reshape(shape)?;
            let products = self.apply.bind(py).call1((vectors,))?;
            out.copy_from_slice(returned::<S>(&products, shape)?.as_slice()?);
            Ok(())
        })
    }
}

/// Works with a solver on a Python function, with the GIL released.
pub fn with_operator<T, R>(
    py: Python<'_>,
    apply: &Bound<'_, PyAny>,
    solver: &mut T,
    work: impl FnOnce(&mut T, &dyn LinearOperator<T::Scalar>) -> Result<R, Error> + Send,
) -> PyResult<R>
where
    T: Solver + Send,
    T::Scalar: Storage,
    R: Send,
{
    let operator = CallbackOperator { apply: apply.clone().unbind(), dim: solver.dim() };
    gate::enter(py, || work(solver, &operator))
}
