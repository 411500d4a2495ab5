//! Progress and cancellation of a computation.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// A flag that cancels a computation. Drivers check it before every chunk or step and objectives before
/// every block of samples; both then return [`Error::Cancelled`].
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests cancellation; safe from any thread.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Error::Cancelled`] once cancellation was requested.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The progress of a driver, with the values of the last chunk.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Completed points of the whole task, those before a resume included.
    pub done: usize,
    /// The number of points of the whole task.
    pub total: usize,
    /// The values of the last chunk, row-major (points, columns).
    pub values: &'a [f64],
}

/// Receives the progress of a driver, for progress bars, checkpoints and signals.
pub trait Monitor {
    /// Called from the driver's own thread after every chunk.
    ///
    /// # Errors
    /// Any error ends the computation and is returned by the driver.
    fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error>;
}

/// A monitor that ignores all progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Monitor for Unwatched {
    fn tick(&mut self, _: Progress<'_>) -> Result<(), Error> {
        Ok(())
    }
}
