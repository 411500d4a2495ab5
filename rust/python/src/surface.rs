//! Axes and directions of loss surfaces.

use landscape_core::surface as core;
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::boundary::{Kind, Tensors, Vector, Vectors, array, with_slices};
use crate::gate;

/// Equally spaced coordinates with exact ends and an exact centre.
#[pyfunction]
#[pyo3(signature = (low, high, points))]
pub fn axis(
    py: Python<'_>,
    low: f64,
    high: f64,
    points: usize,
) -> PyResult<Bound<'_, PyArray1<f64>>> {
    let coordinates = gate::enter(py, || core::axis(low, high, points))?;
    Ok(PyArray1::from_vec(py, coordinates))
}

/// The direction with its filters, layers or the whole scaled to the norms of the reference.
#[pyfunction]
#[pyo3(signature = (direction, reference, tensors, kind))]
pub fn normalise<'py>(
    py: Python<'py>,
    direction: Vector<'py>,
    reference: Vector<'py>,
    tensors: Tensors,
    kind: Kind,
) -> PyResult<Bound<'py, PyAny>> {
    with_slices!(Vectors::of([direction, reference])?, |pair| {
        let scaled = gate::enter(py, || core::normalise(pair[0], pair[1], &tensors.0, kind.0))?;
        Ok(array(py, scaled))
    })
}
