//! The interface at which the suppliers of a loss and the algorithms meet.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

/// A flag that asks a computation to stop. Drivers look at it before every chunk, suppliers inside
/// every block of samples, and both then return [`Error::Cancelled`].
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// A flag that nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the computation to stop; safe from any thread.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Error::Cancelled`] once a stop was requested.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// An affine subspace of parameter space, θ(c) = origin + Σᵢ cᵢ basisᵢ, as the supplier of the loss
/// sees it. The long vectors stay where the model lives; only coordinates and values travel.
pub trait Subspace {
    /// The number m of coordinates of a point.
    fn dim(&self) -> usize;

    /// The number of values at a point: the loss, then whatever metrics go with it.
    fn columns(&self) -> usize {
        1
    }

    /// Values at k points: `coords` is row-major (k, dim), `out` row-major (k, columns).
    ///
    /// NaN and infinite values are data, not errors.
    ///
    /// # Errors
    /// [`Error::Supplier`] when the loss cannot be evaluated, [`Error::Cancelled`] on request.
    fn evaluate(&self, coords: &[f64], out: &mut [f64], cancel: &Cancel) -> Result<(), Error>;
}

/// How far a driver is, with the values that the last chunk brought.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Points finished, counted from the first of the whole task, also after a resume.
    pub done: usize,
    /// Points of the whole task.
    pub total: usize,
    /// The values of the points finished since the last tick, row-major (points, columns).
    pub values: &'a [f64],
}

/// Watches a driver: progress bars, checkpoints, signals.
pub trait Monitor {
    /// Called from the driver's own thread after every chunk.
    ///
    /// # Errors
    /// Any error ends the computation and is what the driver returns.
    fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error>;
}

/// A monitor that watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Monitor for Unwatched {
    fn tick(&mut self, _: Progress<'_>) -> Result<(), Error> {
        Ok(())
    }
}
