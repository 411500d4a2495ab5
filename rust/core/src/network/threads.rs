//! The thread pool that networks are evaluated on, and a pool of workspaces.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, require};

/// The pool of [`set_threads`]; None for rayon's global one, which obeys `RAYON_NUM_THREADS`.
static POOL: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

/// More threads than any machine can use.
const MAX_THREADS: usize = 1024;

/// Sets the number of threads that networks are evaluated on. Results do not depend on it.
///
/// # Errors
/// [`Error::Invalid`] for no threads or more than 1,024, [`Error::Supplier`] when the system refuses to make them.
pub fn set_threads(count: usize) -> Result<(), Error> {
    require!(
        (1..=MAX_THREADS).contains(&count),
        "got {count} threads; pass from 1 to {MAX_THREADS}"
    );
    let pool = ThreadPoolBuilder::new().num_threads(count).build().map_err(Error::supplier)?;
    *POOL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pool));
    Ok(())
}

/// The number of threads that networks are evaluated on.
#[must_use]
pub fn threads() -> usize {
    pool().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
}

/// Runs work in this pool.
pub(crate) fn install<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

fn pool() -> Option<Arc<ThreadPool>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Workspaces that tasks borrow, so that buffers are allocated once a thread and not once a task.
#[derive(Default)]
pub(crate) struct WorkspacePool<W>(Mutex<Vec<W>>);

impl<W: Default> WorkspacePool<W> {
    /// Runs work with a borrowed workspace.
    pub fn with<R>(&self, work: impl FnOnce(&mut W) -> R) -> R {
        let mut workspace = self.take().unwrap_or_default();
        let result = work(&mut workspace);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        result
    }

    fn take(&self) -> Option<W> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
