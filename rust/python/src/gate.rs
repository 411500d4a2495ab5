//! The gate through which every long call passes: the GIL, signals and errors.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use landscape_core::{Cancel, Error};
use pyo3::exceptions::{PyFloatingPointError, PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// Runs `work` with the GIL released, and turns its error into a Python exception.
pub fn enter<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(exception)
}

/// Lets Python handle the signals that have arrived.
fn signals() -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        Ok(())
    })
}

/// How long Ctrl-C may go unnoticed in work that never calls back into Python.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs work that never calls back into Python on a thread of its own, while this one looks for
/// signals: Ctrl-C raises the work's flag, and becomes a `KeyboardInterrupt` when it has stopped.
pub fn watch<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Cancel) -> Result<T, Error> + Send,
) -> PyResult<T> {
    enter(py, || watch_detached(work))
}

/// The same where the GIL is released already; the exception is the error's cause.
pub fn watch_detached<T: Send>(
    work: impl FnOnce(&Cancel) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let cancel = &Cancel::new();
    let (done, wait) = channel();
    let (result, raised) = std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let result = work(cancel);
            // Nobody listens any more only if this thread is already being unwound.
            let _ = done.send(());
            result
        });
        let mut raised = None;
        while wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = signals() {
                cancel.request();
                raised.get_or_insert(error);
            }
        }
        (worker.join(), raised)
    });
    if let Some(raised) = raised {
        return Err(Error::supplier(raised));
    }
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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

/// Passes the progress of a solver to a Python function; whether the run continues.
pub fn tell(
    tick: &Py<PyAny>,
    progress: impl for<'a> pyo3::call::PyCallArgs<'a>,
) -> Result<bool, Error> {
    reenter(|py| tick.bind(py).call1(progress)?.is_truthy())
}

/// The Python exception that an error of the core becomes.
pub fn exception(error: Error) -> PyErr {
    match error {
        Error::Invalid(advice) => PyValueError::new_err(advice),
        Error::NonFinite(found) => PyFloatingPointError::new_err(found),
        Error::Supplier(cause) => match cause.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(foreign) => PyRuntimeError::new_err(foreign.to_string()),
        },
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
    }
}
