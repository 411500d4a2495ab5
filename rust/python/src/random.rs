//! Seeded random vectors.

use landscape_core::{Gaussian, Scalar, require_memory};
use numpy::Element;
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
    let numbers = gate::enter(py, || {
        let mut numbers =
            vec![S::default(); require_memory::<S>(&format!("{size} numbers"), &[size])?];
        stream.fill(0, &mut numbers);
        Ok(numbers)
    })?;
    Ok(array(py, numbers))
}
