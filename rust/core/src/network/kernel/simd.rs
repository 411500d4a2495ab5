//! SIMD registers. All `unsafe` of the crate is here and in `isa/compiled.rs`.
//!
//! Soundness rests on two invariants. A function compiled for an instruction set is called only with
//! an [`Isa`], which is created only on machines that have the instruction set; and a
//! register is created only from a [`Simd`] token of its type or from other registers.
//!
//! | module | what it holds |
//! |---|---|
//! | `token` | proof that the machine has a register type |
//! | `vector` | the interface of a register, and of a kernel that is generic over registers |
//! | `define` | the macro that defines a register type from its instructions |
//! | `plain` | arrays, for machines without a known instruction set |
//! | `arm`, `x86` | NEON; AVX2 with FMA, and AVX-512 |
#![allow(unsafe_code, reason = "SIMD intrinsics are unsafe functions")]
// On some architectures the intrinsics of the baseline are safe functions.
#![allow(unused_unsafe, reason = "one macro serves all architectures")]

#[cfg(target_arch = "aarch64")]
mod arm;
mod define;
mod plain;
mod token;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::marker::PhantomData;

use crate::isa::{Isa, Kind};
pub use token::Simd;
pub use vector::{Dispatch, Kernel, MAX_LEN, Vector, add_multiple, load_column, transpose};

/// Implements [`Dispatch`]: the register type of each instruction set, and how many registers hold
/// the lanes of a panel.
macro_rules! dispatch {
    (
        $number:ident, $lanes:literal, $plain:ty;
        $($arch:literal $kind:ident($features:literal) $vector:ty, $count:literal;)*
    ) => {
        impl Dispatch for $number {
            #[inline]
            fn dispatch(isa: Isa, kernel: impl Kernel<Self>) {
                match isa.kind() {
                    $(
                        #[cfg(target_arch = $arch)]
                        Kind::$kind => {
                            #[target_feature(enable = $features)]
                            fn compiled(kernel: impl Kernel<$number>) {
                                kernel.run::<$vector, $count, $lanes>(Simd(PhantomData));
                            }
                            // SAFETY: an `Isa` of this kind exists only where the machine has these
                            // instructions.
                            unsafe { compiled(kernel) }
                        }
                    )*
                    _ => kernel.run::<$plain, 2, $lanes>(Simd(PhantomData)),
                }
            }
        }
    };
}

dispatch! { f32, 16, plain::F32;
    "x86_64" Avx512("avx512f,avx512dq,avx2,fma") x86::F32x16, 1;
    "x86_64" Avx2("avx2,fma") x86::F32x8, 2;
    "aarch64" Neon("neon") arm::F32x4, 4;
}
dispatch! { f64, 8, plain::F64;
    "x86_64" Avx512("avx512f,avx512dq,avx2,fma") x86::F64x8, 1;
    "x86_64" Avx2("avx2,fma") x86::F64x4, 2;
    "aarch64" Neon("neon") arm::F64x2, 4;
}
