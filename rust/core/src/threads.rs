//! The thread pool of the whole core, and a pool of workspaces.
//!
//! All parallel work enters it by [`install`] or [`join`]; rayon's global pool is never used, because
//! its threads do not survive a fork: a child that waited for them would wait for ever. A pool belongs
//! to the process that made it, and a child makes one anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, require};

/// More threads than any machine can use.
const MAX_THREADS: usize = 1024;

/// The pool of one process. A child inherits the list of its ancestors' pools, which it leaves alone:
/// a lock in them may be held by a thread that it does not have.
struct ProcessPool {
    process: u32,
    /// The number of threads asked for; 0 for what `RAYON_NUM_THREADS` or the machine says.
    count: AtomicUsize,
    pool: Mutex<Option<Arc<ThreadPool>>>,
    child: OnceLock<Box<ProcessPool>>,
}

impl ProcessPool {
    const fn new(process: u32, count: usize) -> Self {
        Self {
            process,
            count: AtomicUsize::new(count),
            pool: Mutex::new(None),
            child: OnceLock::new(),
        }
    }
}

/// The head of the list, which belongs to no process.
static ROOT: ProcessPool = ProcessPool::new(0, 0);

/// The entry of this process.
fn current() -> &'static ProcessPool {
    let process = std::process::id();
    let mut entry = &ROOT;
    while entry.process != process {
        let count = entry.count.load(Ordering::Relaxed);
        entry = entry.child.get_or_init(|| Box::new(ProcessPool::new(process, count)));
    }
    entry
}

fn build(count: usize) -> Result<Arc<ThreadPool>, Error> {
    let builder = ThreadPoolBuilder::new().num_threads(count);
    let named = builder.thread_name(|index| format!("landscape-{index}"));
    named.build().map(Arc::new).map_err(Error::supplier)
}

/// Sets the number of threads. Results do not depend on it.
///
/// # Errors
/// [`Error::Invalid`] for no threads or more than 1,024, [`Error::Supplier`] when the system refuses to make them.
pub fn set_threads(count: usize) -> Result<(), Error> {
    require!(
        (1..=MAX_THREADS).contains(&count),
        "got {count} threads; pass from 1 to {MAX_THREADS}"
    );
    let pool = build(count)?;
    let entry = current();
    entry.count.store(count, Ordering::Relaxed);
    *entry.pool.lock().unwrap_or_else(PoisonError::into_inner) = Some(pool);
    Ok(())
}

/// The number of threads.
#[must_use]
pub fn threads() -> usize {
    pool().map_or(1, |pool| pool.current_num_threads())
}

/// Runs work in the pool of this process.
pub(crate) fn install<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return work(); // in the pool already
    }
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Runs two pieces of work, in parallel where the pool has threads to spare.
pub(crate) fn join<A: Send, B: Send>(
    left: impl FnOnce() -> A + Send,
    right: impl FnOnce() -> B + Send,
) -> (A, B) {
    install(|| rayon::join(left, right))
}

/// The pool, made at its first use; None where the system refuses to make its threads.
fn pool() -> Option<Arc<ThreadPool>> {
    let entry = current();
    let mut pool = entry.pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.is_none() {
        *pool = build(entry.count.load(Ordering::Relaxed)).ok();
    }
    pool.clone()
}

/// Workspaces that tasks borrow, so that buffers are allocated once a thread and not once a task.
#[derive(Default)]
pub(crate) struct WorkspacePool<W>(Mutex<Vec<W>>);

impl<W: Default> WorkspacePool<W> {
    /// Runs work with a borrowed workspace.
    pub fn with<R>(&self, work: impl FnOnce(&mut W) -> R) -> R {
        let mut workspace = self.take().unwrap_or_default();
        let result = work(&mut workspace);
        self.visit(|free| free.push(workspace));
        result
    }

    fn take(&self) -> Option<W> {
        self.visit(Vec::pop).flatten()
    }

    /// Works on the free workspaces, without waiting for ever: after a fork the lock may be held by a
    /// thread that no longer exists, and then a workspace is made anew, and dropped.
    fn visit<R>(&self, work: impl FnOnce(&mut Vec<W>) -> R) -> Option<R> {
        const TRIALS: usize = 1 << 16;
        for _ in 0..TRIALS {
            match self.0.try_lock() {
                Ok(mut free) => return Some(work(&mut free)),
                Err(TryLockError::Poisoned(poisoned)) => {
                    return Some(work(&mut poisoned.into_inner()));
                }
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }
}
