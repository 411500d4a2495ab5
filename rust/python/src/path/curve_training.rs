//! The Python class of curve training.

use landscape_core::path::{CurveKind, CurveTraining as Core, CurveTrainingOptions};
use landscape_core::{Cancel, Resumable, Solver};
use pyo3::prelude::*;

use super::{Optimizer, history, read_cycles, rows};
use crate::boundary::{dtype, one_of, vector};
use crate::gate;
use crate::objective::{evaluate, with_objective};
use crate::solver::{Handle, for_dtype, for_typed, read_checkpoint, solver_class};

/// A [`CurveKind`] by its name.
pub struct Kind(CurveKind);

impl FromPyObject<'_, '_> for Kind {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [("bezier", CurveKind::Bezier), ("polychain", CurveKind::Polychain)];
        one_of(&object, &names).map(Self)
    }
}

solver_class! {
    /// A curve between two minima whose control points are trained.
    CurveTraining(Core) on objective;
    progress: curve => (curve.steps(), curve.barrier(), curve.gradient_norm());
    getters {
        status: &'static str = curve => curve.status().name();
        gradient_norm: f64 = curve => curve.gradient_norm();
        steps: usize = curve => curve.steps();
        evaluations: (usize, usize) = curve => curve.evaluations();
    }
    arrays {
        history = curve => history(curve.history());
        control = curve => rows(curve.control());
        best = curve => rows(curve.best());
        memory = curve => curve.optimizer_state();
    }

    #[new]
    #[pyo3(signature = (
        objective, first, last, *, kind, cycles, rule, bends, draws, between, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        first: &Bound<'_, PyAny>,
        last: &Bound<'_, PyAny>,
        kind: Kind,
        cycles: Vec<(usize, f64)>,
        rule: Optimizer,
        bends: usize,
        draws: usize,
        between: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let options = CurveTrainingOptions {
            kind: kind.0,
            cycles: read_cycles(&cycles),
            optimizer: rule.0,
            bends,
            draws,
            between,
            seed,
        };
        let curve = for_dtype!(dtype(first)?, S => {
            let (first, last) = (vector::<S>(first)?, vector::<S>(last)?);
            let (first, last) = (first.as_slice()?, last.as_slice()?);
            evaluate::<S, _>(py, objective, first.len(), |objective| {
                Core::new(objective, first, last, options)
            })?
        });
        Ok(Self(Handle::new(curve)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        control: &Bound<'_, PyAny>,
        best: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let arrays = [("control", control), ("best", best), ("memory", memory)];
        let curve = for_dtype!(dtype(control)?, S => {
            {
                let checkpoint = read_checkpoint::<S>(record, &arrays)?;
                gate::check(|| Core::resume(checkpoint))?
            }
        });
        Ok(Self(Handle::new(curve)))
    }

    fn evaluate(&self, py: Python<'_>, objective: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.update(|curve| {
            for_typed!(curve, curve => with_objective(py, objective, curve, |curve, objective| {
                curve.evaluate(objective, &Cancel::new())
            }))
        })
    }

    fn record(&self) -> PyResult<String> {
        self.0.read(|curve| for_typed!(curve, curve => curve.record()))
    }
}
