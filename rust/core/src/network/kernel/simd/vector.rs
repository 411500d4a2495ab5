//! What kernels ask of a vector register.

use std::ops::{Add, Div, Mul, Sub};

use super::token::Simd;
use crate::isa::Isa;
use crate::network::kernel::constants::Constants;
use crate::network::kernel::number::Number;

/// A register of numbers. Whoever holds one runs on a machine that has it, for only [`Simd`] makes
/// the first.
pub trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The numbers in it.
    type Number: Number;

    /// How many they are.
    const LEN: usize;

    /// The same number everywhere.
    fn splat(simd: Simd<Self>, number: Self::Number) -> Self;

    /// The first numbers of a slice.
    fn load(simd: Simd<Self>, from: &[Self::Number]) -> Self;

    /// Writes the numbers to the beginning of `to`.
    fn store(self, to: &mut [Self::Number]);

    /// a b + c, rounded once where the machine can.
    fn mul_add(a: Self, b: Self, c: Self) -> Self;

    /// The smaller of two, a where it is NaN. b is none.
    fn smaller(a: Self, b: Self) -> Self;

    /// The larger of two, a where it is NaN. b is none.
    fn larger(a: Self, b: Self) -> Self;

    /// The larger of two, NaN where either is NaN.
    fn maximum(a: Self, b: Self) -> Self;

    /// then where a > b, otherwise where not.
    fn select(a: Self, b: Self, then: Self, otherwise: Self) -> Self;

    /// The first halves of both, their numbers in turns.
    fn interleave_low(a: Self, b: Self) -> Self;

    /// The second halves of both, their numbers in turns.
    fn interleave_high(a: Self, b: Self) -> Self;

    /// The bits that both have.
    fn and(a: Self, b: Self) -> Self;

    /// The bits that either has.
    fn or(a: Self, b: Self) -> Self;

    /// The bits, moved from the lowest bits to where an exponent has them.
    fn bits_to_exponent(a: Self) -> Self;

    /// The bits, moved from where an exponent has them to the lowest bits.
    fn exponent_to_bits(a: Self) -> Self;

    /// a 2ⁿ for a whole n, which may be larger or smaller than exponents are: unless one instruction
    /// does it, by two factors.
    #[inline(always)]
    fn times_power_of_two(simd: Simd<Self>, a: Self, n: Self) -> Self {
        let rounder = simd.splat(Self::Number::ROUNDER);
        let half = Self::mul_add(n, simd.splat(Self::Number::HALF), rounder) - rounder;
        let biased = simd.splat(Self::Number::BIASED_ROUNDER);
        let [low, high] = [half, n - half].map(|n| Self::bits_to_exponent(n + biased));
        a * low * high
    }

    /// The sum of the numbers.
    fn sum_lanes(self) -> Self::Number;
}

impl<V: Vector> Simd<V> {
    /// The same number everywhere.
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

/// Work that an instruction set is chosen for. Its rule must be inlined.
pub trait Kernel<T: Number> {
    /// Does it with C registers for the L lanes of a panel.
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>);
}

/// The part of [`Real`] that chooses registers.
pub trait Dispatch: Sized {
    /// Does the work with the registers of this instruction set.
    fn dispatch(isa: Isa, kernel: impl Kernel<Self>)
    where
        Self: Number;
}

/// A panel's column in its registers.
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

/// Adds a multiple of x to sums.
#[inline(always)]
pub fn add_multiple<V: Vector>(sums: &mut [V], factor: V, x: &[V]) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = V::mul_add(x, factor, *sum);
    }
}

/// The most numbers that a register has.
pub const MAX_LEN: usize = 16;

/// Turns a square of numbers: as many registers as each has numbers, the others left as they are.
#[inline(always)]
pub fn transpose<V: Vector>(square: &mut [V; MAX_LEN]) {
    // To interleave the first half of the rows with the second moves the highest bit of a number's
    // place to its lowest end; after as many times as rows have bits, they are columns.
    let half = V::LEN / 2;
    for _ in 0..V::LEN.ilog2() {
        let rows = *square;
        for row in 0..half {
            square[2 * row] = V::interleave_low(rows[row], rows[row + half]);
            square[2 * row + 1] = V::interleave_high(rows[row], rows[row + half]);
        }
    }
}
