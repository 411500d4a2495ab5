//! Networks of one precision, behind the traits of `interface`.

use std::any::Any;
use std::sync::Arc;

use landscape_core::network::kernel::Real;
use landscape_core::network::{
    Curvature, CurvatureOptions, DatasetLoss, GradientOptions, Network, NetworkCurvature,
    NetworkSubspace, SampleSum, Samples, Statistics, loss,
};
use landscape_core::{Cancel, Error, LinearOperator};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Indices, matrix, table, targets, vector};
use crate::gate;
use crate::network::interface::{StatisticsSource, TypedCurvature, TypedNetwork, TypedSubspace};

/// Multiply-adds of a few milliseconds: shorter work runs without a thread that watches for Ctrl-C.
pub const SHORT: usize = 1 << 27;
/// Multiply-adds assumed for each number of the tape: element-wise functions are not counted as
/// products.
const OPERATIONS_PER_NUMBER: usize = 32;

/// Runs short work directly, and long work where Ctrl-C can stop it.
fn run<T: Send>(
    py: Python<'_>,
    operations: usize,
    work: impl FnOnce(&Cancel) -> Result<T, Error> + Send,
) -> PyResult<T> {
    if operations < SHORT {
        return gate::enter(py, || work(&Cancel::new()));
    }
    gate::watch(py, work)
}

impl StatisticsSource {
    fn to_statistics<T: Real>(&self) -> PyResult<Statistics<'_, T>> {
        match self {
            Self::Stored => Ok(Statistics::Stored),
            Self::Batch => Ok(Statistics::Batch),
            Self::Recalibrated(source) => {
                let source = source.as_any().downcast_ref::<Typed<T>>().ok_or_else(|| {
                    PyValueError::new_err(
                        "the source of the statistics has another dtype; build both networks alike",
                    )
                })?;
                Ok(Statistics::Recalibrated(&source.0))
            }
        }
    }
}

/// The arguments of Python's constructor.
pub struct Parts<'a, 'py> {
    pub graph: &'a str,
    pub dim: usize,
    pub frozen: &'a Bound<'py, PyAny>,
    pub inputs: &'a Bound<'py, PyAny>,
    pub loss: &'a str,
    pub targets: &'a Bound<'py, PyAny>,
    pub weights: Doubles,
    pub split: Vec<Indices>,
}

struct Typed<T>(Arc<DatasetLoss<T>>);

/// A network of this precision.
pub fn build<T: Real + Element>(
    py: Python<'_>,
    parts: Parts<'_, '_>,
) -> PyResult<Arc<dyn TypedNetwork>> {
    let frozen = vector::<T>(parts.frozen)?.as_slice()?.to_vec();
    let inputs = matrix::<T>(parts.inputs)?.as_slice()?.to_vec();
    let targets = targets(parts.targets)?;
    let split = parts.split.into_iter().map(|batch| batch.0).collect();
    let (graph, loss_json, weights) = (parts.graph, parts.loss, parts.weights.0);
    let loss = gate::enter(py, move || {
        let network = Network::from_json(graph, parts.dim, frozen)?;
        let loss = loss::from_json(loss_json, targets, network.output())?;
        DatasetLoss::new(network, Samples { inputs, weights, split }, loss)
    })?;
    Ok(Arc::new(Typed(Arc::new(loss))))
}

/// The network with its data, if it is of this precision.
pub fn dataset_loss<T: Real + Element>(network: &dyn TypedNetwork) -> Option<Arc<DatasetLoss<T>>> {
    network.as_any().downcast_ref::<Typed<T>>().map(|typed| Arc::clone(&typed.0))
}

impl<T> Typed<T>
where
    T: Real,
{
    /// Multiply-adds of all samples at so many points.
    fn cost(&self, points: usize) -> usize {
        cost(&self.0, points)
    }
}

/// Multiply-adds of all samples at so many points.
pub fn cost<T: Real>(loss: &DatasetLoss<T>, points: usize) -> usize {
    let sample = loss.operations() + OPERATIONS_PER_NUMBER * loss.tape_size();
    sample.saturating_mul(loss.samples()).saturating_mul(points)
}

/// Fills a new array, one row for each point. The cost of re-estimated statistics depends on other
/// data, so that such work is always interruptible.
fn fill_rows<'py, T: Real>(
    py: Python<'py>,
    loss: &DatasetLoss<T>,
    [rows, columns]: [usize; 2],
    source: &StatisticsSource,
    work: impl FnOnce(Statistics<'_, T>, &Cancel, &mut [f64]) -> Result<(), Error> + Send,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let statistics = source.to_statistics()?;
    let operations = match source {
        StatisticsSource::Recalibrated(_) => usize::MAX,
        StatisticsSource::Stored | StatisticsSource::Batch => cost(loss, rows),
    };
    let mut out = vec![0.0; rows * columns];
    let out = run(py, operations, |cancel| {
        work(statistics, cancel, &mut out)?;
        Ok(out)
    })?;
    table(py, out, columns)
}

