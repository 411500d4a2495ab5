//! Paths and simplices between minima.

mod autoneb;
mod curve_training;
mod simplex_training;

pub use autoneb::AutoNeb;
pub use curve_training::CurveTraining;
pub use simplex_training::{SimplexTraining, simplex_log_volume, simplex_weights};

use landscape_core::Scalar;
use landscape_core::path::{Cycle, Evaluation, OptimizerKind, Polyline};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::Rows;

/// An [`OptimizerKind`] by its name: `"adam"`, or a number, the momentum.
pub struct Optimizer(OptimizerKind);

impl FromPyObject<'_, '_> for Optimizer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(momentum) = object.extract() {
            return Ok(Self(OptimizerKind::Momentum(momentum)));
        }
        match object.extract::<String>()?.as_str() {
            "adam" => Ok(Self(OptimizerKind::Adam)),
            other => Err(PyValueError::new_err(format!(
                "got {other:?}; pass \"adam\", or a momentum from 0 to 1"
            ))),
        }
    }
}

/// Rows (steps, learning rate) as cycles.
fn read_cycles(rows: &[(usize, f64)]) -> Vec<Cycle> {
    rows.iter().map(|&(steps, rate)| Cycle { steps, rate }).collect()
}

/// Evaluations as rows (steps, pivots, highest loss).
fn history(evaluations: &[Evaluation]) -> Rows<f64> {
    let row = |e: &Evaluation| [e.steps as f64, e.pivots as f64, e.max_loss];
    Rows(evaluations.iter().flat_map(row).collect(), 3)
}

/// The points of a polyline as rows.
fn rows<S: Scalar>(polyline: &Polyline<S>) -> Rows<S> {
    Rows(polyline.rows().to_vec(), polyline.dim())
}
