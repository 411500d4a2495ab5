//! The Python class of walks within a minimum.

use landscape_core::walk::{WalkOptions, WalkStep, Walker as Core};
use landscape_core::{Cancel, Resumable, Solver};
use pyo3::prelude::*;

use crate::boundary::{Rows, dtype, vector};
use crate::gate;
use crate::objective::evaluate;
use crate::solver::{Handle, for_dtype, for_typed, read_checkpoint, solver_class};

solver_class! {
    /// A walk along flat directions.
    Walker(Core) on objective;
    progress: walk => {
        let last = walk.steps().last().copied().unwrap_or_default();
        (walk.steps().len() - 1, last.loss, last.distance)
    };
    getters {
        status: &'static str = walk => walk.status().name();
        counts: (usize, usize) = walk => walk.counts();
    }
    arrays {
        points = walk => Rows(walk.points().to_vec(), walk.dim());
        direction = walk => walk.direction().to_vec();
        history = walk => {
            let row =
                |s: &WalkStep| [s.loss, s.distance, s.length, s.curvature, s.scale];
            Rows(walk.steps().iter().flat_map(row).collect(), 5)
        };
    }

    #[new]
    #[pyo3(signature = (
        objective, theta, *, distance, tolerance, flat, stride, max_steps, krylov, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        theta: &Bound<'_, PyAny>,
        distance: f64,
        tolerance: f64,
        flat: f64,
        stride: f64,
        max_steps: usize,
        krylov: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let flat_tolerance = flat;
        let options =
            WalkOptions { distance, tolerance, flat_tolerance, stride, max_steps, krylov, seed };
        let walk = for_dtype!(dtype(theta)?, S => {
            let start = vector::<S>(theta)?.as_slice()?.to_vec();
            evaluate::<S, _>(py, objective, start.len(), |objective| {
                Core::new(objective, start, options, &Cancel::new())
            })?
        });
        Ok(Self(Handle::new(walk)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        points: &Bound<'_, PyAny>,
        direction: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let arrays = [("points", points), ("direction", direction)];
        let walk = for_dtype!(dtype(points)?, S => {
            {
                let checkpoint = read_checkpoint::<S>(record, &arrays)?;
                gate::check(|| Core::resume(checkpoint))?
            }
        });
        Ok(Self(Handle::new(walk)))
    }

    fn record(&self) -> PyResult<String> {
        self.0.read(|walk| for_typed!(walk, walk => walk.record()))
    }
}
