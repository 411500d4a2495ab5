//! The Python class of AutoNEB.

use landscape_core::path::{AutoNeb as Core, AutoNebOptions};
use landscape_core::{Cancel, Resumable, Solver};
use pyo3::prelude::*;

use super::{Optimizer, history, read_cycles, rows};
use crate::boundary::{dtype, vector};
use crate::gate;
use crate::objective::{evaluate, with_objective};
use crate::solver::{Handle, for_dtype, for_typed, read_checkpoint, solver_class};

solver_class! {
    /// A nudged elastic band between two minima.
    AutoNeb(Core) on objective;
    progress: band => (band.steps(), band.barrier(), band.force());
    getters {
        status: &'static str = band => band.status().name();
        force: f64 = band => band.force();
        steps: usize = band => band.steps();
        evaluations: (usize, usize) = band => band.evaluations();
    }
    arrays {
        history = band => history(band.history());
        band = band => rows(band.band());
        best = band => rows(band.best());
        memory = band => band.optimizer_state();
    }

    #[new]
    #[pyo3(signature = (
        objective, first, last, *, cycles, rule, spring, climb, tolerance, pivots, max_pivots,
        insertion, between, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        first: &Bound<'_, PyAny>,
        last: &Bound<'_, PyAny>,
        cycles: Vec<(usize, f64)>,
        rule: Optimizer,
        spring: Option<f64>,
        climb: usize,
        tolerance: f64,
        pivots: usize,
        max_pivots: usize,
        insertion: f64,
        between: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let options = AutoNebOptions {
            cycles: read_cycles(&cycles),
            optimizer: rule.0,
            spring,
            climb,
            tolerance,
            pivots,
            max_pivots,
            insertion,
            between,
            seed,
        };
        let band = for_dtype!(dtype(first)?, S => {
            let (first, last) = (vector::<S>(first)?, vector::<S>(last)?);
            let (first, last) = (first.as_slice()?, last.as_slice()?);
            evaluate::<S, _>(py, objective, first.len(), |objective| {
                Core::new(objective, first, last, options)
            })?
        });
        Ok(Self(Handle::new(band)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        band: &Bound<'_, PyAny>,
        best: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let arrays = [("band", band), ("best", best), ("memory", memory)];
        let band = for_dtype!(dtype(band)?, S => {
            {
                let checkpoint = read_checkpoint::<S>(record, &arrays)?;
                gate::check(|| Core::resume(checkpoint))?
            }
        });
        Ok(Self(Handle::new(band)))
    }

    fn evaluate(&self, py: Python<'_>, objective: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.update(|band| {
            for_typed!(band, band => with_objective(py, objective, band, |band, objective| {
                band.evaluate(objective, &Cancel::new())
            }))
        })
    }

    fn record(&self) -> PyResult<String> {
        self.0.read(|band| for_typed!(band, band => band.record()))
    }
}
