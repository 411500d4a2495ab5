//! A randomised test of a Python function's symmetry as an operator.

use landscape_core::{Cancel, require_memory, spectrum};
use pyo3::prelude::*;

use crate::boundary::Dtype;
use crate::gate;
use crate::operator::CallbackOperator;

/// The relative asymmetry of two random products.
#[pyfunction]
pub fn asymmetry(
    py: Python<'_>,
    apply: Py<PyAny>,
    dim: usize,
    dtype: Dtype,
    seed: u64,
) -> PyResult<f64> {
    gate::enter(py, || {
        require_memory::<f64>(&format!("vectors of {dim} entries"), &[dim, 5])?;
        let operator = CallbackOperator { apply, dim };
        match dtype {
            Dtype::F32 => spectrum::asymmetry::<f32>(&operator, seed, &Cancel::new()),
            Dtype::F64 => spectrum::asymmetry::<f64>(&operator, seed, &Cancel::new()),
        }
    })
}
