//! The instruction set, found at run time.

/// An instruction set that this machine has: whoever holds one may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(());

impl Isa {
    /// No more than what every machine of this architecture has.
    pub const PLAIN: Self = Self(());

    /// The best one that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::PLAIN
    }

    /// All that this machine has, the best one first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        vec![Self::PLAIN]
    }

    /// Runs a loop compiled for this instruction set: the compiler makes vector instructions of it.
    /// A `mul_add` in it would be a call to a function on machines that have no such instruction.
    #[inline]
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }
}
