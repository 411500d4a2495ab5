//! Simplices through minima.

use landscape_core::path::{
    Simplices as Inner, SimplicesOptions, log_volume, simplex_weights as weights,
};
use landscape_core::{Cancel, Gaussian, Scalar};
use numpy::{Element, PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{Descent, cycles};
use crate::boundary::{Dtype, array, dtype, matrix, table, vector};
use crate::gate;
use crate::spectrum::held::{Held, each};
use crate::spectrum::slot::Slot;
use crate::supplier::Supplier;

type Either = Held<Inner<f32>, Inner<f64>>;

/// Barycentric weights of points that are uniform in a simplex.
#[pyfunction]
#[pyo3(signature = (corners, count, *, seed, stream))]
pub fn simplex_weights(
    py: Python<'_>,
    corners: usize,
    count: usize,
    seed: u64,
    stream: u64,
) -> PyResult<Bound<'_, PyArray2<f64>>> {
    if corners == 0 {
        return Err(PyValueError::new_err("got a simplex without corners; pass at least one"));
    }
    table(py, weights(&Gaussian::new(seed, stream), 0, count, corners), corners)
}

/// The logarithm of a simplex's volume.
#[pyfunction]
#[pyo3(signature = (corners))]
pub fn simplex_log_volume(py: Python<'_>, corners: &Bound<'_, PyAny>) -> PyResult<f64> {
    match dtype(corners)? {
        Dtype::F32 => volume::<f32>(py, corners),
        Dtype::F64 => volume::<f64>(py, corners),
    }
}

fn volume<S: Scalar + Element>(py: Python<'_>, corners: &Bound<'_, PyAny>) -> PyResult<f64> {
    let corners = matrix::<S>(corners)?;
    let dim = corners.shape()[1];
    let rows = corners.as_slice()?;
    gate::enter(py, || log_volume(&rows.chunks(dim.max(1)).collect::<Vec<_>>()))
}

/// Connecting points of simplices through minima.
#[pyclass(frozen, module = "landscape._core")]
pub struct Simplices(Slot<Either>);

#[pymethods]
impl Simplices {
    #[new]
    #[pyo3(signature = (
        objective, minima, *, connectors, cycles, rule, samples, volume, spread, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: Py<PyAny>,
        minima: &Bound<'_, PyAny>,
        connectors: usize,
        cycles: Vec<(usize, f64)>,
        rule: Descent,
        samples: usize,
        volume: f64,
        spread: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let options = SimplicesOptions {
            connectors,
            cycles: self::cycles(&cycles),
            rule: rule.0,
            samples,
            volume,
            spread,
            seed,
        };
        let held = match dtype(minima)? {
            Dtype::F32 => Held::F32(begin(py, objective, minima, options)?),
            Dtype::F64 => Held::F64(begin(py, objective, minima, options)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        vertices: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let held = match dtype(vertices)? {
            Dtype::F32 => Held::F32(resume(record, vertices, memory)?),
            Dtype::F64 => Held::F64(resume(record, vertices, memory)?),
        };
        Ok(Self(Slot::new(held)))
    }

    fn run(&self, py: Python<'_>, objective: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| each!(held, search => run(py, search, objective, &tick)))
    }

    #[getter]
    fn ending(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, search => search.ending().name()))
    }

    #[getter]
    fn loss(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, search => search.loss()))
    }

    #[getter]
    fn log_volume(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, search => search.log_volume()))
    }

    #[getter]
    fn done(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, search => search.steps()))
    }

    #[getter]
    fn evaluations(&self) -> PyResult<u64> {
        self.0.with(|held| each!(held, search => search.evaluations()))
    }

    fn simplices(&self) -> PyResult<Vec<Vec<usize>>> {
        self.0.with(|held| {
            each!(held, search => {
                let complex = search.complex();
                (0..complex.modes()).map(|mode| complex.simplex(mode)).collect()
            })
        })
    }

    fn vertices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| {
            each!(held, search => {
                let complex = search.complex();
                Ok(table(py, complex.rows().to_vec(), complex.dim())?.into_any())
            })
        })?
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, search => array(py, search.memory())))
    }

    fn record(&self) -> PyResult<String> {
        self.0.with(|held| each!(held, search => search.record()))
    }
}

fn begin<S: Scalar + Element>(
    py: Python<'_>,
    object: Py<PyAny>,
    minima: &Bound<'_, PyAny>,
    options: SimplicesOptions,
) -> PyResult<Inner<S>> {
    let minima = matrix::<S>(minima)?;
    let dim = minima.shape()[1];
    let rows = minima.as_slice()?.to_vec();
    gate::enter(py, || Inner::new(&Supplier { object, dim }, rows, options))
}

fn resume<S: Scalar + Element>(
    record: &str,
    vertices: &Bound<'_, PyAny>,
    memory: &Bound<'_, PyAny>,
) -> PyResult<Inner<S>> {
    let (vertices, memory) = (matrix::<S>(vertices)?, vector::<S>(memory)?);
    let dim = vertices.shape()[1];
    let rows = vertices.as_slice()?.to_vec();
    Inner::resumed(record, dim, rows, memory.as_slice()?).map_err(gate::exception)
}

fn run<S: Scalar + Element>(
    py: Python<'_>,
    search: &mut Inner<S>,
    object: Py<PyAny>,
    tick: &Py<PyAny>,
) -> PyResult<bool> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: search.complex().dim() };
        search.run(&supplier, &Cancel::new(), |now| {
            gate::tell(tick, (now.steps(), now.loss(), now.log_volume()))
        })
    })
}
