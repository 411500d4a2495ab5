//! Estimates of mean losses from a calibrated subset of the samples.

use landscape_core::surface::subset::{Assessment, Calibration, Pilots, assess};
use numpy::{PyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, matrix, slices, vector};
use crate::gate;

/// What cross-validation over pilots says about a number of samples.
#[pyclass(module = "landscape._core", frozen)]
pub struct SubsetAssessment(Assessment);

#[pymethods]
impl SubsetAssessment {
    #[new]
    #[pyo3(signature = (losses, means, scales, shares, count, *, seed, points))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python class")]
    fn new(
        py: Python<'_>,
        losses: Vec<Bound<'_, PyAny>>,
        means: Doubles,
        scales: Doubles,
        shares: Doubles,
        count: usize,
        seed: u64,
        points: usize,
    ) -> PyResult<Self> {
        let rows: Vec<_> = losses.iter().map(vector::<f32>).collect::<PyResult<_>>()?;
        let rows = slices(&rows)?;
        let pilots = Pilots { losses: &rows, means: &means.0, scales: &scales.0 };
        gate::enter(py, || assess(&pilots, &shares.0, count, seed, points)).map(Self)
    }

    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let rows = self.0.selection.rows.iter().map(|&row| i64::try_from(row));
        let rows = rows.collect::<Result<_, _>>();
        let rows = rows.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyArray1::from_vec(py, rows))
    }

    #[getter]
    fn inclusion(&self) -> Doubles {
        Doubles(self.0.selection.inclusion.clone())
    }

    #[getter]
    fn errors(&self) -> Doubles {
        Doubles(self.0.errors.clone())
    }

    #[getter]
    fn quantile95(&self) -> f64 {
        self.0.quantile95
    }

    #[getter]
    fn maximum(&self) -> f64 {
        self.0.maximum
    }

    #[getter]
    fn inflation(&self) -> f64 {
        self.0.inflation
    }

    #[getter]
    fn residual(&self) -> f64 {
        self.0.residual
    }
}

/// Weights of chosen samples that reproduce known means.
#[pyclass(module = "landscape._core", frozen)]
pub struct SubsetCalibration(Calibration);

#[pymethods]
impl SubsetCalibration {
    #[new]
    #[pyo3(signature = (losses, targets, inclusion, *, population))]
    fn new(
        py: Python<'_>,
        losses: &Bound<'_, PyAny>,
        targets: Doubles,
        inclusion: Doubles,
        population: usize,
    ) -> PyResult<Self> {
        let losses = matrix::<f64>(losses)?.as_slice()?.to_vec();
        let fit = || Calibration::fit(losses, &targets.0, &inclusion.0, population);
        gate::enter(py, fit).map(Self)
    }

    #[getter]
    fn weights(&self) -> Doubles {
        Doubles(self.0.weights().to_vec())
    }

    #[getter]
    fn residual(&self) -> f64 {
        self.0.residual()
    }

    /// Estimates and standard errors of the means at points.
    fn estimate(&self, py: Python<'_>, losses: &Bound<'_, PyAny>) -> PyResult<(Doubles, Doubles)> {
        let losses = matrix::<f64>(losses)?;
        let (samples, given) = (self.0.weights().len(), losses.shape()[1]);
        if given != samples {
            return Err(PyValueError::new_err(format!(
                "got losses of {given} samples; pass those of the {samples} that were calibrated"
            )));
        }
        let values = losses.as_slice()?;
        let estimates = gate::enter(py, || Ok(self.0.estimate(values)))?;
        let pairs = estimates.into_iter().map(|found| (found.value, found.standard_error));
        let (values, errors) = pairs.unzip();
        Ok((Doubles(values), Doubles(errors)))
    }
}
