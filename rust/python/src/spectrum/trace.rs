//! The Python class of stochastic traces.

use landscape_core::spectrum::{Precision, QuadraticForm, Trace as Core, TraceOptions};
use landscape_core::{Checkpoint, Resumable, Solver};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::mean_rows;
use crate::boundary::{Dtype, IntoArray, Rows, Storage, flat};
use crate::gate;
use crate::solver::{Handle, for_dtype, for_typed, solver_class};
use crate::state::item;

solver_class! {
    /// Traces of powers or of the logarithm.
    Trace(Core) on apply;
    progress: trace => {
        let mean = trace.target_mean();
        (trace.products(), trace.probes(), mean.value, mean.standard_error)
    };
    getters {
        products: usize = trace => trace.products();
        probes: usize = trace => trace.probes();
        status: &'static str = trace => trace.status().name();
    }
    arrays {
        means = trace => mean_rows(&trace.means());
        sketch = trace => Rows(trace.sketch().to_vec(), trace.dim());
    }

    #[new]
    #[pyo3(signature = (
        dim, dtype, *, powers, target, logarithm, relative, absolute, max_products, level, rows,
        block, seed, state = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        dim: usize,
        dtype: Dtype,
        powers: usize,
        target: usize,
        logarithm: Option<(f64, f64, usize)>,
        relative: f64,
        absolute: f64,
        max_products: usize,
        level: f64,
        rows: usize,
        block: usize,
        seed: u64,
        state: Option<(String, Bound<'_, PyDict>)>,
    ) -> PyResult<Self> {
        let form = match logarithm {
            Some((shift, tolerance, steps)) => QuadraticForm::Logarithm { shift, tolerance, steps },
            None => QuadraticForm::Powers(powers),
        };
        let precision = Precision { relative, absolute, max_products, level };
        let options = TraceOptions { dim, form, target, precision, rows, block, seed };
        let trace = for_dtype!(dtype, S => match state {
            None => gate::enter(py, || Core::<S>::new(options))?,
            Some((record, arrays)) => {
                let checkpoint = read_state::<S>(record, dim, &arrays)?;
                gate::enter(py, || Core::resume(options, checkpoint))?
            }
        });
        Ok(Self(Handle::new(trace)))
    }

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.update(|trace| for_typed!(trace, trace => write_state(py, trace)))
    }
}

fn read_state<S: Storage>(
    record: String,
    dim: usize,
    arrays: &Bound<'_, PyDict>,
) -> PyResult<Checkpoint<S>> {
    let vectors = vec![("sketch", flat::<S>(&item(arrays, "sketch")?)?.0)];
    let numbers = vec![
        ("samples", flat::<f64>(&item(arrays, "samples")?)?.0),
        ("sums", flat::<f64>(&item(arrays, "sums")?)?.0),
    ];
    Ok(Checkpoint { record, dim, vectors, numbers })
}

fn write_state<'py, S: Storage>(
    py: Python<'py>,
    trace: &Core<S>,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    let mut checkpoint = gate::enter(py, || Ok(trace.checkpoint()))?;
    let (arrays, columns) = (PyDict::new(py), trace.means().len());
    let sketch = checkpoint.take_vectors("sketch").map_err(gate::exception)?;
    let samples = checkpoint.take_numbers("samples").map_err(gate::exception)?;
    let sums = checkpoint.take_numbers("sums").map_err(gate::exception)?;
    arrays.set_item("sketch", Rows(sketch, trace.dim()).into_array(py)?)?;
    arrays.set_item("samples", Rows(samples, columns).into_array(py)?)?;
    arrays.set_item("sums", sums.into_array(py)?)?;
    Ok((checkpoint.record, arrays))
}
