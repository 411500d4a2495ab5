//! Accuracy over all floats, edges, and independence of the index in a slice.

use crate::isa::Isa;
use crate::network::kernel::{Real, erf, exp, expm1, ln, sigmoid, softplus, tanh};

/// A function, and what it should be.
struct Case<T: Real> {
    name: &'static str,
    function: fn(Isa, &mut [T]),
    reference: fn(f64) -> f64,
}

fn cases<T: Real>() -> [Case<T>; 7] {
    [
        Case { name: "tanh", function: tanh, reference: libm::tanh },
        Case { name: "exp", function: exp, reference: libm::exp },
        Case { name: "expm1", function: expm1, reference: libm::expm1 },
        Case { name: "ln", function: ln, reference: libm::log },
        Case { name: "sigmoid", function: sigmoid, reference: true_sigmoid },
        Case { name: "erf", function: erf, reference: libm::erf },
        Case { name: "softplus", function: softplus, reference: true_softplus },
    ]
}

fn true_sigmoid(x: f64) -> f64 {
    if x < 0.0 { libm::exp(x) / (1.0 + libm::exp(x)) } else { 1.0 / (1.0 + libm::exp(-x)) }
}

fn true_softplus(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// The limits of a precision: the largest and the smallest number, normal and not.
struct Limits {
    largest: f64,
    smallest: f64,
    least: f64,
}

const F32: Limits = Limits {
    largest: f32::MAX as f64,
    smallest: f32::MIN_POSITIVE as f64,
    least: f32::from_bits(1) as f64,
};
const F64: Limits =
    Limits { largest: f64::MAX, smallest: f64::MIN_POSITIVE, least: f64::from_bits(1) };

/// The relative error of a normal number; infinite where anything else differs by more than a unit.
fn error(limits: &Limits, got: f64, want: f64) -> f64 {
    let infinite = got.is_infinite() && got * want > 0.0;
    let same = got == want || (got.is_nan() && want.is_nan());
    let underflow = want.abs() < limits.smallest && (got - want).abs() <= limits.least;
    // At the end of the range the rounded value may already be infinite.
    if same || underflow || (infinite && want.abs() > limits.largest * (1.0 - 1e-7)) {
        return 0.0;
    }
    let relative = ((got - want) / want).abs();
    if relative.is_finite() { relative } else { f64::INFINITY }
}

/// Holds every function to a tolerance on these numbers, for every instruction set. Products that
/// are rounded before they are added cost a little.
fn worst<T: Real>(limits: &Limits, numbers: &[T], tolerance: f64) {
    for case in cases::<T>() {
        let expected: Vec<f64> = numbers.iter().map(|x| (case.reference)(x.widen())).collect();
        for isa in Isa::available() {
            let mut values = numbers.to_vec();
            (case.function)(isa, &mut values);
            let errors =
                values.iter().zip(&expected).map(|(y, &want)| error(limits, y.widen(), want));
            let at = |(x, e): (&T, f64)| (e, x.widen());
            let larger = |a: (f64, f64), b: (f64, f64)| if b.0 > a.0 { b } else { a };
            let (error, x) = numbers.iter().zip(errors).map(at).fold((0.0, 0.0), larger);
            println!("{} {isa:?}: {error:.2e} at {x:e}", case.name);
            let roundings = if isa == Isa::PLAIN { 1.2 } else { 1.0 };
            assert!(error <= tolerance * roundings, "{} {isa:?}: {error:.2e} at {x:e}", case.name);
        }
    }
}

fn every(stride: usize) -> Vec<f32> {
    (0..=u32::MAX).step_by(stride).map(f32::from_bits).collect()
}

/// All magnitudes, and densely where the functions bend, overflow or underflow.
fn doubles() -> Vec<f64> {
    let all = (0..100_000_u64).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let grid = (-200_000..200_000_i32).map(|i| f64::from(i) * 1.000_123e-4);
    let near_one = (-20_000..20_000_i32).map(|i| 1.0 + f64::from(i) * 3.1e-5);
    let ends = (0..20_000_i32).flat_map(|i| {
        let step = f64::from(i) * 1.7e-3;
        [700.0 + step, -700.0 - step, 1e-9 * step, -1e-9 * step]
    });
    all.chain(grid).chain(near_one).chain(ends).collect()
}

#[test]
fn errors_are_small_over_all_floats() {
    worst(&F32, &every(4_001), 3e-7);
}

#[test]
#[ignore = "minutes: every 97th float"]
fn errors_are_small_over_very_many_floats() {
    worst(&F32, &every(97), 3e-7);
}

#[test]
fn errors_are_small_over_doubles() {
    worst(&F64, &doubles(), 1e-14);
}

#[test]
fn tanh_is_at_most_one_and_reaches_it() {
    let numbers: Vec<f32> = (0x40a0_0000..0x4120_0000).step_by(7).map(f32::from_bits).collect();
    for isa in Isa::available() {
        for sign in [1.0, -1.0] {
            let mut values: Vec<f32> = numbers.iter().map(|x| sign * x).collect();
            tanh(isa, &mut values);
            let largest = values.iter().fold(0.0, |most: f32, y| most.max(sign * y));
            assert_eq!((largest, values.last()), (1.0, Some(&sign)), "{isa:?}");
        }
    }
}

fn edges<T: Real>(limits: &Limits) {
    let numbers: Vec<T> = [0.0, limits.least, limits.smallest, 1.0, limits.largest, f64::INFINITY]
        .into_iter()
        .flat_map(|x| [T::narrow(x), T::narrow(-x)])
        .chain([T::narrow(f64::NAN)])
        .collect();
    worst(limits, &numbers, 3e-7);
    for (isa, function) in Isa::available()
        .into_iter()
        .flat_map(|isa| [tanh, expm1, erf].map(|function: fn(Isa, &mut [T])| (isa, function)))
    {
        let mut zeros = [T::ZERO, -T::ZERO];
        function(isa, &mut zeros);
        assert_eq!(zeros.map(|zero| zero.widen().is_sign_negative()), [false, true]);
    }
}

#[test]
fn limits_zeros_and_nan_are_those_of_the_c_library() {
    edges::<f32>(&F32);
    edges::<f64>(&F64);
}

fn check_independence_of_index<T: Real>() {
    let numbers: Vec<T> = (0..67).map(|i| T::narrow(f64::from(i) * 0.37 - 11.0)).collect();
    for (isa, case) in Isa::available().into_iter().flat_map(|isa| cases().map(|case| (isa, case)))
    {
        let mut whole = numbers.clone();
        (case.function)(isa, &mut whole);
        for (start, end) in [(0, 0), (0, 1), (1, 67), (3, 20), (5, 12), (60, 67)] {
            let mut part = numbers[start..end].to_vec();
            (case.function)(isa, &mut part);
            let bits = |values: &[T]| -> Vec<u64> {
                values.iter().map(|value| value.widen().to_bits()).collect()
            };
            assert_eq!(bits(&part), bits(&whole[start..end]), "{} {isa:?}", case.name);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_index() {
    check_independence_of_index::<f32>();
    check_independence_of_index::<f64>();
}
