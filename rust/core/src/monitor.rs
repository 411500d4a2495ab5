//! How a running computation is watched, and how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

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

/// Steps until `running` says no (true) or `tick`, called after every step, says false (whether it
/// is running then).
///
/// # Errors
/// Those of `step` and of `tick`.
pub(crate) fn stepped<T>(
    search: &mut T,
    running: impl Fn(&T) -> bool,
    mut step: impl FnMut(&mut T) -> Result<(), Error>,
    mut tick: impl FnMut(&T) -> Result<bool, Error>,
) -> Result<bool, Error> {
    while running(search) {
        step(search)?;
        if !tick(search)? {
            return Ok(!running(search));
        }
    }
    Ok(true)
}

/// A monitor that watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Monitor for Unwatched {
    fn tick(&mut self, _: Progress<'_>) -> Result<(), Error> {
        Ok(())
    }
}
