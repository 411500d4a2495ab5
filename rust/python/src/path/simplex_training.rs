//! The Python class of simplex training, and functions on simplices.

use landscape_core::path::{
    SimplexTraining as Core, SimplexTrainingOptions, log_volume, simplex_weights as weights,
};
use landscape_core::{Gaussian, Resumable, Scalar, Solver, require_memory};
use numpy::{Element, PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{Optimizer, read_cycles};
use crate::boundary::{Dtype, Rows, dtype, matrix, table};
use crate::gate;
use crate::objective::evaluate;
use crate::solver::{Handle, for_dtype, for_typed, read_checkpoint, solver_class};

/// Barycentric coordinates of uniform points in a simplex.
#[pyfunction]
#[pyo3(signature = (corners, count, *, seed, stream))]
pub fn simplex_weights(
    py: Python<'_>,
    corners: usize,
    count: usize,
    seed: u64,
    stream: u64,
) -> PyResult<Bound<'_, PyArray2<f64>>> {
    if corners == 0 {
        return Err(PyValueError::new_err("got a simplex without corners; pass at least one"));
    }
    let weights = gate::enter(py, || {
        let what = format!("{count} points in a simplex of {corners} corners");
        require_memory::<f64>(&what, &[count, corners])?;
        Ok(weights(&Gaussian::new(seed, stream), 0, count, corners))
    })?;
    table(py, weights, corners)
}

/// The logarithm of a simplex's volume.
#[pyfunction]
#[pyo3(signature = (corners))]
pub fn simplex_log_volume(py: Python<'_>, corners: &Bound<'_, PyAny>) -> PyResult<f64> {
    match dtype(corners)? {
        Dtype::F32 => volume::<f32>(py, corners),
        Dtype::F64 => volume::<f64>(py, corners),
    }
}

fn volume<S: Scalar + Element>(py: Python<'_>, corners: &Bound<'_, PyAny>) -> PyResult<f64> {
    let corners = matrix::<S>(corners)?;
    let dim = corners.shape()[1];
    let rows = corners.as_slice()?;
    gate::enter(py, || log_volume(&rows.chunks(dim.max(1)).collect::<Vec<_>>()))
}

solver_class! {
    /// Simplices through minima whose connecting points are trained.
    SimplexTraining(Core) on objective;
    progress: training => (training.steps(), training.loss(), training.log_volume());
    getters {
        status: &'static str = training => training.status().name();
        loss: f64 = training => training.loss();
        log_volume: f64 = training => training.log_volume();
        steps: usize = training => training.steps();
        evaluations: u64 = training => training.evaluations();
    }
    arrays {
        vertices = training => Rows(training.complex().rows().to_vec(), training.complex().dim());
        memory = training => training.optimizer_state();
    }

    #[new]
    #[pyo3(signature = (
        objective, minima, *, connectors, cycles, rule, samples, volume, spread, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        minima: &Bound<'_, PyAny>,
        connectors: usize,
        cycles: Vec<(usize, f64)>,
        rule: Optimizer,
        samples: usize,
        volume: f64,
        spread: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let options = SimplexTrainingOptions {
            connectors,
            cycles: read_cycles(&cycles),
            optimizer: rule.0,
            samples,
            volume,
            spread,
            seed,
        };
        let training = for_dtype!(dtype(minima)?, S => {
            let minima = matrix::<S>(minima)?;
            let (dim, rows) = (minima.shape()[1], minima.as_slice()?.to_vec());
            evaluate::<S, _>(py, objective, dim, |objective| Core::new(objective, rows, options))?
        });
        Ok(Self(Handle::new(training)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        vertices: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let arrays = [("vertices", vertices), ("memory", memory)];
        let training = for_dtype!(dtype(vertices)?, S => {
            {
                let checkpoint = read_checkpoint::<S>(record, &arrays)?;
                gate::check(|| Core::resume(checkpoint))?
            }
        });
        Ok(Self(Handle::new(training)))
    }

    fn simplices(&self) -> PyResult<Vec<Vec<usize>>> {
        self.0.read(|training| {
            for_typed!(training, training => {
                let complex = training.complex();
                (0..complex.modes()).map(|mode| complex.simplex(mode)).collect()
            })
        })
    }

    fn record(&self) -> PyResult<String> {
        self.0.read(|training| for_typed!(training, training => training.record()))
    }
}
