//! Walks within a minimum, with a Python object as the supplier of the loss.

use landscape_core::walk::{WalkOptions, Walker as Inner};
use landscape_core::{Cancel, Scalar};
use numpy::{Element, PyArray2};
use pyo3::prelude::*;

use crate::boundary::{Dtype, array, dtype, matrix, table, vector};
use crate::gate;
use crate::spectrum::held::{Held, each};
use crate::spectrum::slot::Slot;
use crate::supplier::Supplier;

type Either = Held<Inner<f32>, Inner<f64>>;

/// Steps along flat directions.
#[pyclass(frozen, module = "landscape._core")]
pub struct Walker(Slot<Either>);

#[pymethods]
impl Walker {
    #[new]
    #[pyo3(signature = (
        objective, theta, *, distance, tolerance, flat, stride, max_steps, krylov, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: Py<PyAny>,
        theta: &Bound<'_, PyAny>,
        distance: f64,
        tolerance: f64,
        flat: f64,
        stride: f64,
        max_steps: usize,
        krylov: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let options = WalkOptions { distance, tolerance, flat, stride, max_steps, krylov, seed };
        let held = match dtype(theta)? {
            Dtype::F32 => Held::F32(begin(py, objective, theta, options)?),
            Dtype::F64 => Held::F64(begin(py, objective, theta, options)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        points: &Bound<'_, PyAny>,
        direction: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let held = match dtype(points)? {
            Dtype::F32 => Held::F32(resume(record, points, direction)?),
            Dtype::F64 => Held::F64(resume(record, points, direction)?),
        };
        Ok(Self(Slot::new(held)))
    }

    fn run(&self, py: Python<'_>, objective: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| each!(held, walk => run(py, walk, objective, &tick)))
    }

    #[getter]
    fn arrival(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, walk => walk.arrival().name()))
    }

    #[getter]
    fn counts(&self) -> PyResult<(usize, usize)> {
        self.0.with(|held| each!(held, walk => walk.counts()))
    }

    fn points<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| {
            each!(held, walk => {
                Ok(table(py, walk.points().to_vec(), walk.dim())?.into_any())
            })
        })?
    }

    fn direction<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, walk => array(py, walk.direction().to_vec())))
    }

    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let strides = self.0.with(|held| each!(held, walk => walk.strides().to_vec()))?;
        let row =
            |s: &landscape_core::walk::Stride| [s.loss, s.distance, s.length, s.curvature, s.scale];
        table(py, strides.iter().flat_map(row).collect(), 5)
    }

    fn record(&self) -> PyResult<String> {
        self.0.with(|held| each!(held, walk => walk.record()))
    }
}

fn begin<S: Scalar + Element>(
    py: Python<'_>,
    object: Py<PyAny>,
    theta: &Bound<'_, PyAny>,
    options: WalkOptions,
) -> PyResult<Inner<S>> {
    let start = vector::<S>(theta)?.as_slice()?.to_vec();
    gate::enter(py, || {
        let supplier = Supplier { object, dim: start.len() };
        Inner::new(&supplier, start, options, &Cancel::new())
    })
}

fn resume<S: Scalar + Element>(
    record: &str,
    points: &Bound<'_, PyAny>,
    direction: &Bound<'_, PyAny>,
) -> PyResult<Inner<S>> {
    let points = matrix::<S>(points)?.as_slice()?.to_vec();
    let direction = vector::<S>(direction)?.as_slice()?.to_vec();
    Inner::resumed(record, points, direction).map_err(gate::exception)
}

fn run<S: Scalar + Element>(
    py: Python<'_>,
    walk: &mut Inner<S>,
    object: Py<PyAny>,
    tick: &Py<PyAny>,
) -> PyResult<bool> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: walk.dim() };
        walk.run(&supplier, &Cancel::new(), |now| {
            let last = now.strides().last().copied().unwrap_or_default();
            gate::tell(tick, (now.strides().len() - 1, last.loss, last.distance))
        })
    })
}
