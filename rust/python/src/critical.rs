//! The Python class of searches for critical points.

use landscape_core::critical::{Method, Search as Core, SearchOptions};
use landscape_core::{Cancel, Resumable, Solver};
use pyo3::prelude::*;

use crate::boundary::{Rows, dtype, one_of, vector};
use crate::gate;
use crate::objective::evaluate;
use crate::solver::{Handle, for_dtype, for_typed, read_checkpoint, solver_class};

/// A [`Method`] by its name.
pub struct MethodName(Method);

impl FromPyObject<'_, '_> for MethodName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [("newton_mr", Method::NewtonMr), ("saddle_free", Method::SaddleFree)];
        one_of(&object, &names).map(Self)
    }
}

solver_class! {
    /// A search for a critical point.
    CriticalPointSearch(Core) on objective;
    progress: search => (search.steps().len() - 1, search.point().loss, search.point().norm);
    getters {
        status: &'static str = search => search.status().name();
        loss: f64 = search => search.point().loss;
        gradient_norm: f64 = search => search.point().norm;
        products: usize = search => search.products();
        evaluations: usize = search => search.evaluations();
    }
    arrays {
        theta = search => search.point().theta.clone();
        gradient = search => search.point().gradient.clone();
        history = search => {
            let row = |step: &landscape_core::critical::Step| {
                [step.loss, step.gradient_norm, step.length]
            };
            Rows(search.steps().iter().flat_map(row).collect(), 3)
        };
    }

    #[new]
    #[pyo3(signature = (
        objective, theta, *, method, tolerance, max_steps, krylov, negative, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        theta: &Bound<'_, PyAny>,
        method: MethodName,
        tolerance: f64,
        max_steps: usize,
        krylov: usize,
        negative: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let options = SearchOptions {
            method: method.0,
            tolerance,
            max_steps,
            krylov,
            negative_tolerance: negative,
            seed,
        };
        let search = for_dtype!(dtype(theta)?, S => {
            let start = vector::<S>(theta)?.as_slice()?.to_vec();
            evaluate::<S, _>(py, objective, start.len(), |objective| {
                Core::new(objective, start, options, &Cancel::new())
            })?
        });
        Ok(Self(Handle::new(search)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        theta: &Bound<'_, PyAny>,
        gradient: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let arrays = [("theta", theta), ("gradient", gradient)];
        let search = for_dtype!(dtype(theta)?, S => {
            {
                let checkpoint = read_checkpoint::<S>(record, &arrays)?;
                gate::check(|| Core::resume(checkpoint))?
            }
        });
        Ok(Self(Handle::new(search)))
    }

    fn record(&self) -> PyResult<String> {
        self.0.read(|search| for_typed!(search, search => search.record()))
    }
}
