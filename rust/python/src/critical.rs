//! Searches for critical points, with a Python object as the supplier of the loss.

use landscape_core::critical::{Method, Search as Inner, SearchOptions};
use landscape_core::{Cancel, Scalar};
use numpy::{Element, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Dtype, array, dtype, one_of, table, vector};
use crate::gate;
use crate::spectrum::held::{Held, each};
use crate::spectrum::slot::Slot;
use crate::supplier::Supplier;

type Either = Held<Inner<f32>, Inner<f64>>;

/// A [`Method`] by its name.
pub struct Way(Method);

impl FromPyObject<'_, '_> for Way {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [("newton_mr", Method::NewtonMr), ("saddle_free", Method::SaddleFree)];
        one_of(&object, &names).map(Self)
    }
}

/// Steps until a point is critical.
#[pyclass(frozen, module = "landscape._core")]
pub struct Search(Slot<Either>);

#[pymethods]
impl Search {
    #[new]
    #[pyo3(signature = (
        objective, theta, *, method, tolerance, max_steps, krylov, negative, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: Py<PyAny>,
        theta: &Bound<'_, PyAny>,
        method: Way,
        tolerance: f64,
        max_steps: usize,
        krylov: usize,
        negative: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let options =
            SearchOptions { method: method.0, tolerance, max_steps, krylov, negative, seed };
        let held = match dtype(theta)? {
            Dtype::F32 => Held::F32(begin(py, objective, theta, options)?),
            Dtype::F64 => Held::F64(begin(py, objective, theta, options)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        theta: &Bound<'_, PyAny>,
        gradient: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let held = match dtype(theta)? {
            Dtype::F32 => Held::F32(resume(record, theta, gradient)?),
            Dtype::F64 => Held::F64(resume(record, theta, gradient)?),
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
        self.0.with(|held| each!(held, search => search.point().loss))
    }

    #[getter]
    fn gradient_norm(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, search => search.point().norm))
    }

    #[getter]
    fn products(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, search => search.products()))
    }

    #[getter]
    fn evaluations(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, search => search.evaluations()))
    }

    fn theta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, search => array(py, search.point().theta.clone())))
    }

    fn gradient<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, search => array(py, search.point().gradient.clone())))
    }

    fn steps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let steps = self.0.with(|held| each!(held, search => search.steps().to_vec()))?;
        let rows = steps.iter().flat_map(|step| [step.loss, step.gradient_norm, step.length]);
        table(py, rows.collect(), 3)
    }

    fn record(&self) -> PyResult<String> {
        self.0.with(|held| each!(held, search => search.record()))
    }
}

fn begin<S: Scalar + Element>(
    py: Python<'_>,
    object: Py<PyAny>,
    theta: &Bound<'_, PyAny>,
    options: SearchOptions,
) -> PyResult<Inner<S>> {
    let start = vector::<S>(theta)?.as_slice()?.to_vec();
    gate::enter(py, || {
        let supplier = Supplier { object, dim: start.len() };
        Inner::new(&supplier, start, options, &Cancel::new())
    })
}

fn resume<S: Scalar + Element>(
    record: &str,
    theta: &Bound<'_, PyAny>,
    gradient: &Bound<'_, PyAny>,
) -> PyResult<Inner<S>> {
    let (theta, gradient) = (vector::<S>(theta)?, vector::<S>(gradient)?);
    let (theta, gradient) = (theta.as_slice()?.to_vec(), gradient.as_slice()?.to_vec());
    if theta.len() != gradient.len() {
        return Err(PyValueError::new_err(format!(
            "got {} parameters and {} slopes; pass one for each",
            theta.len(),
            gradient.len()
        )));
    }
    Inner::resumed(record, theta, gradient).map_err(gate::exception)
}

fn run<S: Scalar + Element>(
    py: Python<'_>,
    search: &mut Inner<S>,
    object: Py<PyAny>,
    tick: &Py<PyAny>,
) -> PyResult<bool> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: search.point().theta.len() };
        search.run(&supplier, &Cancel::new(), |now| {
            gate::tell(tick, (now.steps().len() - 1, now.point().loss, now.point().norm))
        })
    })
}
