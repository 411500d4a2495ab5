//! Quadratures of random vectors, with a Python function as the operator.

use landscape_core::spectrum::{Density as Estimate, Iteration, Quadrature};
use pyo3::prelude::*;

use super::held::{Held, each, run};
use super::slot::Slot;
use crate::boundary::{Doubles, Dtype, array};
use crate::gate;

type Either = Held<Estimate<f32>, Estimate<f64>>;

/// Stochastic Lanczos quadrature.
#[pyclass(frozen, module = "landscape._core")]
pub struct Density(Slot<Either>);

#[pymethods]
impl Density {
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
        let found = |(nodes, weights): (Doubles, Doubles)| Quadrature {
            nodes: nodes.0,
            weights: weights.0,
        };
        let known = (known.into_iter().map(found).collect(), products);
        let sizes = (probes, steps);
        let held = match dtype {
            Dtype::F32 => Estimate::new(dim, sizes, block, seed, known).map(Held::F32),
            Dtype::F64 => Estimate::new(dim, sizes, block, seed, known).map(Held::F64),
        };
        held.map(|held| Self(Slot::new(held))).map_err(gate::exception)
    }

    fn run(&self, py: Python<'_>, apply: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| {
            each!(held, estimate => run(py, estimate, apply, &tick, |py, now| {
                (now.products(), now.quadratures().len()).into_pyobject(py)
            }))
        })
    }

    #[getter]
    fn products(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, estimate => estimate.products()))
    }

    fn quadratures<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let found = self.0.with(|held| each!(held, estimate => estimate.quadratures().to_vec()))?;
        let arrays = |one: Quadrature| (array(py, one.nodes), array(py, one.weights));
        Ok(found.into_iter().map(arrays).collect())
    }
}
