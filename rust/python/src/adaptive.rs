//! Interpolants and adaptive grids.

use std::sync::{Mutex, MutexGuard, PoisonError};

use landscape_core::Error;
use landscape_core::surface::{
    AdaptiveGrid as Core, ErrorScale, Estimate, Interpolant as CoreInterpolant, Interpolation,
    Lattice, NestedValues, Outcome, Refinement,
};
use numpy::{PyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::{Doubles, matrix, one_of, table};
use crate::gate;

const INTERPOLATIONS: &[(&str, Interpolation)] = &[
    ("log cubic", Interpolation::LogCubic),
    ("cubic", Interpolation::Cubic),
    ("linear", Interpolation::Linear),
];
const SCALES: &[(&str, ErrorScale)] = &[("value", ErrorScale::Value), ("range", ErrorScale::Range)];

/// The name of an interpolation.
pub struct InterpolationName(Interpolation);

impl<'a, 'py> FromPyObject<'a, 'py> for InterpolationName {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        one_of(&object, INTERPOLATIONS).map(Self)
    }
}

/// The name of an error scale.
pub struct ScaleName(ErrorScale);

impl<'a, 'py> FromPyObject<'a, 'py> for ScaleName {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        one_of(&object, SCALES).map(Self)
    }
}

/// A function through the values on a grid.
#[pyclass(frozen, module = "landscape._core")]
pub struct Interpolant {
    interpolant: CoreInterpolant,
    dim: usize,
}

#[pymethods]
impl Interpolant {
    #[new]
    fn new(
        py: Python<'_>,
        axes: Vec<Doubles>,
        values: Doubles,
        interpolation: InterpolationName,
    ) -> PyResult<Self> {
        let axes: Vec<Vec<f64>> = axes.into_iter().map(|axis| axis.0).collect();
        let dim = axes.len();
        let interpolant =
            gate::enter(py, || CoreInterpolant::new(axes, &values.0, interpolation.0))?;
        Ok(Self { interpolant, dim })
    }

    #[staticmethod]
    fn nested(
        py: Python<'_>,
        ranges: Vec<(f64, f64)>,
        level: u32,
        points: &Bound<'_, PyAny>,
        values: Doubles,
        interpolation: InterpolationName,
    ) -> PyResult<Self> {
        let dim = ranges.len();
        let points = read_points(points, dim)?;
        let interpolant = gate::enter(py, || {
            if points.len() != dim * values.0.len() {
                return Err(Error::Invalid(format!(
                    "got {} values at {} points; pass one for each",
                    values.0.len(),
                    points.len() / dim.max(1)
                )));
            }
            let lattice = Lattice::new(ranges, level)?;
            NestedValues::from_points(&lattice, &points, &values.0, interpolation.0)?.interpolant()
        })?;
        Ok(Self { interpolant, dim })
    }

    #[getter]
    fn is_log(&self) -> bool {
        self.interpolant.is_log()
    }

    fn at<'py>(&self, points: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let rows = read_points(points, self.dim)?;
        let py = points.py();
        let values = gate::enter(py, || {
            Ok(rows.chunks(self.dim).map(|point| self.interpolant.at(point)).collect::<Vec<_>>())
        })?;
        Ok(PyArray1::from_vec(py, values))
    }

    fn on<'py>(&self, py: Python<'py>, axes: Vec<Doubles>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let axes: Vec<Vec<f64>> = axes.into_iter().map(|axis| axis.0).collect();
        let values = gate::enter(py, || {
            if axes.len() != self.dim {
                return Err(Error::Invalid(format!(
                    "got {} axes for {} dimensions; pass one for each",
                    axes.len(),
                    self.dim
                )));
            }
            Ok(self.interpolant.on(&axes))
        })?;
        Ok(PyArray1::from_vec(py, values))
    }
}

/// A dyadic grid that is refined to a tolerance.
#[pyclass(frozen, module = "landscape._core")]
pub struct AdaptiveGrid {
    grid: Mutex<Core>,
    dim: usize,
    columns: usize,
}

#[pymethods]
impl AdaptiveGrid {
    #[new]
    #[pyo3(signature = (ranges, *, columns, tolerance, scale, quantile, finest))]
    fn new(
        py: Python<'_>,
        ranges: Vec<(f64, f64)>,
        columns: Vec<InterpolationName>,
        tolerance: f64,
        scale: ScaleName,
        quantile: f64,
        finest: u32,
    ) -> PyResult<Self> {
        let (dim, count) = (ranges.len(), columns.len());
        let columns = columns.into_iter().map(|name| name.0).collect();
        let refinement = Refinement { tolerance, scale: scale.0, quantile, finest };
        let grid = gate::enter(py, || Core::new(ranges, columns, refinement))?;
        Ok(Self { grid: Mutex::new(grid), dim, columns: count })
    }

    #[getter]
    fn outcome(&self) -> &'static str {
        match self.lock().outcome() {
            Outcome::Running => "running",
            Outcome::Converged => "converged",
            Outcome::Finest => "finest",
            Outcome::Stopped => "stopped",
        }
    }

    #[getter]
    fn level(&self) -> u32 {
        self.lock().lattice().level()
    }

    #[getter]
    fn done(&self) -> usize {
        self.lock().done()
    }

    #[getter]
    fn total(&self) -> usize {
        self.lock().total()
    }

    fn proposed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let points = gate::enter(py, || self.lock().proposed())?;
        Ok(table(py, points, self.dim)?.into_any())
    }

    fn accept(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = read_points(values, self.columns)?;
        gate::enter(py, || self.lock().accept(&rows))
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        gate::enter(py, || self.lock().stop())
    }

    fn evaluated<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (points, rows) = gate::enter(py, || self.lock().evaluated())?;
        let points = table(py, points, self.dim)?.into_any();
        Ok((points, table(py, rows, self.columns)?.into_any()))
    }

    fn estimate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Estimate { quantile95, surplus95, maximum, scale } = self.lock().estimate();
        let record = PyDict::new(py);
        record.set_item("quantile95", quantile95)?;
        record.set_item("surplus95", surplus95)?;
        record.set_item("maximum", maximum)?;
        let name = if scale == ErrorScale::Range { "range" } else { "value" };
        record.set_item("scale", name)?;
        Ok(record)
    }

    fn errors_at<'py>(&self, points: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let rows = read_points(points, self.dim)?;
        let errors = gate::enter(points.py(), || Ok(self.lock().errors_at(&rows)))?;
        Ok(PyArray1::from_vec(points.py(), errors))
    }

    fn errors_against<'py>(
        &self,
        points: &Bound<'py, PyAny>,
        values: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (rows, values) = (read_points(points, self.dim)?, read_points(values, self.columns)?);
        let errors = gate::enter(points.py(), || self.lock().errors_against(&rows, &values))?;
        Ok(PyArray1::from_vec(points.py(), errors))
    }

    fn interpolant(&self, py: Python<'_>, column: usize) -> PyResult<Interpolant> {
        let interpolant = gate::enter(py, || self.lock().interpolant(column))?;
        Ok(Interpolant { interpolant, dim: self.dim })
    }
}

impl AdaptiveGrid {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.grid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows of float64 numbers, row-major.
fn read_points(object: &Bound<'_, PyAny>, columns: usize) -> PyResult<Vec<f64>> {
    let rows = matrix::<f64>(object)?;
    let given = rows.shape()[1];
    if given != columns {
        return Err(pyo3::exceptions::PyValueError::new_err(format!(
            "got rows of {given} numbers; pass rows of {columns}"
        )));
    }
    Ok(rows.as_slice()?.to_vec())
}
