//! A place for an iteration that is away while it runs, so that a callback finds it missing and not
//! locked.

use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

const AWAY: &str = "the iteration is running; use it after `run` has returned: `tick` is given \
                    products, values and residuals";

/// Holds an iteration while it does not run.
pub struct Slot<T>(Mutex<Option<T>>);

impl<T> Slot<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Looks at the iteration.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> PyResult<R> {
        let held = self.0.lock().map_err(|_| away())?;
        held.as_ref().map(look).ok_or_else(away)
    }

    /// Takes the iteration away for `work`, and puts it back whatever comes of it.
    pub fn lend<R>(&self, work: impl FnOnce(&mut T) -> PyResult<R>) -> PyResult<R> {
        let taken = self.0.lock().map_err(|_| away())?.take();
        let mut value = taken.ok_or_else(away)?;
        let result = work(&mut value);
        *self.0.lock().map_err(|_| away())? = Some(value);
        result
    }
}

fn away() -> PyErr {
    PyRuntimeError::new_err(AWAY)
}
