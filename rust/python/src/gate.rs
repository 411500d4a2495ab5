//! The gate through which every long call passes: the GIL, signals and errors.

use landscape_core::{Cancel, Error};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// Runs `work` with the GIL released, and turns its error into a Python exception.
pub fn enter<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Cancel) -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(|| work(&Cancel::new())).map_err(exception)
}

/// Takes the GIL for a call back into Python. What it raises leaves the gate as the same object.
pub fn reenter<T>(call: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T, Error> {
    Python::attach(call).map_err(Error::supplier)
}

/// Runs the handlers of signals that arrived since the GIL was released (on the main thread, where
/// Python runs them); Ctrl-C comes out as `KeyboardInterrupt`.
pub fn poll_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

fn exception(error: Error) -> PyErr {
    match error {
        Error::Invalid(advice) => PyValueError::new_err(advice),
        Error::Supplier(cause) => match cause.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(foreign) => PyRuntimeError::new_err(foreign.to_string()),
        },
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
    }
}
