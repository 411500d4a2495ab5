//! Traces of powers and of the logarithm, with a Python function as the operator.

use landscape_core::Scalar;
use landscape_core::spectrum::{
    Form, Iteration, Mean, Precision, Trace as Estimate, TraceArrays, TraceOptions,
};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::held::{Held, each, run};
use super::lanczos::entry;
use super::slot::Slot;
use crate::boundary::{Dtype, array, matrix, table, vector};
use crate::gate;

type Either = Held<Estimate<f32>, Estimate<f64>>;

/// A stochastic trace.
#[pyclass(frozen, module = "landscape._core")]
pub struct Trace(Slot<Either>);

#[pymethods]
impl Trace {
    #[new]
    #[pyo3(signature = (
        dim, dtype, *, powers, target, logarithm, relative, absolute, max_products, level, rows,
        block, seed, state = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        dim: usize,
        dtype: Dtype,
        powers: usize,
        target: usize,
        logarithm: Option<(f64, f64, usize)>,
        relative: f64,
        absolute: f64,
        max_products: usize,
        level: f64,
        rows: usize,
        block: usize,
        seed: u64,
        state: Option<(String, Bound<'_, PyDict>)>,
    ) -> PyResult<Self> {
        let form = match logarithm {
            Some((shift, tolerance, steps)) => Form::Logarithm { shift, tolerance, steps },
            None => Form::Powers(powers),
        };
        let precision = Precision { relative, absolute, max_products, level };
        let options = TraceOptions { dim, form, target, precision, rows, block, seed };
        let held = match dtype {
            Dtype::F32 => Held::F32(made(py, options, state)?),
            Dtype::F64 => Held::F64(made(py, options, state)?),
        };
        Ok(Self(Slot::new(held)))
    }

    fn run(&self, py: Python<'_>, apply: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| {
            each!(held, estimate => run(py, estimate, apply, &tick, |py, now| {
                let means = now.means();
                told(py, now.products(), now.probes(), &means[now.options().target])
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
        let means = self.0.with(|held| each!(held, estimate => estimate.means()))?;
        Ok(table(py, means.iter().flat_map(numbers).collect(), 4)?.into_any())
    }

    fn sketch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| {
            each!(held, estimate => {
                Ok(table(py, estimate.sketch().to_vec(), estimate.dim())?.into_any())
            })
        })?
    }

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.lend(|held| each!(held, estimate => state(py, estimate)))
    }
}

/// A mean as value, standard error and interval.
pub(super) fn numbers(mean: &Mean) -> [f64; 4] {
    [mean.value, mean.standard_error, mean.interval[0], mean.interval[1]]
}

/// What a tick is told of an estimate.
pub(super) fn told<'py>(
    py: Python<'py>,
    products: usize,
    probes: usize,
    mean: &Mean,
) -> PyResult<Bound<'py, PyTuple>> {
    (products, probes, mean.value, mean.standard_error).into_pyobject(py)
}

fn made<S: Scalar + Element>(
    py: Python<'_>,
    options: TraceOptions,
    state: Option<(String, Bound<'_, PyDict>)>,
) -> PyResult<Estimate<S>> {
    let Some((record, arrays)) = state else {
        return gate::enter(py, || Estimate::new(options));
    };
    let arrays = TraceArrays {
        sketch: matrix::<S>(&entry(&arrays, "sketch")?)?.as_slice()?.to_vec(),
        samples: matrix::<f64>(&entry(&arrays, "samples")?)?.as_slice()?.to_vec(),
        sums: vector::<f64>(&entry(&arrays, "sums")?)?.as_slice()?.to_vec(),
    };
    gate::enter(py, || Estimate::resumed(options, &record, &arrays))
}

fn state<'py, S: Scalar + Element>(
    py: Python<'py>,
    estimate: &Estimate<S>,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    let (record, arrays) = gate::enter(py, || Ok(estimate.state()))?;
    let found = PyDict::new(py);
    let columns = estimate.means().len();
    found.set_item("sketch", table(py, arrays.sketch, estimate.dim())?)?;
    found.set_item(
        "samples",
        PyArray1::from_vec(py, arrays.samples).reshape([estimate.probes(), columns])?,
    )?;
    found.set_item("sums", array(py, arrays.sums))?;
    Ok((record, found))
}
