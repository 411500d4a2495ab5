//! The Python class of stochastic Lanczos quadrature.

use landscape_core::spectrum::{Density as Core, Quadrature};
use pyo3::prelude::*;

use crate::boundary::{Doubles, Dtype};
use crate::gate;
use crate::solver::{Handle, for_dtype, for_typed, solver_class};

solver_class! {
    /// Quadratures of random vectors.
    Density(Core) on apply;
    progress: density => (density.products(), density.quadratures().len());
    getters {
        products: usize = density => density.products();
        completed_products: usize = density => density.completed_products();
    }
    arrays {}

    #[new]
    #[pyo3(signature = (dim, dtype, *, probes, steps, block, seed, known, products))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        dim: usize,
        dtype: Dtype,
        probes: usize,
        steps: usize,
        block: usize,
        seed: u64,
        known: Vec<(Doubles, Doubles)>,
        products: usize,
    ) -> PyResult<Self> {
        let quadrature =
            |(nodes, weights): (Doubles, Doubles)| Quadrature { nodes: nodes.0, weights: weights.0 };
        let known = known.into_iter().map(quadrature).collect();
        let density = for_dtype!(dtype, S => {
            gate::check(|| Core::<S>::new(dim, (probes, steps), block, seed, (known, products)))?
        });
        Ok(Self(Handle::new(density)))
    }

    fn quadratures(&self) -> PyResult<Vec<(Doubles, Doubles)>> {
        let pair = |rule: &Quadrature| (Doubles(rule.nodes.clone()), Doubles(rule.weights.clone()));
        self.0.read(|density| {
            for_typed!(density, density => density.quadratures().iter().map(pair).collect())
        })
    }
}
