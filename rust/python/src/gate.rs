//! The gate through which every long call passes: the GIL, signals and errors.

use landscape_core::Error;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// Runs `work` with the GIL released, and turns its error into a Python exception.
pub fn enter<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(exception)
}

/// Takes the GIL for a call back into Python, whose exception will leave the gate as the same object.
///
/// Signals that arrived while Rust worked are handled here, on the main thread as Python demands it:
/// this is where Ctrl-C becomes a `KeyboardInterrupt`.
pub fn reenter<T>(call: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T, Error> {
    Python::attach(|py| {
        let value = call(py)?;
        py.check_signals()?;
        Ok(value)
    })
    .map_err(|raised: PyErr| Error::supplier(raised))
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
