//! The Python class of power iteration.

use landscape_core::Solver;
use landscape_core::spectrum::{PowerIteration as Core, PowerOptions};
use pyo3::prelude::*;

use crate::boundary::{Doubles, Dtype, Rows, WhichName};
use crate::gate;
use crate::solver::{Handle, for_dtype, solver_class};

solver_class! {
    /// Shifted power iteration with deflation.
    PowerIteration(Core) on apply;
    progress: power => (
        power.products(),
        power.converged(),
        Doubles(power.values()),
        Doubles(power.residuals()),
    );
    getters {
        products: usize = power => power.products();
        scale: f64 = power => power.scale();
        status: &'static str = power => power.status().name();
    }
    arrays {
        values = power => power.values();
        residuals = power => power.residuals();
        bounds = power => power.bounds();
        vectors = power => Rows(power.vectors(), power.options().dim);
    }

    #[new]
    #[pyo3(signature = (dim, dtype, *, count, which, tolerance, max_products, seed))]
    fn new(
        dim: usize,
        dtype: Dtype,
        count: usize,
        which: WhichName,
        tolerance: f64,
        max_products: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let which = which.0;
        let options = PowerOptions { dim, count, which, tolerance, max_products, seed };
        let power = for_dtype!(dtype, S => gate::check(|| Core::<S>::new(options))?);
        Ok(Self(Handle::new(power)))
    }
}
