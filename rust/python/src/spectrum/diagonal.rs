//! The Python class of stochastic diagonals.

use landscape_core::Solver;
use landscape_core::spectrum::{Diagonal as Core, Precision};
use pyo3::prelude::*;

use crate::boundary::Dtype;
use crate::gate;
use crate::solver::{Handle, for_dtype, solver_class};

solver_class! {
    /// A stochastic diagonal.
    Diagonal(Core) on apply;
    progress: diagonal => {
        (diagonal.products(), diagonal.probes(), diagonal.norm(), diagonal.error())
    };
    getters {
        products: usize = diagonal => diagonal.products();
        probes: usize = diagonal => diagonal.probes();
        rank: usize = diagonal => diagonal.rank();
        status: &'static str = diagonal => diagonal.status().name();
        quantile: f64 = diagonal => diagonal.quantile();
    }
    arrays {
        values = diagonal => diagonal.values();
        standard_errors = diagonal => diagonal.standard_errors();
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
        let diagonal = for_dtype!(dtype, S => {
            gate::check(|| Core::<S>::new(dim, precision, rows, block, seed))?
        });
        Ok(Self(Handle::new(diagonal)))
    }
}
