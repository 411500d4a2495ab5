//! Storage types of vectors; arithmetic is in f64.

use std::fmt::Debug;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A storage type for long vectors. Arithmetic happens in `f64`: a value is widened exactly when it
/// is read and rounded once when it is written, so that an f32 result is the rounding of the f64 one.
pub trait Scalar:
    sealed::Sealed + Copy + Debug + Default + PartialEq + Send + Sync + 'static
{
    /// The distance of 1 to the next larger storable value.
    const EPSILON: f64;

    /// The exact value.
    fn widen(self) -> f64;

    /// The nearest storable value, ties to even.
    fn narrow(value: f64) -> Self;
}

impl Scalar for f32 {
    const EPSILON: f64 = Self::EPSILON as f64;

    fn widen(self) -> f64 {
        f64::from(self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding to nearest is the purpose")]
    fn narrow(value: f64) -> Self {
        value as Self
    }
}

impl Scalar for f64 {
    const EPSILON: f64 = Self::EPSILON;

    fn widen(self) -> f64 {
        self
    }

    fn narrow(value: f64) -> Self {
        value
    }
}
