//! The Python class of Langevin samplers.

use landscape_core::sampling::{
    GradientData, Langevin as Core, LangevinOptions, Noise, Preconditioner,
};
use landscape_core::{Solver, Status};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::{IntoArray, Rows, dtype, one_of, table, vector};
use crate::objective::evaluate;
use crate::solver::{Handle, for_dtype, for_typed, solver_class};
use crate::state::{item, read_state, write_state};

/// A [`Noise`] by its name.
pub struct NoiseName(Noise);

impl FromPyObject<'_, '_> for NoiseName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        one_of(&object, &[("euler", Noise::Euler), ("averaged", Noise::Averaged)]).map(Self)
    }
}

/// A [`GradientData`] by its name.
pub struct DataName(GradientData);

impl FromPyObject<'_, '_> for DataName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [("all", GradientData::All), ("mini_batch", GradientData::MiniBatch)];
        one_of(&object, &names).map(Self)
    }
}

/// The preconditioner of a name, with the options that belong to it.
fn read_preconditioner(
    name: &str,
    decay: Option<f64>,
    damping: Option<f64>,
) -> PyResult<Preconditioner> {
    match (name, decay, damping) {
        ("none", None, None) => Ok(Preconditioner::None),
        ("rmsprop", Some(decay), Some(damping)) => Ok(Preconditioner::Rmsprop { decay, damping }),
        ("none" | "rmsprop", ..) => Err(PyValueError::new_err(format!(
            "got decay {decay:?} and damping {damping:?} for the preconditioner {name:?}; pass both \
             to \"rmsprop\", and none to \"none\""
        ))),
        _ => Err(PyValueError::new_err(format!(
            "got the preconditioner {name:?}; pass \"none\" or \"rmsprop\""
        ))),
    }
}

const ARRAYS: (&[&str], &[&str]) =
    (&["centre", "points"], &["accumulator", "losses", "references"]);

/// Rows of one number for each chain, which become the columns of an array (chains, rows).
struct ByChain(Vec<f64>, usize);

impl IntoArray for ByChain {
    fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        table(py, self.0, self.1)?.getattr("T")
    }
}

solver_class! {
    /// Langevin dynamics of many chains about a point.
    Langevin(Core) on objective;
    progress: langevin => (langevin.draws(), langevin.steps(), langevin.mean_loss());
    getters {
        status: &'static str = langevin => langevin.status().name();
        statuses: Vec<&'static str> =
            langevin => langevin.statuses().into_iter().map(Status::name).collect();
        draws: usize = langevin => langevin.draws();
        steps: usize = langevin => langevin.steps();
        gradients: u64 = langevin => langevin.gradients();
    }
    arrays {
        losses = langevin => ByChain(langevin.losses().to_vec(), langevin.options().chains);
        references = langevin => ByChain(langevin.references().to_vec(), langevin.options().chains);
        points = langevin => Rows(langevin.points().to_vec(), langevin.dim());
        preconditioner = langevin => langevin.preconditioner();
    }

    #[new]
    #[pyo3(signature = (
        objective, centre, *, chains, step, nbeta, localisation, burn_in, draws, thinning, seed,
        preconditioner, noise, data, decay = None, damping = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        centre: &Bound<'_, PyAny>,
        chains: usize,
        step: f64,
        nbeta: f64,
        localisation: f64,
        burn_in: usize,
        draws: usize,
        thinning: usize,
        seed: u64,
        preconditioner: &str,
        noise: NoiseName,
        data: DataName,
        decay: Option<f64>,
        damping: Option<f64>,
    ) -> PyResult<Self> {
        let options = LangevinOptions {
            chains,
            step,
            nbeta,
            localisation,
            burn_in,
            draws,
            thinning,
            seed,
            preconditioner: read_preconditioner(preconditioner, decay, damping)?,
            noise: noise.0,
            data: data.0,
        };
        let langevin = for_dtype!(dtype(centre)?, S => {
            let centre = vector::<S>(centre)?.as_slice()?.to_vec();
            evaluate::<S, _>(py, objective, centre.len(), |objective| {
                Core::new(objective, centre, options)
            })?
        });
        Ok(Self(Handle::new(langevin)))
    }

    #[staticmethod]
    fn resumed(record: String, arrays: &Bound<'_, PyDict>) -> PyResult<Self> {
        let langevin = for_dtype!(dtype(&item(arrays, "centre")?)?, S => {
            read_state::<S, _>(record, arrays, ARRAYS, Core::resume)?
        });
        Ok(Self(Handle::new(langevin)))
    }

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.read(|langevin| for_typed!(langevin, langevin => {
            write_state(py, langevin, |name| match name {
                "points" => langevin.dim(),
                "losses" | "references" => langevin.options().chains,
                _ => 0,
            })
        }))?
    }
}
