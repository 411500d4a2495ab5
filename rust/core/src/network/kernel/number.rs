//! Arithmetic of f32 and f64, and the lanes of a panel.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use super::constants::Constants;
use super::scratch::ThreadScratch;
use crate::scalar::Scalar;

/// A floating-point type with the arithmetic that kernels need.
pub trait Number:
    Scalar
    + Constants
    + ThreadScratch
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// Lanes of a panel: 64 bytes of numbers on every machine.
    const LANES: usize;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞.
    const LOWEST: Self;

    /// |x|.
    #[must_use]
    fn abs(self) -> Self;

    /// √x, correctly rounded.
    #[must_use]
    fn sqrt(self) -> Self;

    /// The larger of two numbers, and NaN where either is NaN: `torch.maximum`.
    #[inline]
    #[must_use]
    fn maximum(self, other: Self) -> Self {
        if (self > other) | self.is_nan() { self } else { other }
    }

    /// The smaller of two numbers, and NaN where either is NaN: `torch.minimum`.
    #[inline]
    #[must_use]
    fn minimum(self, other: Self) -> Self {
        if (self < other) | self.is_nan() { self } else { other }
    }

    /// Whether this is NaN.
    #[inline]
    #[must_use]
    #[expect(clippy::eq_op, reason = "NaN alone differs from itself")]
    fn is_nan(self) -> bool {
        self != self
    }
}

macro_rules! number {
    ($number:ident, $lanes:literal) => {
        impl Number for $number {
            const LANES: usize = $lanes;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = Self::NEG_INFINITY;

            #[inline]
            fn abs(self) -> Self {
                $number::abs(self)
            }

            #[inline]
            fn sqrt(self) -> Self {
                $number::sqrt(self)
            }
        }
    };
}

number!(f32, 16);
number!(f64, 8);

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn maximum_and_minimum_with_nan_are_nan() {
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, f32::NAN)] {
            assert!(Number::maximum(a, b).is_nan() && Number::minimum(a, b).is_nan());
        }
        assert_eq!((Number::maximum(1.0, 2.0), Number::minimum(1.0, 2.0)), (2.0, 1.0));
        assert_eq!((Number::maximum(2.0, 1.0), Number::minimum(2.0, 1.0)), (2.0, 1.0));
    }
}
