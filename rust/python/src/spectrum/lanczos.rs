//! Lanczos, with a Python function as the operator.

use std::path::{Path, PathBuf};

use landscape_core::Scalar;
use landscape_core::spectrum::{Arrays, Iteration, Lanczos as Solver, Options};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::held::{Held, each, run};
use super::slot::Slot;
use crate::boundary::{Dtype, Ends, Vector, Vectors, array, dtype, matrix, slices, table, vector};
use crate::gate;

type Either = Held<Solver<f32>, Solver<f64>>;

/// Thick-restart Lanczos.
#[pyclass(frozen, module = "landscape._core")]
pub struct Lanczos(Slot<Either>);

#[pymethods]
impl Lanczos {
    #[new]
    #[pyo3(signature = (
        dim, dtype, *, count, which, tolerance, basis, max_products, seed, path = None,
        deflate = None, start = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        dim: usize,
        dtype: Dtype,
        count: usize,
        which: Ends,
        tolerance: f64,
        basis: usize,
        max_products: usize,
        seed: u64,
        path: Option<PathBuf>,
        deflate: Option<Vec<Vector<'_>>>,
        start: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let which = which.0;
        let options = Options { dim, count, which, tolerance, basis, max_products, seed };
        let path = path.as_deref();
        let held = match (dtype, Vectors::of(deflate.unwrap_or_default())?) {
            (Dtype::F32, Vectors::F32(rows)) => {
                let rows = slices(&rows)?;
                Held::F32(gate::enter(py, || Solver::new(options, path, &rows))?)
            }
            (Dtype::F64, Vectors::F64(rows)) => {
                let rows = slices(&rows)?;
                Held::F64(gate::enter(py, || Solver::new(options, path, &rows))?)
            }
            (Dtype::F32, Vectors::F64(rows)) if rows.is_empty() => {
                Held::F32(gate::enter(py, || Solver::new(options, path, &[]))?)
            }
            _ => return Err(mixed()),
        };
        let held = match (held, start) {
            (held, None) => held,
            (Held::F32(solver), Some(start)) => Held::F32(from(solver, &start)?),
            (Held::F64(solver), Some(start)) => Held::F64(from(solver, &start)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    #[pyo3(signature = (record, arrays, path = None))]
    fn resumed(
        py: Python<'_>,
        record: &str,
        arrays: &Bound<'_, PyDict>,
        path: Option<PathBuf>,
    ) -> PyResult<Self> {
        let path = path.as_deref();
        let held = match dtype(&entry(arrays, "basis")?)? {
            Dtype::F32 => Held::F32(resume(py, record, arrays, path)?),
            Dtype::F64 => Held::F64(resume(py, record, arrays, path)?),
        };
        Ok(Self(Slot::new(held)))
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

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.lend(|held| each!(held, iteration => state(py, iteration)))
    }
}

fn from<S: Scalar + Element>(solver: Solver<S>, start: &Bound<'_, PyAny>) -> PyResult<Solver<S>> {
    let start = vector::<S>(start)?;
    solver.from(start.as_slice()?).map_err(gate::exception)
}

fn mixed() -> PyErr {
    pyo3::exceptions::PyValueError::new_err(
        "got vectors to deflate of another dtype than the iteration's; convert them",
    )
}

/// What a tick is told of eigenpairs.
pub(super) fn told(
    py: Python<'_>,
    (products, converged): (usize, usize),
    values: Vec<f64>,
    residuals: Vec<f64>,
) -> PyResult<Bound<'_, PyTuple>> {
    (products, converged, array(py, values), array(py, residuals)).into_pyobject(py)
}

fn vectors<'py, S: Scalar + Element>(
    py: Python<'py>,
    iteration: &Solver<S>,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = gate::enter(py, || Ok(iteration.vectors()))?;
    Ok(table(py, rows, iteration.options().dim)?.into_any())
}

fn state<'py, S: Scalar + Element>(
    py: Python<'py>,
    iteration: &Solver<S>,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    let (record, arrays) = gate::enter(py, || Ok(iteration.state()))?;
    let order = arrays.projected.len().isqrt();
    let found = PyDict::new(py);
    found.set_item("basis", table(py, arrays.basis, iteration.options().dim)?)?;
    let projected = PyArray1::from_vec(py, arrays.projected).reshape([order, order])?;
    found.set_item("projected", projected)?;
    Ok((record, found))
}

pub(super) fn entry<'py>(arrays: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    arrays.get_item(name)?.ok_or_else(|| {
        PyKeyError::new_err(format!("got no array {name:?}; pass the arrays of `state`"))
    })
}

fn resume<S: Scalar + Element>(
    py: Python<'_>,
    record: &str,
    arrays: &Bound<'_, PyDict>,
    path: Option<&Path>,
) -> PyResult<Solver<S>> {
    let basis = matrix::<S>(&entry(arrays, "basis")?)?.as_slice()?.to_vec();
    let projected = matrix::<f64>(&entry(arrays, "projected")?)?.as_slice()?.to_vec();
    gate::enter(py, || Solver::resumed(record, &Arrays { basis, projected }, path))
}
