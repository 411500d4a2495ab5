//! The grid driver, with a Python function as the supplier of the loss.

use landscape_core::surface::{Grid, Schedule};
use landscape_core::{Cancel, Error, Monitor, Progress, Subspace};
use numpy::{PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Rows, table};
use crate::gate;

/// The values of `evaluate` on a grid, chunk by chunk.
#[pyfunction]
#[pyo3(signature = (evaluate, axes, *, columns, chunk, start, tick))]
pub fn grid(
    py: Python<'_>,
    evaluate: Py<PyAny>,
    axes: Vec<Doubles>,
    columns: usize,
    chunk: usize,
    start: usize,
    tick: Py<PyAny>,
) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let values = gate::enter(py, |cancel| {
        let supplier = Callback { evaluate, dim: axes.len(), columns };
        let mut watcher = Watcher { tick, columns };
        Grid::new(axes.into_iter().map(|axis| axis.0).collect())?.evaluate(
            &supplier,
            Schedule { chunk, start },
            &mut watcher,
            cancel,
        )
    })?;
    table(py, values, columns)
}

/// A subspace whose values a Python function computes: (k, dim) coordinates to (k, columns) values.
struct Callback {
    evaluate: Py<PyAny>,
    dim: usize,
    columns: usize,
}

impl Subspace for Callback {
    fn dim(&self) -> usize {
        self.dim
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        gate::reenter(|py| {
            let returned =
                self.evaluate.bind(py).call1((table(py, coords.to_vec(), self.dim)?,))?;
            let Rows(values) = returned.extract()?;
            let expected = [out.len() / self.columns, self.columns];
            if values.shape() != expected {
                return Err(PyValueError::new_err(format!(
                    "evaluate returned an array of shape {:?}; return one of {expected:?}",
                    values.shape()
                )));
            }
            out.copy_from_slice(values.as_slice()?);
            Ok(())
        })
    }
}

/// Tells a Python function about progress.
struct Watcher {
    tick: Py<PyAny>,
    columns: usize,
}

impl Monitor for Watcher {
    fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        gate::reenter(|py| {
            let values = table(py, progress.values.to_vec(), self.columns)?;
            self.tick.bind(py).call1((progress.done, values)).map(drop)
        })
    }
}
