//! Closures compiled for an instruction set. Only an [`Isa`](super::Isa) value can call them.
#![allow(unsafe_code, reason = "a function with target features is unsafe to call")]

use super::kind::Kind;

/// Runs a closure compiled for the instruction set.
#[inline]
pub(super) fn run<R>(kind: Kind, work: impl FnOnce() -> R) -> R {
    match kind {
        // SAFETY: an `Isa` of this kind is given out where the machine has these instructions.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512(work) },
        // SAFETY: an `Isa` of this kind is given out where the machine has these instructions.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2(work) },
        _ => work(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}
