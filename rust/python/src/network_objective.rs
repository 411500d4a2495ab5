//! A native network as an objective that solvers evaluate without Python.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landscape_core::network::{
    NetworkCurvature, NetworkObjective as Core, ObjectiveOptions, Statistics,
};
use landscape_core::{BatchedObjective, Cancel, Error, LinearOperator, Objective, Subspace};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{Doubles, Storage};
use crate::gate;
use crate::network::{Network, SHORT, cost};

/// The interval at which signals are handled between calls that are too short to be watched.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);
/// The maximum number of points of one call, as in Python.
const CHUNK: usize = 256;

/// Described in `_core.pyi`.
#[pyclass(frozen, module = "landscape._core")]
pub struct NetworkObjective {
    /// An `Arc<Core<S>>` of the network's storage type S.
    core: Box<dyn Any + Send + Sync>,
    #[pyo3(get)]
    batches: usize,
}

#[pymethods]
impl NetworkObjective {
    #[new]
    #[pyo3(signature = (network, *, weight, batch_weights, statistics, memory))]
    fn new(
        network: PyRef<'_, Network>,
        weight: f64,
        batch_weights: Doubles,
        statistics: &str,
        memory: usize,
    ) -> PyResult<Self> {
        let (batch_weights, batches) = (batch_weights.0.clone(), batch_weights.0.len());
        let core = match build::<f32>(&network, weight, &batch_weights, statistics, memory)? {
            Some(core) => Some(core),
            None => build::<f64>(&network, weight, &batch_weights, statistics, memory)?,
        };
        let core =
            core.ok_or_else(|| PyValueError::new_err("got a network of an unknown dtype"))?;
        Ok(Self { core, batches })
    }
}

/// The objective of a network of storage type S; None where the network has another.
fn build<S: Storage>(
    network: &Network,
    weight: f64,
    batch_weights: &[f64],
    statistics: &str,
    memory: usize,
) -> PyResult<Option<Box<dyn Any + Send + Sync>>> {
    let Some(loss) = network.typed::<S>() else { return Ok(None) };
    let statistics = match statistics {
        "stored" => Statistics::Stored,
        "batch" => Statistics::Batch,
        other => {
            return Err(PyValueError::new_err(format!(
                "got the statistics {other:?}; pass 'stored' or 'batch'"
            )));
        }
    };
    let batch_weights = batch_weights.to_vec();
    let options = ObjectiveOptions { weight, batch_weights, statistics, memory };
    let core = gate::check(|| Core::new(loss, options))?;
    Ok(Some(Box::new(Arc::new(core))))
}

impl NetworkObjective {
    /// The objective for a solver with vectors of `S`.
    pub fn interruptible<S: Storage>(&self) -> PyResult<Interruptible<S>> {
        let core = self.core.downcast_ref::<Arc<Core<S>>>().ok_or_else(|| {
            PyValueError::new_err("the network has another dtype than the vectors; convert one")
        })?;
        Ok(Interruptible { core: Arc::clone(core), handled: Mutex::new(Instant::now()) })
    }
}

/// A network's objective that lets Ctrl-C in: long calls are watched, and between short ones signals are
/// handled from time to time.
pub struct Interruptible<S: 'static> {
    core: Arc<Core<S>>,
    /// When signals were handled last.
    handled: Mutex<Instant>,
}

impl<S: Storage> Interruptible<S> {
    /// Runs work of so many multiply-adds.
    fn guard<R: Send>(
        &self,
        operations: usize,
        work: impl FnOnce(&Cancel) -> Result<R, Error> + Send,
    ) -> Result<R, Error> {
        if operations >= SHORT {
            return gate::watch_detached(work);
        }
        self.handle_signals()?;
        work(&Cancel::new())
    }

    fn handle_signals(&self) -> Result<(), Error> {
        // The lock is never contended: solvers call from one thread.
        let Ok(mut handled) = self.handled.lock() else { return Ok(()) };
        if handled.elapsed() > SIGNAL_INTERVAL {
            gate::reenter(|_| Ok(()))?;
            *handled = Instant::now();
        }
        Ok(())
    }

    /// Multiply-adds of all samples at so many points.
    fn cost(&self, points: usize) -> usize {
        cost(self.core.loss(), points)
    }
}

impl<S: Storage> Objective<S> for Interruptible<S> {
    fn dim(&self) -> usize {
        self.core.dim()
    }

    fn losses(&self, points: &[S], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        let dim = self.dim();
        for (points, out) in points.chunks(CHUNK * dim).zip(out.chunks_mut(CHUNK)) {
            let operations = self.cost(out.len());
            self.guard(operations, |cancel| self.core.losses(points, out, cancel))?;
        }
        Ok(())
    }

    fn gradients(
        &self,
        points: &[S],
        losses: &mut [f64],
        gradients: &mut [S],
        _: &Cancel,
    ) -> Result<(), Error> {
        let core = &*self.core;
        self.guard(self.cost(3 * losses.len()), |cancel| {
            core.gradients(points, losses, gradients, cancel)
        })
    }

    fn curvature_at<'a>(&'a self, point: &[S]) -> Result<Box<dyn LinearOperator<S> + 'a>, Error> {
        let hessian = self.guard(self.cost(3), |cancel| self.core.hessian_at(point, cancel))?;
        Ok(Box::new(InterruptibleHessian { hessian, objective: self }))
    }

    fn subspace<'a>(
        &'a self,
        origin: &[S],
        basis: &[&[S]],
    ) -> Result<Box<dyn Subspace + 'a>, Error> {
        self.core.subspace(origin, basis)
    }
}

impl<S: Storage> BatchedObjective<S> for Interruptible<S> {
    fn batches(&self) -> Result<usize, Error> {
        self.core.batches()
    }

    fn gradients_on(
        &self,
        points: &[S],
        batches: &[usize],
        losses: &mut [f64],
        gradients: &mut [S],
        _: &Cancel,
    ) -> Result<(), Error> {
        let core = &*self.core;
        let share = core.batches()?.max(1);
        self.guard(self.cost(3 * losses.len()) / share, |cancel| {
            core.gradients_on(points, batches, losses, gradients, cancel)
        })
    }
}

/// Its Hessian at a point.
struct InterruptibleHessian<'a, S: Storage> {
    hessian: NetworkCurvature<S>,
    objective: &'a Interruptible<S>,
}

impl<S: Storage> LinearOperator<S> for InterruptibleHessian<'_, S> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }

    fn apply(&self, block: &[S], out: &mut [S], _: &Cancel) -> Result<(), Error> {
        let vectors = block.len() / self.dim().max(1);
        let operations = self.objective.cost(6 * vectors);
        self.objective.guard(operations, |cancel| self.hessian.apply(block, out, cancel))
    }
}
