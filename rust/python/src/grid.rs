//! The grid driver, with a Python function as the supplier of the loss.

use landscape_core::surface::{Grid, Schedule};
use landscape_core::{Cancel, Error, Monitor, Progress, Subspace};
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::boundary::{Doubles, returned, table};
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
    let values = gate::enter(py, || {
        let supplier = Callback { evaluate, dim: axes.len(), columns };
        let mut watcher = Watcher { tick, columns };
        Grid::new(axes.into_iter().map(|axis| axis.0).collect())?.evaluate(
            &supplier,
            Schedule { chunk, start },
            &mut watcher,
            // Ctrl-C comes through the callbacks, as an exception: nobody else asks to stop.
            &Cancel::new(),
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
            let coords = table(py, coords.to_vec(), self.dim)?;
            let values = self.evaluate.bind(py).call1((coords,))?;
            let values = returned(&values, [out.len() / self.columns, self.columns])?;
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
