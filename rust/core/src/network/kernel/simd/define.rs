//! The macro that defines a register type from its instructions.

/// Implements [`Vector`] by the instructions given, which see the registers themselves.
macro_rules! vector {
    (
        $name:ident($register:ty), $number:ty, $len:literal;
        splat($x:ident) = $splat:expr;
        load($from:ident) = $load:expr;
        store($stored:ident, $to:ident) = $store:expr;
        sum_lanes($summed:ident) = $total:expr;
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
            fn sum_lanes(self) -> $number {
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

pub(super) use vector;
