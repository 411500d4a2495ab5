//! The scalar type of a network: f32 or f64, with kernels dispatched to the instruction set.

use super::number::Number;
use super::simd::Dispatch;

/// A floating-point type that networks are evaluated in.
pub trait Real: Number + Dispatch {}

impl<T: Number + Dispatch> Real for T {}
