//! Topology and geometry of surfaces.

use landscape_core::Error;
use landscape_core::surface::{self as core, Topology};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::boundary::{Doubles, Indices, matrix, table};
use crate::gate;

type Indices2<'py> = Bound<'py, PyArray2<i64>>;
type Doubles2<'py> = Bound<'py, PyArray2<f64>>;

/// Minima, maxima, basins and barriers of values on a grid.
#[pyfunction]
pub fn topology<'py>(
    py: Python<'py>,
    values: &Bound<'py, PyAny>,
    min_persistence: f64,
) -> PyResult<(Indices2<'py>, Indices2<'py>, Indices2<'py>, Doubles2<'py>)> {
    let grid = matrix::<f64>(values)?;
    let (values, shape) = (grid.as_slice()?, shape(&grid));
    let (topology, barriers) = gate::enter(py, || {
        let topology = Topology::new(values, shape, min_persistence)?;
        let barriers = topology.barriers();
        Ok((topology, barriers))
    })?;
    let minima = topology.minima.iter();
    let minima = minima.flat_map(|m| [Some(m.vertex), m.saddle, m.parent]).map(index).collect();
    let maxima = topology.maxima.iter();
    let maxima = maxima.flat_map(|m| [Some(m.vertex), Some(m.saddle)]).map(index).collect();
    let basins = topology.basins.iter().copied().map(index).collect();
    let square = PyArray1::from_vec(py, barriers);
    let count = topology.minima.len();
    Ok((
        table(py, minima, 3)?,
        table(py, maxima, 2)?,
        table(py, basins, shape[1])?,
        square.reshape([count, count])?,
    ))
}

/// The areas of components of sublevel sets, at each level those of each vertex.
#[pyfunction]
pub fn component_areas<'py>(
    py: Python<'py>,
    values: &Bound<'py, PyAny>,
    axes: (Doubles, Doubles),
    vertices: Indices,
    levels: Doubles,
) -> PyResult<Doubles2<'py>> {
    let grid = matrix::<f64>(values)?;
    let (values, shape) = (grid.as_slice()?, shape(&grid));
    let (rows, columns) = (levels.0.len(), vertices.0.len());
    let areas = gate::watch(py, |cancel| {
        let cells = core::cell_areas(&axes.0.0, &axes.1.0);
        let at = |&level: &f64| {
            cancel.check()?;
            core::component_areas(values, shape, &cells, &vertices.0, level)
        };
        Ok(levels.0.iter().map(at).collect::<Result<Vec<_>, Error>>()?.concat())
    })?;
    PyArray1::from_vec(py, areas).reshape([rows, columns])
}

/// The normalised total variation of every grid line.
#[pyfunction]
pub fn total_variations(values: &Bound<'_, PyAny>) -> PyResult<Doubles> {
    let grid = matrix::<f64>(values)?;
    let (values, shape) = (grid.as_slice()?, shape(&grid));
    gate::check(|| core::total_variations(values, shape)).map(Doubles)
}

/// Chords, those that are convex, the largest violation, and the three points of it.
#[pyfunction]
#[pyo3(signature = (values, *, tolerance, chords, seed))]
pub fn convexity(
    py: Python<'_>,
    values: &Bound<'_, PyAny>,
    tolerance: f64,
    chords: usize,
    seed: u64,
) -> PyResult<(usize, usize, f64, Option<[usize; 3]>)> {
    let grid = matrix::<f64>(values)?;
    let (values, shape) = (grid.as_slice()?, shape(&grid));
    let found =
        gate::watch(py, |cancel| core::convexity(values, shape, tolerance, chords, seed, cancel))?;
    Ok((found.chords, found.convex, found.violation, found.worst))
}

/// The quadratic around a vertex: value, gradient, Hessian, residual and the number of points.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "a tuple that Python unpacks")]
pub fn fit_quadratic(
    axes: (Doubles, Doubles),
    values: &Bound<'_, PyAny>,
    centre: [usize; 2],
    reach: usize,
) -> PyResult<(f64, [f64; 2], [f64; 3], f64, usize)> {
    let grid = matrix::<f64>(values)?;
    let values = grid.as_slice()?;
    let axes = [axes.0.0.as_slice(), axes.1.0.as_slice()];
    let fit = gate::check(|| core::fit_quadratic(axes, values, centre, reach))?;
    Ok((fit.value, fit.gradient, fit.hessian, fit.residual, fit.points))
}

fn shape(grid: &PyReadonlyArray2<'_, f64>) -> [usize; 2] {
    [grid.shape()[0], grid.shape()[1]]
}

/// An index as Python gets it, -1 for none.
fn index(index: Option<usize>) -> i64 {
    index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
}
