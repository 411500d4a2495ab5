//! The macro that defines a register type from its instructions.

/// Implements [`Vector`] by these instructions, which take the raw registers.
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
                // SAFETY: values of this type exist only on machines that have the register.
                Self(unsafe { $operation(self.0, other.0) })
            }
        })*

        impl Vector for $name {
            type Number = $number;

            const LEN: usize = $len;

            #[inline(always)]
            fn splat(_: Simd<Self>, $x: $number) -> Self {
                // SAFETY: the token proves that the machine has the register.
                Self(unsafe { $splat })
            }

            #[inline(always)]
            fn load(_: Simd<Self>, $from: &[$number]) -> Self {
                assert!($from.len() >= Self::LEN);
                let $from = $from.as_ptr();
                // SAFETY: the token proves that the machine has the register, the slice is long
                // enough, and the instruction needs no alignment.
                Self(unsafe { $load })
            }

            #[inline(always)]
            fn store(self, to: &mut [$number]) {
                assert!(to.len() >= Self::LEN);
                let ($stored, $to) = (self.0, to.as_mut_ptr());
                // SAFETY: values of this type exist only on machines that have the register, and the slice is long enough.
                unsafe { $store }
            }

            #[inline(always)]
            fn sum_lanes(self) -> $number {
                let $summed = self.0;
                // SAFETY: values of this type exist only on machines that have the register.
                unsafe { $total }
            }

            $(#[inline(always)]
            fn times_power_of_two(_: Simd<Self>, $scaled: Self, $power: Self) -> Self {
                let ($scaled, $power) = ($scaled.0, $power.0);
                // SAFETY: values of this type exist only on machines that have the register.
                Self(unsafe { $scale })
            })?

            $(#[inline(always)]
            fn $method($($argument: Self),*) -> Self {
                $(let $argument = $argument.0;)*
                // SAFETY: values of this type exist only on machines that have the register.
                Self(unsafe { $body })
            })*
        }
    };
}

pub(super) use vector;
