//! The interface of a SIMD register, and of a kernel that is generic over registers.

use std::ops::{Add, Div, Mul, Sub};

use super::token::Simd;
use crate::isa::Isa;
use crate::network::kernel::constants::Constants;
use crate::network::kernel::number::Number;

/// A register of numbers. A value proves that the machine has the register, since the first one is
/// made from a [`Simd`] token.
pub trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The type of its numbers.
    type Number: Number;

    /// The number of its numbers.
    const LEN: usize;

    /// All numbers equal.
    fn splat(simd: Simd<Self>, number: Self::Number) -> Self;

    /// The first numbers of a slice.
    fn load(simd: Simd<Self>, from: &[Self::Number]) -> Self;

    /// Stores the numbers to the beginning of `to`.
    fn store(self, to: &mut [Self::Number]);

    /// a b + c, rounded once where the machine has a fused multiply-add.
    fn mul_add(a: Self, b: Self, c: Self) -> Self;

    /// min(a, b), and a where a is NaN; b is not NaN.
    fn smaller(a: Self, b: Self) -> Self;

    /// max(a, b), and a where a is NaN; b is not NaN.
    fn larger(a: Self, b: Self) -> Self;

    /// max(a, b), and NaN where either is NaN.
    fn maximum(a: Self, b: Self) -> Self;

    /// `then` where a > b, else `otherwise`.
    fn select(a: Self, b: Self, then: Self, otherwise: Self) -> Self;

    /// The first halves of both, interleaved.
    fn interleave_low(a: Self, b: Self) -> Self;

    /// The second halves of both, interleaved.
    fn interleave_high(a: Self, b: Self) -> Self;

    /// Bitwise and.
    fn and(a: Self, b: Self) -> Self;

    /// Bitwise or.
    fn or(a: Self, b: Self) -> Self;

    /// The bits shifted left from the lowest position to the exponent's.
    fn bits_to_exponent(a: Self) -> Self;

    /// The bits shifted right from the exponent's position to the lowest.
    fn exponent_to_bits(a: Self) -> Self;

    /// a 2ⁿ for an integer n, which may exceed the range of exponents: by two factors, unless the
    /// machine has an instruction for it.
    #[inline(always)]
    fn times_power_of_two(simd: Simd<Self>, a: Self, n: Self) -> Self {
        let rounder = simd.splat(Self::Number::ROUNDER);
        let half = Self::mul_add(n, simd.splat(Self::Number::HALF), rounder) - rounder;
        let biased = simd.splat(Self::Number::BIASED_ROUNDER);
        let [low, high] = [half, n - half].map(|n| Self::bits_to_exponent(n + biased));
        a * low * high
    }

    /// The horizontal sum.
    fn sum_lanes(self) -> Self::Number;
}

impl<V: Vector> Simd<V> {
    /// All numbers equal.
    #[inline(always)]
    pub fn splat(self, number: V::Number) -> V {
        V::splat(self, number)
    }

    /// The first numbers of a slice.
    #[inline(always)]
    pub fn load(self, from: &[V::Number]) -> V {
        V::load(self, from)
    }
}

/// A computation that is generic over registers, compiled once for each instruction set. Everything
/// that it calls must be inlined.
pub trait Kernel<T: Number> {
    /// Runs with C registers V for the L lanes of a panel.
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>);
}

/// A number type whose kernels are dispatched to an instruction set.
pub trait Dispatch: Sized {
    /// Runs a kernel with the registers of an instruction set.
    fn dispatch(isa: Isa, kernel: impl Kernel<Self>)
    where
        Self: Number;
}

/// Loads the lanes of a panel's column.
#[inline(always)]
pub fn load_column<V: Vector, const C: usize, const L: usize>(
    simd: Simd<V>,
    from: &[V::Number; L],
) -> [V; C] {
    let mut registers = [simd.splat(V::Number::ZERO); C];
    for (register, from) in registers.iter_mut().zip(from.chunks_exact(V::LEN)) {
        *register = simd.load(from);
    }
    registers
}

/// sums += factor · x.
#[inline(always)]
pub fn add_multiple<V: Vector>(sums: &mut [V], factor: V, x: &[V]) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = V::mul_add(x, factor, *sum);
    }
}

/// The largest number of numbers in a register.
pub const MAX_LEN: usize = 16;

/// Transposes a square of numbers: the first `V::LEN` registers; the others are left unchanged.
#[inline(always)]
pub fn transpose<V: Vector>(square: &mut [V; MAX_LEN]) {
    // Interleaving the first half of the rows with the second rotates the bits of a number's index
    // by one; after log₂ LEN rotations, rows and columns are exchanged.
    let half = V::LEN / 2;
    for _ in 0..V::LEN.ilog2() {
        let rows = *square;
        for row in 0..half {
            square[2 * row] = V::interleave_low(rows[row], rows[row + half]);
            square[2 * row + 1] = V::interleave_high(rows[row], rows[row + half]);
        }
    }
}
