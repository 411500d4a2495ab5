//! The grid driver on a Python function.

use landscape_core::surface::{Grid, Schedule};
use landscape_core::{Cancel, Error, Monitor, Progress, Subspace};
use pyo3::prelude::*;

use crate::boundary::{Doubles, returned, table};
use crate::gate;

/// Evaluates a function on a grid, chunk by chunk.
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
) -> PyResult<()> {
    gate::enter(py, || {
        let subspace = CallbackSubspace { evaluate, dim: axes.len(), columns };
        let mut monitor = TickMonitor { tick, columns };
        Grid::new(axes.into_iter().map(|axis| axis.0).collect())?.evaluate(
            &subspace,
            Schedule { chunk, start },
            &mut monitor,
            // Ctrl-C is handled in the callbacks, where it is an exception.
            &Cancel::new(),
        )
    })
}

/// A subspace whose values a Python function computes: (k, dim) coordinates to (k, columns) values.
struct CallbackSubspace {
    evaluate: Py<PyAny>,
    dim: usize,
    columns: usize,
}

impl Subspace for CallbackSubspace {
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

/// Passes progress to a Python function.
struct TickMonitor {
    tick: Py<PyAny>,
    columns: usize,
}

impl Monitor for TickMonitor {
    fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        gate::reenter(|py| {
            let values = table(py, progress.values.to_vec(), self.columns)?;
            self.tick.bind(py).call1((progress.done, values)).map(drop)
        })
    }
}
