//! Seeded random vectors.

use landscape_core::{Gaussian, Scalar};
use numpy::Element;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::boundary::{Dtype, array};
use crate::gate;

/// Standard normal numbers, the same bits on every platform.
#[pyfunction]
#[pyo3(signature = (size, *, seed, stream, dtype))]
pub fn gaussian(
    py: Python<'_>,
    size: usize,
    seed: u64,
    stream: u64,
    dtype: Dtype,
) -> PyResult<Bound<'_, PyAny>> {
    let stream = Gaussian::new(seed, stream);
    match dtype {
        Dtype::F32 => beginning::<f32>(py, stream, size),
        Dtype::F64 => beginning::<f64>(py, stream, size),
    }
}

fn beginning<S: Scalar + Element>(
    py: Python<'_>,
    stream: Gaussian,
    size: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(size).map_err(|_| {
        PyMemoryError::new_err(format!("{size} numbers do not fit into memory; ask for fewer"))
    })?;
    let numbers = gate::enter(py, || {
        numbers.resize(size, S::default());
        stream.fill(0, &mut numbers);
        Ok(numbers)
    })?;
    Ok(array(py, numbers))
}
