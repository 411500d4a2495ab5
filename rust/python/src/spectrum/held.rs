//! Iterations of either storage type, and the one way in which all of them run.

use landscape_core::spectrum::Iteration;
use landscape_core::{Cancel, Scalar};
use numpy::Element;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::callback::Callback;
use crate::gate;

/// An iteration of one of the storage types.
pub enum Held<A, B> {
    F32(A),
    F64(B),
}

/// Runs the same code on an iteration of either storage type.
macro_rules! each {
    ($held:expr, $iteration:ident => $body:expr) => {
        match $held {
            $crate::spectrum::held::Held::F32($iteration) => $body,
            $crate::spectrum::held::Held::F64($iteration) => $body,
        }
    };
}
pub(crate) use each;

/// Goes on until the iteration has ended, or the Python function `tick` says false; `told` makes its
/// arguments.
pub fn run<S: Scalar + Element, I: Iteration<S> + Send>(
    py: Python<'_>,
    iteration: &mut I,
    apply: Py<PyAny>,
    tick: &Py<PyAny>,
    told: impl for<'py> Fn(Python<'py>, &I) -> PyResult<Bound<'py, PyTuple>> + Sync,
) -> PyResult<bool> {
    gate::enter(py, || {
        let operator = Callback { apply, dim: iteration.dim() };
        iteration.run(&operator, &Cancel::new(), |iteration| {
            gate::reenter(|py| tick.bind(py).call1(told(py, iteration)?)?.is_truthy())
        })
    })
}
