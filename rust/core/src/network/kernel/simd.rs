//! Registers: with `isa/compiled.rs`, what of this crate is not checked by the compiler.
//!
//! It makes two promises. A function compiled for an instruction set is called with an [`Isa`] in
//! hand, which only machines that have it give out; and a register is made from a [`Simd`] of the
//! same machine or from other registers.
#![allow(unsafe_code, reason = "vector instructions have no other door")]
// Every machine of some architectures has their vector instructions, which are safe there.
#![allow(unused_unsafe, reason = "the macro below serves all architectures")]

use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Sub};

use super::vector::{Dispatch, Kernel, Vector};
use crate::isa::{Isa, Kind};

/// Evidence that this machine has registers V.
pub struct Simd<V>(PhantomData<V>);

impl<V> Clone for Simd<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Simd<V> {}

/// Implements [`Dispatch`]: which registers an instruction set has, and how many make a panel.
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
                            // SAFETY: an `Isa` of this kind is given out where the machine has
                            // these instructions.
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

/// Implements [`Vector`] by the instructions given, which see the registers themselves.
macro_rules! vector {
    (
        $name:ident($register:ty), $number:ty, $len:literal;
        splat($x:ident) = $splat:expr;
        load($from:ident) = $load:expr;
        store($stored:ident, $to:ident) = $store:expr;
        total($summed:ident) = $total:expr;
        $(times_power_of_two($scaled:ident, $power:ident) = $scale:expr;)?
        operators { $($operator:ident $apply:ident = $operation:path;)* }
        $(fn $method:ident($($argument:ident),*) = $body:expr;)*
    ) => {
        #[doc = concat!("A register of ", stringify!($len), " numbers.")]
        #[derive(Clone, Copy)]
        pub struct $name($register);

        $(impl $operator for $name {
            type Output = Self;

            #[inline(always)]
            fn $apply(self, other: Self) -> Self {
                // SAFETY: the registers say that the machine has them.
                Self(unsafe { $operation(self.0, other.0) })
            }
        })*

        impl Vector for $name {
            type Number = $number;

            const LEN: usize = $len;

            #[inline(always)]
            fn splat(_: Simd<Self>, $x: $number) -> Self {
                // SAFETY: the evidence says that the machine has the register.
                Self(unsafe { $splat })
            }

            #[inline(always)]
            fn load(_: Simd<Self>, $from: &[$number]) -> Self {
                assert!($from.len() >= Self::LEN);
                let $from = $from.as_ptr();
                // SAFETY: the evidence says that the machine has the register, the slice is long
                // enough, and the instruction asks for no alignment.
                Self(unsafe { $load })
            }

            #[inline(always)]
            fn store(self, to: &mut [$number]) {
                assert!(to.len() >= Self::LEN);
                let ($stored, $to) = (self.0, to.as_mut_ptr());
                // SAFETY: the register says that the machine has it, and the slice is long enough.
                unsafe { $store }
            }

            #[inline(always)]
            fn total(self) -> $number {
                let $summed = self.0;
                // SAFETY: the register says that the machine has it.
                unsafe { $total }
            }

            $(#[inline(always)]
            fn times_power_of_two(_: Simd<Self>, $scaled: Self, $power: Self) -> Self {
                let ($scaled, $power) = ($scaled.0, $power.0);
                // SAFETY: the registers say that the machine has them.
                Self(unsafe { $scale })
            })?

            $(#[inline(always)]
            fn $method($($argument: Self),*) -> Self {
                $(let $argument = $argument.0;)*
                // SAFETY: the registers say that the machine has them.
                Self(unsafe { $body })
            })*
        }
    };
}

#[cfg(target_arch = "aarch64")]
mod arm;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;
