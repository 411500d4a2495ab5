//! Sizes that callers choose, checked before they are allocated.

use landscape_core::require_bytes;
use pyo3::prelude::*;

use crate::gate;

/// Refuses an array that does not fit into memory: MemoryError, with the bytes that it would take.
#[pyfunction]
#[pyo3(signature = (what, sizes, width = 8))]
pub fn require_memory(what: &str, sizes: Vec<usize>, width: usize) -> PyResult<()> {
    gate::check(|| require_bytes(what, &sizes, width).map(drop))
}

/// A call that panics, for the tests of the gate.
#[pyfunction]
pub fn panic_for_tests(py: Python<'_>, text: &str) -> PyResult<()> {
    gate::enter(py, || panic!("{text}"))
}
