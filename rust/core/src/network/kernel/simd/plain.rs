//! Arrays, which the compiler vectorises as the architecture allows.

use std::array::from_fn;
use std::ops::{Add, Div, Mul, Sub};

use super::define::vector;
use super::token::Simd;
use super::vector::Vector;

#[inline(always)]
fn zip<T: Copy, const N: usize>(a: [T; N], b: [T; N], rule: impl Fn(T, T) -> T) -> [T; N] {
    from_fn(|i| rule(a[i], b[i]))
}

#[inline(always)]
fn add<T: Copy + Add<Output = T>, const N: usize>(a: [T; N], b: [T; N]) -> [T; N] {
    zip(a, b, T::add)
}

#[inline(always)]
fn sub<T: Copy + Sub<Output = T>, const N: usize>(a: [T; N], b: [T; N]) -> [T; N] {
    zip(a, b, T::sub)
}

#[inline(always)]
fn mul<T: Copy + Mul<Output = T>, const N: usize>(a: [T; N], b: [T; N]) -> [T; N] {
    zip(a, b, T::mul)
}

#[inline(always)]
fn div<T: Copy + Div<Output = T>, const N: usize>(a: [T; N], b: [T; N]) -> [T; N] {
    zip(a, b, T::div)
}

macro_rules! plain {
    ($name:ident, $number:ident, $len:literal, $exponent:literal) => {
        vector! { $name([$number; $len]), $number, $len;
            splat(x) = [x; $len];
            load(from) = from.cast::<[$number; $len]>().read_unaligned();
            store(a, to) = to.cast::<[$number; $len]>().write_unaligned(a);
            sum_lanes(a) = a.into_iter().sum();
            operators {
                Add add = add;
                Sub sub = sub;
                Mul mul = mul;
                Div div = div;
            }
            fn mul_add(a, b, c) = from_fn(|i| a[i] * b[i] + c[i]);
            fn smaller(a, b) = zip(a, b, |a, b| if b < a { b } else { a });
            fn larger(a, b) = zip(a, b, |a, b| if b > a { b } else { a });
            fn maximum(a, b) = zip(a, b, |a, b| if a > b || a.is_nan() { a } else { b });
            fn select(a, b, then, otherwise) =
                from_fn(|i| if a[i] > b[i] { then[i] } else { otherwise[i] });
            fn interleave_low(a, b) = from_fn(|i| if i % 2 == 0 { a[i / 2] } else { b[i / 2] });
            fn interleave_high(a, b) = from_fn(|i| {
                let i = i + $len;
                if i % 2 == 0 { a[i / 2] } else { b[i / 2] }
            });
            fn and(a, b) = zip(a, b, |a, b| $number::from_bits(a.to_bits() & b.to_bits()));
            fn or(a, b) = zip(a, b, |a, b| $number::from_bits(a.to_bits() | b.to_bits()));
            fn bits_to_exponent(a) = a.map(|a| $number::from_bits(a.to_bits() << $exponent));
            fn exponent_to_bits(a) = a.map(|a| $number::from_bits(a.to_bits() >> $exponent));
        }
    };
}

plain!(F32, f32, 8, 23);
plain!(F64, f64, 4, 52);
