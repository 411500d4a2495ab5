//! Sums and combinations of long vectors.

use landscape_core as core;
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Vector, Vectors, array, table, with_slices};
use crate::gate;

/// The inner product, accumulated in float64.
#[pyfunction]
#[pyo3(signature = (x, y))]
pub fn dot(py: Python<'_>, x: Vector<'_>, y: Vector<'_>) -> PyResult<f64> {
    with_slices!(Vectors::of([x, y])?, |pair| gate::enter(py, || core::dot(pair[0], pair[1])))
}

/// The Euclidean norm, accumulated in float64.
#[pyfunction]
#[pyo3(signature = (x))]
pub fn norm(py: Python<'_>, x: Vector<'_>) -> PyResult<f64> {
    with_slices!(Vectors::of([x])?, |single| gate::enter(py, || Ok(core::norm(single[0]))))
}

/// The linear combination of vectors, summed in float64 and rounded once.
#[pyfunction]
#[pyo3(signature = (vectors, coefficients))]
pub fn combine<'py>(
    py: Python<'py>,
    vectors: Vec<Vector<'py>>,
    coefficients: Doubles,
) -> PyResult<Bound<'py, PyAny>> {
    with_slices!(Vectors::of(vectors)?, |vectors| {
        let combination = gate::enter(py, || core::combine(&vectors, &coefficients.0))?;
        Ok(array(py, combination))
    })
}

/// The inner products of all pairs.
#[pyfunction]
#[pyo3(signature = (vectors))]
pub fn gram<'py>(
    py: Python<'py>,
    vectors: Vec<Vector<'py>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let count = vectors.len();
    with_slices!(Vectors::of(vectors)?, |vectors| {
        table(py, gate::enter(py, || core::gram(&vectors))?, count)
    })
}

/// The part of x that is orthogonal to all of `against`.
#[pyfunction]
#[pyo3(signature = (x, against))]
pub fn orthogonalise<'py>(
    py: Python<'py>,
    x: Vector<'py>,
    against: Vec<Vector<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let family = [x].into_iter().chain(against);
    with_slices!(Vectors::of(family)?, |family| {
        Ok(array(py, gate::enter(py, || core::orthogonalise(family[0], &family[1..]))?))
    })
}
