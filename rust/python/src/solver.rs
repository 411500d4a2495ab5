//! Python classes of solvers: a handle for both storage types, and a macro for what all classes share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use landscape_core::Checkpoint;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::boundary::{Storage, flat};
use crate::gate;

/// A value of either storage type.
pub enum Typed<A, B> {
    F32(A),
    F64(B),
}

/// Evaluates an expression for a value of either storage type.
macro_rules! for_typed {
    ($typed:expr, $value:ident => $body:expr) => {
        match $typed {
            $crate::solver::Typed::F32($value) => $body,
            $crate::solver::Typed::F64($value) => $body,
        }
    };
}
pub(crate) use for_typed;

/// Evaluates an expression with `$scalar` as the name of a storage type.
macro_rules! for_dtype {
    ($dtype:expr, $scalar:ident => $body:expr) => {
        match $dtype {
            $crate::boundary::Dtype::F32 => {
                type $scalar = f32;
                $crate::solver::Typed::F32($body)
            }
            $crate::boundary::Dtype::F64 => {
                type $scalar = f64;
                $crate::solver::Typed::F64($body)
            }
        }
    };
}
pub(crate) use for_dtype;

const RUNNING: &str = "the solver is running; use it after `run` has returned: `tick` is given its \
                       progress";
const LOST: &str = "the solver was lost in a fault of landscape; begin anew, or with resume= from the \
                    last checkpoint";

/// Where a solver is.
enum Slot<T> {
    Idle(T),
    Running,
    Lost,
}

/// Owns a solver. While it runs it is taken out, so that a callback gets an error and no deadlock.
pub struct Handle<A, B>(Mutex<Slot<Typed<A, B>>>);

impl<A, B> Handle<A, B> {
    pub fn new(solver: Typed<A, B>) -> Self {
        Self(Mutex::new(Slot::Idle(solver)))
    }

    fn lock(&self) -> MutexGuard<'_, Slot<Typed<A, B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the solver.
    pub fn read<R>(&self, read: impl FnOnce(&Typed<A, B>) -> R) -> PyResult<R> {
        match &*self.lock() {
            Slot::Idle(solver) => gate::guard(|| Ok(read(solver))),
            Slot::Running => Err(PyRuntimeError::new_err(RUNNING)),
            Slot::Lost => Err(PyRuntimeError::new_err(LOST)),
        }
    }

    /// Takes the solver out for `work`, and puts it back whatever the result is. After a panic it may
    /// be in the middle of a step, and is not put back.
    pub fn update<R>(&self, work: impl FnOnce(&mut Typed<A, B>) -> PyResult<R>) -> PyResult<R> {
        let mut solver = {
            let mut slot = self.lock();
            match std::mem::replace(&mut *slot, Slot::Running) {
                Slot::Idle(solver) => solver,
                Slot::Running => return Err(PyRuntimeError::new_err(RUNNING)),
                Slot::Lost => {
                    *slot = Slot::Lost;
                    return Err(PyRuntimeError::new_err(LOST));
                }
            }
        };
        gate::take_fault();
        let result = gate::guard(|| work(&mut solver));
        *self.lock() = if gate::take_fault() { Slot::Lost } else { Slot::Idle(solver) };
        result
    }
}

/// A checkpoint from a record and arrays of one storage type, the first of them rows of vectors.
pub fn read_checkpoint<S: Storage>(
    record: &str,
    arrays: &[(&'static str, &Bound<'_, PyAny>)],
) -> PyResult<Checkpoint<S>> {
    let (mut dim, mut vectors) = (0, Vec::with_capacity(arrays.len()));
    for (index, (name, array)) in arrays.iter().enumerate() {
        let (values, columns) = flat::<S>(array)?;
        if index == 0 {
            dim = columns;
        }
        vectors.push((*name, values));
    }
    Ok(Checkpoint { record: record.to_owned(), dim, vectors, numbers: Vec::new() })
}

/// The Python class of a solver: `run`, getters and arrays, besides methods of its own.
///
/// `progress` makes the arguments of the function that is called after every step.
macro_rules! solver_class {
    (
        $(#[$meta:meta])*
        $name:ident($core:ident) on $problem:ident;
        progress: $p:ident => $progress:expr;
        getters { $($getter:ident: $type:ty = $g:ident => $value:expr;)* }
        arrays { $($array:ident = $a:ident => $numbers:expr;)* }
        $($methods:tt)*
    ) => {
        $(#[$meta])*
        #[pyo3::pyclass(frozen, module = "landscape._core")]
        pub struct $name($crate::solver::Handle<$core<f32>, $core<f64>>);

        #[pyo3::pymethods]
        impl $name {
            $($methods)*

            fn run(
                &self,
                py: pyo3::Python<'_>,
                $problem: &pyo3::Bound<'_, pyo3::PyAny>,
                tick: pyo3::Py<pyo3::PyAny>,
            ) -> pyo3::PyResult<bool> {
                self.0.update(|solver| {
                    $crate::solver::for_typed!(solver, solver => {
                        $crate::solver::solver_class!(@on $problem)(
                            py,
                            $problem,
                            solver,
                            |solver, problem| {
                                landscape_core::Solver::run(
                                    solver,
                                    problem,
                                    &landscape_core::Cancel::new(),
                                    |$p| $crate::gate::tell(&tick, $progress),
                                )
                            },
                        )
                    })
                })
            }

            $(
                #[getter]
                fn $getter(&self) -> pyo3::PyResult<$type> {
                    self.0.read(|solver| $crate::solver::for_typed!(solver, $g => $value))
                }
            )*

            $(
                fn $array<'py>(
                    &self,
                    py: pyo3::Python<'py>,
                ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                    self.0.read(|solver| {
                        $crate::solver::for_typed!(solver, $a => {
                            $crate::boundary::IntoArray::into_array($numbers, py)
                        })
                    })?
                }
            )*
        }
    };
    (@on objective) => { $crate::objective::with_objective };
    (@on apply) => { $crate::operator::with_operator };
}
pub(crate) use solver_class;
