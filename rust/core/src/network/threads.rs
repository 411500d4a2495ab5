//! The threads that networks are evaluated on.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, require};

/// The pool that was asked for; rayon's own, which obeys `RAYON_NUM_THREADS`, without one.
static CHOSEN: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

/// More threads than any machine has use for.
const LARGEST: usize = 1024;

/// Evaluates networks on so many threads from now on. Results do not depend on it.
///
/// # Errors
/// [`Error::Invalid`] for no threads or more than 1,024, [`Error::Supplier`] when the system refuses to make them.
pub fn set_threads(count: usize) -> Result<(), Error> {
    require!((1..=LARGEST).contains(&count), "got {count} threads; pass from 1 to {LARGEST}");
    let pool = ThreadPoolBuilder::new().num_threads(count).build().map_err(Error::supplier)?;
    *CHOSEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pool));
    Ok(())
}

/// How many threads networks are evaluated on.
#[must_use]
pub fn threads() -> usize {
    chosen().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
}

/// Does work on these threads.
pub(crate) fn install<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match chosen() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

fn chosen() -> Option<Arc<ThreadPool>> {
    CHOSEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Work rooms that tasks take in turns, so that buffers are made once a thread and not once a task.
#[derive(Default)]
pub(crate) struct Rooms<W>(Mutex<Vec<W>>);

impl<W: Default> Rooms<W> {
    /// Lends a room to some work.
    pub fn lend<R>(&self, work: impl FnOnce(&mut W) -> R) -> R {
        let mut room = self.take().unwrap_or_default();
        let result = work(&mut room);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(room);
        result
    }

    fn take(&self) -> Option<W> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
