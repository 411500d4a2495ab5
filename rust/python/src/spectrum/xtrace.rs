//! The Python class of XTrace.

use landscape_core::Solver;
use landscape_core::spectrum::{Precision, XTrace as Core};
use pyo3::prelude::*;

use super::mean_rows;
use crate::boundary::{Dtype, Rows};
use crate::gate;
use crate::solver::{Handle, for_dtype, solver_class};

solver_class! {
    /// The trace from exchangeable vectors.
    XTrace(Core) on apply;
    progress: trace => {
        let mean = trace.mean();
        (trace.products(), trace.probes(), mean.value, mean.standard_error)
    };
    getters {
        products: usize = trace => trace.products();
        probes: usize = trace => trace.probes();
        status: &'static str = trace => trace.status().name();
    }
    arrays {
        means = trace => mean_rows(&[trace.mean()]);
        sketch = trace => Rows(trace.sketch().to_vec(), trace.dim());
    }

    #[new]
    #[pyo3(signature = (
        dim, dtype, *, relative, absolute, max_products, level, rows, block, seed,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        dim: usize,
        dtype: Dtype,
        relative: f64,
        absolute: f64,
        max_products: usize,
        level: f64,
        rows: usize,
        block: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let precision = Precision { relative, absolute, max_products, level };
        let trace = for_dtype!(dtype, S => {
            gate::check(|| Core::<S>::new(dim, precision, rows, block, seed))?
        });
        Ok(Self(Handle::new(trace)))
    }
}
