//! Networks, subspaces and curvatures behind traits that hide the precision.

use std::any::Any;
use std::sync::Arc;

use landscape_core::network::{Curvature, SampleSum};
use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::boundary::Indices;

/// The source of batch-norm statistics.
pub enum StatisticsSource {
    Stored,
    Batch,
    Recalibrated(Arc<dyn TypedNetwork>),
}

/// A network of either precision.
pub trait TypedNetwork: Send + Sync {
    fn dim(&self) -> usize;
    fn samples(&self) -> usize;
    fn operations(&self) -> usize;
    fn tape_size(&self) -> usize;
    fn as_any(&self) -> &dyn Any;

    fn sums<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        columns: &[SampleSum],
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>>;

    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>>;

    fn gradients<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        scale: &[f64],
        statistics: &StatisticsSource,
        batches: Option<Indices>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyAny>)>;

    fn subspace(
        &self,
        py: Python<'_>,
        origin: &Bound<'_, PyAny>,
        basis: &[Bound<'_, PyAny>],
    ) -> PyResult<Box<dyn TypedSubspace>>;

    fn curvature(
        &self,
        py: Python<'_>,
        point: &Bound<'_, PyAny>,
        kind: Curvature,
        scale: f64,
        statistics: &StatisticsSource,
        memory: usize,
    ) -> PyResult<Box<dyn TypedCurvature>>;
}

/// A subspace of either precision.
pub trait TypedSubspace: Send + Sync {
    fn dim(&self) -> usize;

    fn sums<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        columns: &[SampleSum],
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>>;

    fn sample_losses<'py>(
        &self,
        py: Python<'py>,
        coords: &Bound<'py, PyAny>,
        statistics: &StatisticsSource,
    ) -> PyResult<Bound<'py, PyArray2<f64>>>;
}

/// A curvature of either precision.
pub trait TypedCurvature: Send + Sync {
    fn dim(&self) -> usize;
    fn retained(&self) -> bool;

    fn apply<'py>(
        &self,
        py: Python<'py>,
        vectors: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>>;
}
