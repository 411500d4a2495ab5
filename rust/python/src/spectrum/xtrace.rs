//! XTrace, with a Python function as the operator.

use landscape_core::spectrum::{Iteration, Precision, XTrace as Estimate};
use pyo3::prelude::*;

use super::held::{Held, each, run};
use super::slot::Slot;
use super::trace::{numbers, told};
use crate::boundary::{Dtype, table};
use crate::gate;

type Either = Held<Estimate<f32>, Estimate<f64>>;

/// The trace from exchangeable vectors.
#[pyclass(frozen, module = "landscape._core")]
pub struct XTrace(Slot<Either>);

#[pymethods]
impl XTrace {
    #[new]
    #[pyo3(signature = (
        dim, dtype, *, relative, absolute, max_products, level, rows, block, seed,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        dim: usize,
        dtype: Dtype,
        relative: f64,
        absolute: f64,
        max_products: usize,
        level: f64,
        rows: usize,
        block: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let precision = Precision { relative, absolute, max_products, level };
        let held = match dtype {
            Dtype::F32 => Estimate::new(dim, precision, rows, block, seed).map(Held::F32),
            Dtype::F64 => Estimate::new(dim, precision, rows, block, seed).map(Held::F64),
        };
        held.map(|held| Self(Slot::new(held))).map_err(gate::exception)
    }

    fn run(&self, py: Python<'_>, apply: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| {
            each!(held, estimate => run(py, estimate, apply, &tick, |py, now| {
                told(py, now.products(), now.probes(), &now.mean())
            }))
        })
    }

    #[getter]
    fn products(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, estimate => estimate.products()))
    }

    #[getter]
    fn probes(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, estimate => estimate.probes()))
    }

    #[getter]
    fn status(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, estimate => estimate.status().name()))
    }

    fn means<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mean = self.0.with(|held| each!(held, estimate => estimate.mean()))?;
        Ok(table(py, numbers(&mean).to_vec(), 4)?.into_any())
    }

    fn sketch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| {
            each!(held, estimate => {
                Ok(table(py, estimate.sketch().to_vec(), estimate.dim())?.into_any())
            })
        })?
    }
}
