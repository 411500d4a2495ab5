//! Elastic bands.

use landscape_core::path::{AutoNeb as Inner, AutoNebOptions};
use landscape_core::{Cancel, Scalar};
use numpy::{Element, PyArray2};
use pyo3::prelude::*;

use super::{Descent, cycles, looked, rows};
use crate::boundary::{Dtype, array, dtype, matrix, vector};
use crate::gate;
use crate::spectrum::held::{Held, each};
use crate::spectrum::slot::Slot;
use crate::supplier::Supplier;

type Either = Held<Inner<f32>, Inner<f64>>;

/// A band of pivots between two minima.
#[pyclass(frozen, module = "landscape._core")]
pub struct AutoNeb(Slot<Either>);

#[pymethods]
impl AutoNeb {
    #[new]
    #[pyo3(signature = (
        objective, first, last, *, cycles, rule, spring, climb, tolerance, pivots, max_pivots,
        insertion, between, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: Py<PyAny>,
        first: &Bound<'_, PyAny>,
        last: &Bound<'_, PyAny>,
        cycles: Vec<(usize, f64)>,
        rule: Descent,
        spring: Option<f64>,
        climb: usize,
        tolerance: f64,
        pivots: usize,
        max_pivots: usize,
        insertion: f64,
        between: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let options = AutoNebOptions {
            cycles: self::cycles(&cycles),
            rule: rule.0,
            spring,
            climb,
            tolerance,
            pivots,
            max_pivots,
            insertion,
            between,
            seed,
        };
        let held = match dtype(first)? {
            Dtype::F32 => Held::F32(begin(py, objective, first, last, options)?),
            Dtype::F64 => Held::F64(begin(py, objective, first, last, options)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        band: &Bound<'_, PyAny>,
        best: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let held = match dtype(band)? {
            Dtype::F32 => Held::F32(resume(record, band, best, memory)?),
            Dtype::F64 => Held::F64(resume(record, band, best, memory)?),
        };
        Ok(Self(Slot::new(held)))
    }

    fn run(&self, py: Python<'_>, objective: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| each!(held, band => run(py, band, objective, &tick)))
    }

    fn settle(&self, py: Python<'_>, objective: Py<PyAny>) -> PyResult<()> {
        self.0.lend(|held| each!(held, band => settle(py, band, objective)))
    }

    #[getter]
    fn ending(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, band => band.ending().name()))
    }

    #[getter]
    fn force(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, band => band.force()))
    }

    #[getter]
    fn done(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, band => band.steps()))
    }

    #[getter]
    fn evaluations(&self) -> PyResult<(usize, usize)> {
        self.0.with(|held| each!(held, band => band.evaluations()))
    }

    fn looks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        looked(py, &self.0.with(|held| each!(held, band => band.looks().to_vec()))?)
    }

    fn band<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, band => rows(py, band.band())))?
    }

    fn best<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, band => rows(py, band.best())))?
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, band => array(py, band.memory())))
    }

    fn record(&self) -> PyResult<String> {
        self.0.with(|held| each!(held, band => band.record()))
    }
}

fn begin<S: Scalar + Element>(
    py: Python<'_>,
    object: Py<PyAny>,
    first: &Bound<'_, PyAny>,
    last: &Bound<'_, PyAny>,
    options: AutoNebOptions,
) -> PyResult<Inner<S>> {
    let (first, last) = (vector::<S>(first)?, vector::<S>(last)?);
    let (first, last) = (first.as_slice()?, last.as_slice()?);
    gate::enter(py, || Inner::new(&Supplier { object, dim: first.len() }, first, last, options))
}

fn resume<S: Scalar + Element>(
    record: &str,
    band: &Bound<'_, PyAny>,
    best: &Bound<'_, PyAny>,
    memory: &Bound<'_, PyAny>,
) -> PyResult<Inner<S>> {
    let (band, best, memory) = (matrix::<S>(band)?, matrix::<S>(best)?, vector::<S>(memory)?);
    let dim = band.as_array().ncols();
    let (band, best) = (band.as_slice()?.to_vec(), best.as_slice()?.to_vec());
    Inner::resumed(record, dim, band, best, memory.as_slice()?).map_err(gate::exception)
}

fn run<S: Scalar + Element>(
    py: Python<'_>,
    band: &mut Inner<S>,
    object: Py<PyAny>,
    tick: &Py<PyAny>,
) -> PyResult<bool> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: band.band().dim() };
        band.run(&supplier, &Cancel::new(), |now| {
            gate::tell(tick, (now.steps(), now.barrier(), now.force()))
        })
    })
}

fn settle<S: Scalar + Element>(
    py: Python<'_>,
    band: &mut Inner<S>,
    object: Py<PyAny>,
) -> PyResult<()> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: band.band().dim() };
        band.settle(&supplier, &Cancel::new())
    })
}
