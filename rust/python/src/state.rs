//! The state of a solver as a record and a dictionary of arrays.

use landscape_core::{Checkpoint, Resumable};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::{IntoArray, Rows, Storage, flat};
use crate::gate;

/// An array of a state.
pub fn item<'py>(arrays: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    arrays.get_item(name)?.ok_or_else(|| {
        PyKeyError::new_err(format!("got no array {name:?}; pass the arrays of `state`"))
    })
}

/// The record and the arrays of a solver. `columns` has the row length of each array; 0 where it is
/// one vector.
pub fn write_state<'py, T: Resumable>(
    py: Python<'py>,
    solver: &T,
    columns: impl Fn(&str) -> usize,
) -> PyResult<(String, Bound<'py, PyDict>)>
where
    T::Scalar: Storage,
{
    let checkpoint = solver.checkpoint();
    let arrays = PyDict::new(py);
    for (name, values) in checkpoint.vectors {
        arrays.set_item(name, shaped(py, values, columns(name))?)?;
    }
    for (name, values) in checkpoint.numbers {
        arrays.set_item(name, shaped(py, values, columns(name))?)?;
    }
    Ok((checkpoint.record, arrays))
}

fn shaped<S: Storage>(
    py: Python<'_>,
    values: Vec<S>,
    columns: usize,
) -> PyResult<Bound<'_, PyAny>> {
    if columns == 0 { values.into_array(py) } else { Rows(values, columns).into_array(py) }
}

/// A solver from a record and arrays by name: vectors of the storage type, of which the first has one
/// entry for each parameter, and numbers.
pub fn read_state<S: Storage, T>(
    record: String,
    arrays: &Bound<'_, PyDict>,
    (vectors, numbers): (&[&'static str], &[&'static str]),
    resume: impl FnOnce(Checkpoint<S>) -> Result<T, landscape_core::Error>,
) -> PyResult<T> {
    let read = |name: &&'static str| Ok((*name, flat::<S>(&item(arrays, name)?)?.0));
    let vectors: Vec<_> = vectors.iter().map(read).collect::<PyResult<_>>()?;
    let read = |name: &&'static str| Ok((*name, flat::<f64>(&item(arrays, name)?)?.0));
    let numbers = numbers.iter().map(read).collect::<PyResult<_>>()?;
    let dim = vectors.first().map_or(0, |(_, values)| values.len());
    gate::check(|| resume(Checkpoint { record, dim, vectors, numbers }))
}
