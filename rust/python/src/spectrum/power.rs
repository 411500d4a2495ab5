//! Power iteration, with a Python function as the operator.

use landscape_core::Scalar;
use landscape_core::spectrum::{Iteration, Options, Power};
use numpy::Element;
use pyo3::prelude::*;

use super::held::{Held, each, run};
use super::lanczos::told;
use super::slot::Slot;
use crate::boundary::{Dtype, Ends, array, table};
use crate::gate;

type Either = Held<Power<f32>, Power<f64>>;

/// Shifted power iteration with deflation.
#[pyclass(frozen, module = "landscape._core")]
pub struct PowerIteration(Slot<Either>);

#[pymethods]
impl PowerIteration {
    #[new]
    #[pyo3(signature = (dim, dtype, *, count, which, tolerance, max_products, seed))]
    fn new(
        dim: usize,
        dtype: Dtype,
        count: usize,
        which: Ends,
        tolerance: f64,
        max_products: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let which = which.0;
        let options = Options { dim, count, which, tolerance, basis: dim, max_products, seed };
        let held = match dtype {
            Dtype::F32 => Power::new(options).map(Held::F32),
            Dtype::F64 => Power::new(options).map(Held::F64),
        };
        held.map(|held| Self(Slot::new(held))).map_err(gate::exception)
    }

    fn run(&self, py: Python<'_>, apply: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| {
            each!(held, iteration => run(py, iteration, apply, &tick, |py, now| {
                told(py, (now.products(), now.converged()), now.values(), now.residuals())
            }))
        })
    }

    #[getter]
    fn products(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, iteration => iteration.products()))
    }

    #[getter]
    fn scale(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, iteration => iteration.scale()))
    }

    #[getter]
    fn status(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, iteration => iteration.status().name()))
    }

    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| array(py, each!(held, iteration => iteration.values())))
    }

    fn residuals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| array(py, each!(held, iteration => iteration.residuals())))
    }

    fn bounds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| array(py, each!(held, iteration => iteration.bounds())))
    }

    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.lend(|held| each!(held, iteration => vectors(py, iteration)))
    }
}

fn vectors<'py, S: Scalar + Element>(
    py: Python<'py>,
    iteration: &Power<S>,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = gate::enter(py, || Ok(iteration.vectors()))?;
    Ok(table(py, rows, iteration.options().dim)?.into_any())
}
