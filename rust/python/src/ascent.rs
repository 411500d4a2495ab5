//! The Python class of ascents in a neighbourhood.

use landscape_core::ascent::{
    Ascent as Core, AscentMethod, AscentOptions, Constraint, Neighbourhood,
};
use landscape_core::{Solver, Status};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::{Rows, dtype, matrix, one_of, vector};
use crate::objective::evaluate;
use crate::solver::{Handle, for_dtype, for_typed, solver_class};
use crate::state::{item, read_state, write_state};

/// A [`Constraint`] by its name.
pub struct ConstraintName(Constraint);

impl FromPyObject<'_, '_> for ConstraintName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        one_of(&object, &[("ball", Constraint::Ball), ("box", Constraint::Box)]).map(Self)
    }
}

/// The method of a name, with the option that belongs to it.
fn read_method(name: &str, step: Option<f64>, tolerance: Option<f64>) -> PyResult<AscentMethod> {
    match (name, step, tolerance) {
        ("projected", step, None) => Ok(AscentMethod::Projected { step }),
        ("apgd", None, None) => Ok(AscentMethod::AutoPgd),
        ("lbfgs", None, Some(tolerance)) => Ok(AscentMethod::Lbfgs { tolerance }),
        ("projected" | "apgd" | "lbfgs", ..) => Err(PyValueError::new_err(format!(
            "got step {step:?} and tolerance {tolerance:?} for the method {name:?}; pass a step only \
             to \"projected\", and a tolerance to \"lbfgs\" alone, which needs one"
        ))),
        _ => Err(PyValueError::new_err(format!(
            "got the method {name:?}; pass \"projected\", \"apgd\" or \"lbfgs\""
        ))),
    }
}

const ARRAYS: (&[&str], &[&str]) =
    (&["origin", "scale", "basis", "points", "best", "memory"], &["history"]);

solver_class! {
    /// Ascents of the loss in a neighbourhood, evaluated together.
    Ascent(Core) on objective;
    progress: ascent => (ascent.steps(), ascent.max_loss(), ascent.running());
    getters {
        status: &'static str = ascent => ascent.status().name();
        statuses: Vec<&'static str> =
            ascent => ascent.statuses().into_iter().map(Status::name).collect();
        steps: usize = ascent => ascent.steps();
        gradients: u64 = ascent => ascent.gradients();
    }
    arrays {
        losses = ascent => ascent.losses();
        displacements = ascent =>
            Rows(ascent.displacements(), ascent.neighbourhood().coordinates());
        history = ascent => Rows(ascent.history().to_vec(), ascent.rows());
    }

    #[new]
    #[pyo3(signature = (
        objective, origin, starts, *, scale, method, constraint, radius, steps, step = None,
        tolerance = None, basis = None, batches = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: &Bound<'_, PyAny>,
        origin: &Bound<'_, PyAny>,
        starts: &Bound<'_, PyAny>,
        scale: &Bound<'_, PyAny>,
        method: &str,
        constraint: ConstraintName,
        radius: f64,
        steps: usize,
        step: Option<f64>,
        tolerance: Option<f64>,
        basis: Option<&Bound<'_, PyAny>>,
        batches: Option<Vec<usize>>,
    ) -> PyResult<Self> {
        let method = read_method(method, step, tolerance)?;
        let options = AscentOptions { method, constraint: constraint.0, radius, steps };
        let ascent = for_dtype!(dtype(origin)?, S => {
            let origin = vector::<S>(origin)?.as_slice()?.to_vec();
            let scale = vector::<S>(scale)?.as_slice()?.to_vec();
            let starts = matrix::<S>(starts)?;
            require_columns(starts.as_array().ncols(), scale.len(), "starts")?;
            let starts = starts.as_slice()?;
            let basis = match basis {
                Some(basis) => {
                    let basis = matrix::<S>(basis)?;
                    require_columns(basis.as_array().ncols(), origin.len(), "a basis")?;
                    Some(basis.as_slice()?.to_vec())
                }
                None => None,
            };
            evaluate::<S, _>(py, objective, origin.len(), |objective| {
                let neighbourhood = Neighbourhood::new(origin, scale, basis)?;
                Core::new(objective, neighbourhood, starts, batches, options)
            })?
        });
        Ok(Self(Handle::new(ascent)))
    }

    #[staticmethod]
    fn resumed(record: String, arrays: &Bound<'_, PyDict>) -> PyResult<Self> {
        let ascent = for_dtype!(dtype(&item(arrays, "origin")?)?, S => {
            read_state::<S, _>(record, arrays, ARRAYS, Core::resume)?
        });
        Ok(Self(Handle::new(ascent)))
    }

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.read(|ascent| for_typed!(ascent, ascent => {
            write_state(py, ascent, |name| match name {
                "origin" | "scale" => 0,
                "basis" => ascent.dim(),
                "history" => ascent.rows(),
                _ => ascent.neighbourhood().coordinates(),
            })
        }))?
    }
}

fn require_columns(given: usize, expected: usize, what: &str) -> PyResult<()> {
    if given == expected {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "got {what} with rows of {given} entries; pass rows of {expected}"
    )))
}
