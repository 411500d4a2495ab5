//! One reusable vector per thread, so that kernels do not allocate on every call.

use std::cell::Cell;

/// A number type with one scratch vector per thread.
pub trait ThreadScratch: Sized {
    /// Takes the thread's scratch vector; until it is returned, a further call gets an empty one.
    fn take_scratch() -> Vec<Self>;

    /// Returns the vector for the next call.
    fn return_scratch(scratch: Vec<Self>);
}

macro_rules! thread_scratch {
    ($number:ident, $scratch:ident) => {
        thread_local! {
            static $scratch: Cell<Vec<$number>> = const { Cell::new(Vec::new()) };
        }

        impl ThreadScratch for $number {
            fn take_scratch() -> Vec<Self> {
                $scratch.take()
            }

            fn return_scratch(scratch: Vec<Self>) {
                $scratch.set(scratch);
            }
        }
    };
}

thread_scratch!(f32, SCRATCH_F32);
thread_scratch!(f64, SCRATCH_F64);
