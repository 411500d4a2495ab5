//! The native network for Python: classes that hide the precision.

mod interface;
mod typed;

use std::sync::Arc;

use landscape_core::network::{self as core, Curvature, SampleSum};
use numpy::{PyArray1, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Dtype, Indices, Storage, dtype};
use interface::{StatisticsSource, TypedCurvature, TypedNetwork, TypedSubspace};
pub use typed::{SHORT, cost};

/// Described in `_core.pyi`.
#[pyclass(frozen, module = "landscape._core")]
pub struct Network(Arc<dyn TypedNetwork>);

/// Described in `_core.pyi`.
#[pyclass(frozen, module = "landscape._core")]
pub struct NetworkSubspace(Box<dyn TypedSubspace>);

/// Described in `_core.pyi`.
#[pyclass(frozen, module = "landscape._core")]
pub struct NetworkCurvature(Box<dyn TypedCurvature>);

impl Network {
    /// The network with its data, if it is of this precision.
    pub fn typed<T: Storage>(&self) -> Option<Arc<core::DatasetLoss<T>>> {
        typed::dataset_loss(&*self.0)
    }
}

#[pymethods]
impl Network {
    #[new]
    #[pyo3(signature = (graph, *, dim, frozen, inputs, loss, targets, weights, split))]
    #[expect(clippy::too_many_arguments, reason = "what Python passes by name")]
    fn new(
        py: Python<'_>,
        graph: &str,
        dim: usize,
        frozen: &Bound<'_, PyAny>,
        inputs: &Bound<'_, PyAny>,
        loss: &str,
        targets: &Bound<'_, PyAny>,
        weights: Doubles,
        split: Vec<Indices>,
    ) -> PyResult<Self> {
        let parts = typed::Parts { graph, dim, frozen, inputs, loss, targets, weights, split };
        match dtype(inputs)? {
            Dtype::F32 => typed::build::<f32>(py, parts).map(Self),
            Dtype::F64 => typed::build::<f64>(py, parts).map(Self),
        }
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[getter]
    fn samples(&self) -> usize {
        self.0.samples()
    }

    /// Multiply-adds of one sample's matrix products.
    #[getter]
    fn operations(&self) -> usize {
        self.0.operations()
    }

    /// Numbers in the tape of one sample: its values and derivatives.
    #[getter]
    fn tape_size(&self) -> usize {
        self.0.tape_size()
    }

    #[pyo3(signature = (points, *, columns, statistics, source=None))]
    fn sums<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        columns: Vec<String>,
        statistics: &str,
        source: Option<PyRef<'_, Self>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let statistics = own_statistics_source(statistics, source.as_deref(), self)?;
        self.0.sums(py, points, &parse_columns(&columns)?, &statistics)
    }

    #[pyo3(signature = (points, *, statistics, source=None))]
    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        statistics: &str,
        source: Option<PyRef<'_, Self>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        self.0.sample_losses(
            py,
            points,
            &own_statistics_source(statistics, source.as_deref(), self)?,
        )
    }

    #[pyo3(signature = (points, *, scale, statistics, batches=None))]
    fn gradients<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        scale: Doubles,
        statistics: &str,
        batches: Option<Indices>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyAny>)> {
        self.0.gradients(
            py,
            points,
            &scale.0,
            &own_statistics_source(statistics, None, self)?,
            batches,
        )
    }

    #[pyo3(signature = (origin, basis))]
    fn subspace(
        &self,
        py: Python<'_>,
        origin: &Bound<'_, PyAny>,
        basis: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<NetworkSubspace> {
        self.0.subspace(py, origin, &basis).map(NetworkSubspace)
    }

    #[pyo3(signature = (point, *, kind, scale, statistics, memory))]
    fn curvature(
        &self,
        py: Python<'_>,
        point: &Bound<'_, PyAny>,
        kind: &str,
        scale: f64,
        statistics: &str,
        memory: usize,
    ) -> PyResult<NetworkCurvature> {
        let statistics = own_statistics_source(statistics, None, self)?;
        self.0
            .curvature(py, point, parse_curvature(kind)?, scale, &statistics, memory)
            .map(NetworkCurvature)
    }
}

#[pymethods]
impl NetworkSubspace {
    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[pyo3(signature = (coords, *, columns, statistics, source=None))]
    fn sums<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        columns: Vec<String>,
        statistics: &str,
        source: Option<PyRef<'_, Network>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let statistics = statistics_source(statistics, source.as_deref())?;
        self.0.sums(py, coords, &parse_columns(&columns)?, &statistics)
    }

    #[pyo3(signature = (coords, *, statistics, source=None))]
    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        statistics: &str,
        source: Option<PyRef<'_, Network>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        self.0.sample_losses(py, coords, &statistics_source(statistics, source.as_deref())?)
    }
}

#[pymethods]
impl NetworkCurvature {
    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    /// Whether tapes are retained between products.
    #[getter]
    fn retained(&self) -> bool {
        self.0.retained()
    }

    #[pyo3(signature = (vectors))]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        vectors: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.apply(py, vectors)
    }
}

/// Sets the number of threads that networks are evaluated on.
#[pyfunction]
#[pyo3(signature = (count))]
pub fn set_threads(py: Python<'_>, count: usize) -> PyResult<()> {
    crate::gate::enter(py, || landscape_core::set_threads(count))
}

/// The number of threads that networks are evaluated on.
#[pyfunction]
pub fn threads() -> usize {
    landscape_core::threads()
}

/// The statistics with this name; without a source, they are re-estimated on the network's own data.
fn own_statistics_source(
    name: &str,
    source: Option<&Network>,
    own: &Network,
) -> PyResult<StatisticsSource> {
    statistics_source(name, Some(source.unwrap_or(own)))
}

fn statistics_source(name: &str, source: Option<&Network>) -> PyResult<StatisticsSource> {
    match (name, source) {
        ("stored", _) => Ok(StatisticsSource::Stored),
        ("batch", _) => Ok(StatisticsSource::Batch),
        ("recalibrated", Some(source)) => Ok(StatisticsSource::Recalibrated(Arc::clone(&source.0))),
        _ => Err(PyValueError::new_err(format!(
            "got the statistics {name:?}; pass 'stored', 'batch', or 'recalibrated' with a source"
        ))),
    }
}

/// The sums over samples with these names.
fn parse_columns(names: &[String]) -> PyResult<Vec<SampleSum>> {
    if names.is_empty() {
        return Err(PyValueError::new_err("got no columns; pass at least one"));
    }
    let column = |name: &String| match name.as_str() {
        "loss" => Ok(SampleSum::Loss),
        "hits" => Ok(SampleSum::Hits),
        "squared_loss" => Ok(SampleSum::SquaredLoss),
        "weighted_loss" => Ok(SampleSum::WeightedLoss),
        _ => Err(PyValueError::new_err(format!(
            "got the column {name:?}; pass 'loss', 'hits', 'squared_loss' or 'weighted_loss'"
        ))),
    };
    names.iter().map(column).collect()
}

fn parse_curvature(kind: &str) -> PyResult<Curvature> {
    match kind {
        "hessian" => Ok(Curvature::Hessian),
        "gauss_newton" => Ok(Curvature::GaussNewton),
        "fisher" => Ok(Curvature::Fisher),
        "empirical_fisher" => Ok(Curvature::EmpiricalFisher),
        _ => Err(PyValueError::new_err(format!(
            "got the curvature {kind:?}; pass 'hessian', 'gauss_newton', 'fisher' or \
             'empirical_fisher'"
        ))),
    }
}
