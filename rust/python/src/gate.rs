//! The gate through which every call passes: the GIL, signals, errors and panics.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use landscape_core::{Cancel, Error};
use pyo3::exceptions::{
    PyFloatingPointError, PyKeyboardInterrupt, PyMemoryError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;

/// Runs `work` with the GIL released, and turns its error into a Python exception.
pub fn enter<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    guard(|| py.detach(work).map_err(exception))
}

/// Runs short work, with the GIL held, and turns its error into a Python exception.
pub fn check<T>(work: impl FnOnce() -> Result<T, Error>) -> PyResult<T> {
    guard(|| work().map_err(exception))
}

/// Runs `work`, and turns a panic into a Python exception: a panic is a fault of this library, which
/// the user's own error handling should see as an ordinary error.
pub fn guard<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(fault(&*panic)))
}

thread_local! {
    /// Whether a panic was caught on this thread since [`take_fault`] was called.
    static FAULT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic was caught on this thread since the last call: what it was working on is lost.
pub fn take_fault() -> bool {
    FAULT.replace(false)
}

/// Where the last panic was, which its payload does not say.
static LOCATION: Mutex<String> = Mutex::new(String::new());

/// Keeps the location of a panic for [`guard`], and prints nothing.
pub fn record_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
    *LOCATION.lock().unwrap_or_else(PoisonError::into_inner) = location;
}

fn fault(panic: &(dyn Any + Send)) -> PyErr {
    FAULT.set(true);
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let location = LOCATION.lock().unwrap_or_else(PoisonError::into_inner).clone();
    PyRuntimeError::new_err(format!(
        "a fault of landscape {}, not of your call: {}{location}. Please report it with the call that \
         led to it; what was computed before is not affected",
        env!("CARGO_PKG_VERSION"),
        text.unwrap_or("no reason given")
    ))
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
    let slot = &Mutex::new(Some(work));
    let take = || slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (result, raised) = std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().spawn_scoped(scope, move || {
            let result = take().map(|work| work(cancel));
            // Nobody listens any more only if this thread is already being unwound.
            let _ = done.send(());
            result
        });
        let Ok(worker) = worker else {
            // The system refuses another thread: the work is done on this one.
            return (Ok(take().map(|work| work(cancel))), None);
        };
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
    let result = result.unwrap_or_else(|panic| resume_unwind(panic));
    result.unwrap_or(Err(Error::Cancelled))
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
        Error::Memory(needed) => PyMemoryError::new_err(needed),
        Error::Supplier(cause) => match cause.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(foreign) => PyRuntimeError::new_err(foreign.to_string()),
        },
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
    }
}
