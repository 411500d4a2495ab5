//! Objectives from Python: an object with methods, or a native network.

use landscape_core::{
    BatchedObjective, Cancel, Error, LinearOperator, Objective, Solver, Subspace,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Storage, array, returned, table};
use crate::gate;
use crate::network_objective::NetworkObjective;
use crate::operator::CallbackOperator;

/// Works with a solver on a Python object, with the GIL released. A [`NetworkObjective`] is evaluated
/// directly, any other object by its methods.
pub fn with_objective<T, R>(
    py: Python<'_>,
    objective: &Bound<'_, PyAny>,
    solver: &mut T,
    work: impl FnOnce(&mut T, &dyn BatchedObjective<T::Scalar>) -> Result<R, Error> + Send,
) -> PyResult<R>
where
    T: Solver + Send,
    T::Scalar: Storage,
    R: Send,
{
    let dim = solver.dim();
    evaluate(py, objective, dim, |objective| work(solver, objective))
}

/// The same without a solver, for a dimension.
pub fn evaluate<S: Storage, R: Send>(
    py: Python<'_>,
    objective: &Bound<'_, PyAny>,
    dim: usize,
    work: impl FnOnce(&dyn BatchedObjective<S>) -> Result<R, Error> + Send,
) -> PyResult<R> {
    if let Ok(network) = objective.cast::<NetworkObjective>() {
        let network = network.get().interruptible::<S>()?;
        return gate::enter(py, || work(&network));
    }
    let callbacks = CallbackObjective { object: objective.clone().unbind(), dim };
    gate::enter(py, || work(&callbacks))
}

/// An object with the methods `losses(points)`, `gradients(points)` and `curvature_at(theta)`, for
/// points of shape (k, dim) and of the dtype of `S`; with `gradients_on(points, batches)` and the
/// number `batches` where samples are split into mini-batches.
struct CallbackObjective {
    object: Py<PyAny>,
    dim: usize,
}

impl<S: Storage> Objective<S> for CallbackObjective {
    fn dim(&self) -> usize {
        self.dim
    }

    fn losses(&self, points: &[S], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        gate::reenter(|py| {
            let rows = table(py, points.to_vec(), self.dim)?;
            let losses: Doubles =
                self.object.bind(py).call_method1("losses", (rows,))?.extract()?;
            copy_losses(&losses.0, out)
        })
    }

    fn gradients(
        &self,
        points: &[S],
        losses: &mut [f64],
        gradients: &mut [S],
        _: &Cancel,
    ) -> Result<(), Error> {
        gate::reenter(|py| {
            let rows = table(py, points.to_vec(), self.dim)?;
            let pair = self.object.bind(py).call_method1("gradients", (rows,))?;
            copy_gradients(&pair, losses, gradients)
        })
    }

    fn curvature_at<'a>(&'a self, point: &[S]) -> Result<Box<dyn LinearOperator<S> + 'a>, Error> {
        gate::reenter(|py| {
            let point = array(py, point.to_vec());
            let apply = self.object.bind(py).call_method1("curvature_at", (point,))?.unbind();
            Ok(Box::new(CallbackOperator { apply, dim: self.dim }) as Box<dyn LinearOperator<S>>)
        })
    }

    fn subspace<'a>(&'a self, _: &[S], _: &[&[S]]) -> Result<Box<dyn Subspace + 'a>, Error> {
        Err(Error::Invalid("affine subspaces are evaluated by `grid`".into()))
    }
}

impl<S: Storage> BatchedObjective<S> for CallbackObjective {
    fn batches(&self) -> Result<usize, Error> {
        gate::reenter(|py| self.object.bind(py).getattr("batches")?.extract())
    }

    fn gradients_on(
        &self,
        points: &[S],
        batches: &[usize],
        losses: &mut [f64],
        gradients: &mut [S],
        _: &Cancel,
    ) -> Result<(), Error> {
        gate::reenter(|py| {
            let rows = table(py, points.to_vec(), self.dim)?;
            let pair = self.object.bind(py).call_method1("gradients_on", (rows, batches))?;
            copy_gradients(&pair, losses, gradients)
        })
    }
}

fn copy_gradients<S: Storage>(
    pair: &Bound<'_, PyAny>,
    losses: &mut [f64],
    gradients: &mut [S],
) -> PyResult<()> {
    let (values, derivatives): (Doubles, Bound<'_, PyAny>) = pair.extract()?;
    copy_losses(&values.0, losses)?;
    let dim = gradients.len() / losses.len().max(1);
    gradients.copy_from_slice(returned::<S>(&derivatives, [losses.len(), dim])?.as_slice()?);
    Ok(())
}

fn copy_losses(losses: &[f64], out: &mut [f64]) -> PyResult<()> {
    if out.len() != losses.len() {
        return Err(PyValueError::new_err(format!(
            "the function returned {} losses for {} points; return one for each",
            losses.len(),
            out.len()
        )));
    }
    out.copy_from_slice(losses);
    Ok(())
}
