//! A Python object as the supplier of a loss and its derivatives.

use landscape_core::{
    BatchedObjective, Cancel, Error, LinearOperator, Objective, Scalar, Subspace,
};
use numpy::Element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, returned, table};
use crate::gate;
use crate::spectrum::callback::Callback;

/// An object with the methods `losses(points)`, `gradients(points)` and `curvature_at(theta)`, for
/// points of shape (k, dim) and of the dtype of `S`; with `gradients_on(points, batches)` and the
/// number `batches` where samples are split into batches.
pub struct Supplier {
    pub object: Py<PyAny>,
    pub dim: usize,
}

impl<S: Scalar + Element> Objective<S> for Supplier {
    fn dim(&self) -> usize {
        self.dim
    }

    fn losses(&self, points: &[S], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        gate::reenter(|py| {
            let rows = table(py, points.to_vec(), self.dim)?;
            let found: Doubles = self.object.bind(py).call_method1("losses", (rows,))?.extract()?;
            fill(out, &found.0)
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
            let found = self.object.bind(py).call_method1("gradients", (rows,))?;
            derived(&found, losses, gradients)
        })
    }

    fn curvature_at<'a>(&'a self, point: &[S]) -> Result<Box<dyn LinearOperator<S> + 'a>, Error> {
        gate::reenter(|py| {
            let point = crate::boundary::array(py, point.to_vec());
            let apply = self.object.bind(py).call_method1("curvature_at", (point,))?.unbind();
            Ok(Box::new(Callback { apply, dim: self.dim }) as Box<dyn LinearOperator<S>>)
        })
    }

    fn subspace<'a>(&'a self, _: &[S], _: &[&[S]]) -> Result<Box<dyn Subspace + 'a>, Error> {
        Err(Error::Invalid("losses on planes are asked for by `grid`".into()))
    }
}

impl<S: Scalar + Element> BatchedObjective<S> for Supplier {
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
            let found = self.object.bind(py).call_method1("gradients_on", (rows, batches))?;
            derived(&found, losses, gradients)
        })
    }
}

/// Takes in losses and gradients that were returned.
fn derived<S: Scalar + Element>(
    found: &Bound<'_, PyAny>,
    losses: &mut [f64],
    gradients: &mut [S],
) -> PyResult<()> {
    let (values, slopes): (Doubles, Bound<'_, PyAny>) = found.extract()?;
    fill(losses, &values.0)?;
    let dim = gradients.len() / losses.len().max(1);
    gradients.copy_from_slice(returned::<S>(&slopes, [losses.len(), dim])?.as_slice()?);
    Ok(())
}

fn fill(out: &mut [f64], found: &[f64]) -> PyResult<()> {
    if out.len() != found.len() {
        return Err(PyValueError::new_err(format!(
            "the function returned {} losses for {} points; return one for each",
            found.len(),
            out.len()
        )));
    }
    out.copy_from_slice(found);
    Ok(())
}