impl<T: Real + Element> TypedNetwork for Typed<T> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn samples(&self) -> usize {
        self.0.samples()
    }

    fn operations(&self) -> usize {
        self.0.operations()
    }

    fn tape_size(&self) -> usize {
        self.0.tape_size()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn sums<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        columns: &[SampleSum],
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let points = matrix::<T>(points)?;
        let (shape, points) = ([points.dims()[0], columns.len()], points.as_slice()?);
        fill_rows(py, &self.0, shape, statistics, |statistics, cancel, out| {
            self.0.sums(points, columns, statistics, cancel, out)
        })
    }

    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let points = matrix::<T>(points)?;
        let (shape, points) = ([points.dims()[0], self.0.samples()], points.as_slice()?);
        fill_rows(py, &self.0, shape, statistics, |statistics, cancel, out| {
            self.0.sample_losses(points, statistics, cancel, out)
        })
    }

    fn gradients<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        scale: &[f64],
        statistics: &StatisticsSource,
        batches: Option<Indices>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyAny>)> {
        let points = matrix::<T>(points)?;
        let (rows, points) = (points.dims()[0], points.as_slice()?);
        let statistics = statistics.to_statistics()?;
        let batches = batches.map(|batches| batches.0);
        let mut losses = vec![0.0; rows];
        let mut gradients = vec![T::ZERO; points.len()];
        let (losses, gradients) = run(py, self.cost(3 * rows), |cancel| {
            let options = GradientOptions { statistics, scale, batches: batches.as_deref() };
            self.0.gradients(points, &options, cancel, &mut losses, &mut gradients)?;
            Ok((losses, gradients))
        })?;
        let gradients = PyArray1::from_vec(py, gradients).reshape([rows, self.dim()])?;
        Ok((PyArray1::from_vec(py, losses), gradients.into_any()))
    }

    fn subspace(
        &self,
        py: Python<'_>,
        origin: &Bound<'_, PyAny>,
        basis: &[Bound<'_, PyAny>],
    ) -> PyResult<Box<dyn TypedSubspace>> {
        let origin = vector::<T>(origin)?;
        let basis = basis.iter().map(vector::<T>).collect::<PyResult<Vec<_>>>()?;
        let origin = origin.as_slice()?;
        let basis = basis.iter().map(|v| Ok(v.as_slice()?)).collect::<PyResult<Vec<_>>>()?;
        let loss = Arc::clone(&self.0);
        let subspace = run(py, self.cost(basis.len() + 1), |cancel| {
            NetworkSubspace::new(loss, origin, &basis, cancel)
        })?;
        Ok(Box::new(subspace))
    }

    fn curvature(
        &self,
        py: Python<'_>,
        point: &Bound<'_, PyAny>,
        kind: Curvature,
        scale: f64,
        statistics: &StatisticsSource,
        memory: usize,
    ) -> PyResult<Box<dyn TypedCurvature>> {
        let point = vector::<T>(point)?;
        let point = point.as_slice()?;
        let options =
            CurvatureOptions { kind, statistics: statistics.to_statistics()?, scale, memory };
        let loss = Arc::clone(&self.0);
        let curvature =
            run(py, self.cost(3), |cancel| NetworkCurvature::new(loss, point, &options, cancel))?;
        Ok(Box::new(curvature))
    }
}

impl<T: Real + Element> TypedSubspace for NetworkSubspace<T> {
    fn dim(&self) -> usize {
        NetworkSubspace::dim(self)
    }

    fn sums<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        columns: &[SampleSum],
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let coords = coordinates(coords, NetworkSubspace::dim(self))?;
        let shape = [coords.len() / NetworkSubspace::dim(self), columns.len()];
        fill_rows(py, self.loss(), shape, statistics, |statistics, cancel, out| {
            NetworkSubspace::sums(self, &coords, columns, statistics, cancel, out)
        })
    }

    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let coords = coordinates(coords, NetworkSubspace::dim(self))?;
        let shape = [coords.len() / NetworkSubspace::dim(self), self.loss().samples()];
        fill_rows(py, self.loss(), shape, statistics, |statistics, cancel, out| {
            NetworkSubspace::sample_losses(self, &coords, statistics, cancel, out)
        })
    }
}

impl<T: Real + Element> TypedCurvature for NetworkCurvature<T> {
    fn dim(&self) -> usize {
        self.loss().dim()
    }

    fn retained(&self) -> bool {
        NetworkCurvature::retained(self)
    }

    fn apply<'py>(
        &self,
        py: Python<'py>,
        vectors: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let vectors = matrix::<T>(vectors)?;
        let (dims, vectors) = (vectors.dims(), vectors.as_slice()?);
        let mut out = vec![T::ZERO; vectors.len()];
        let out = run(py, cost(self.loss(), 6 * dims[0]), |cancel| {
            LinearOperator::apply(self, vectors, &mut out, cancel)?;
            Ok(out)
        })?;
        Ok(PyArray1::from_vec(py, out).reshape([dims[0], dims[1]])?.into_any())
    }
}

fn coordinates(coords: &Bound<'_, PyAny>, dim: usize) -> PyResult<Vec<f64>> {
    let coords = matrix::<f64>(coords)?;
    if coords.dims()[1] != dim {
        return Err(PyValueError::new_err(format!(
            "got coordinates of shape {:?}; pass (points, {dim})",
            coords.dims()
        )));
    }
    Ok(coords.as_slice()?.to_vec())
}
