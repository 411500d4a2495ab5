//! Seeded normals: the bits are golden, the numbers are normal, the streams are independent.

use crate::common::on_threads;
use landscape_core::{Gaussian, Scalar};
use proptest::prelude::*;

fn numbers<S: Scalar>(seed: u64, stream: u64, first: u64, count: usize) -> Vec<S> {
    let mut out = vec![S::default(); count];
    Gaussian::new(seed, stream).fill(first, &mut out);
    out
}

/// FNV-1a, 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// tests/test_core.py holds the extension to the same two numbers.
#[test]
fn the_bits_are_golden() {
    let singles: Vec<f32> = numbers(2026, 3, 0, 100_000);
    let doubles: Vec<f64> = numbers(2026, 3, 0, 100_000);
    assert_eq!(hash(singles.iter().flat_map(|x| x.to_le_bytes())), 18_404_005_300_496_999_205);
    assert_eq!(hash(doubles.iter().flat_map(|x| x.to_le_bytes())), 14_424_784_883_082_550_729);
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "the rounding that is tested")]
fn single_precision_is_the_rounding_of_double_precision() {
    let singles: Vec<f32> = numbers(1, 0, 0, 10_001);
    let doubles: Vec<f64> = numbers(1, 0, 0, 10_001);
    assert!(singles.iter().zip(&doubles).all(|(single, double)| *single == *double as f32));
}

/// Each moment lies within four of its standard errors.
#[test]
fn moments_are_those_of_a_standard_normal() {
    let x: Vec<f64> = numbers(7, 1, 0, 1_000_000);
    let moment = |power: i32| x.iter().map(|x| x.powi(power)).sum::<f64>() / x.len() as f64;
    for (power, value, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let standard_error = (variance / x.len() as f64).sqrt();
        let deviation = (moment(power) - value).abs() / standard_error;
        assert!(deviation < 4.0, "moment {power} is {deviation} standard errors off");
    }
}

/// Kolmogorov-Smirnov: √n sup |F_n − Φ| exceeds 1.95 once in a thousand seeds; this one is fixed.
#[test]
fn the_distribution_is_normal() {
    let mut x: Vec<f64> = numbers(11, 0, 0, 200_000);
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let distance = x
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let normal = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
            (normal - i as f64 / n).abs().max(((i + 1) as f64 / n - normal).abs())
        })
        .fold(0.0, f64::max);
    assert!(n.sqrt() * distance < 1.95, "{}", n.sqrt() * distance);
}

/// Correlations of independent normals are N(0, 1/n): five standard deviations bound all pairs.
#[test]
fn streams_seeds_and_neighbours_are_uncorrelated() {
    let count = 100_000;
    let streams: [Vec<f64>; 6] = [
        numbers(5, 0, 0, count),
        numbers(5, 1, 0, count),
        numbers(6, 0, 0, count),
        numbers(5, 1 << 32, 0, count),
        numbers(5 << 32, 0, 0, count),
        numbers(5, 0, 1, count), // the neighbour: also the other half of each Box-Muller pair
    ];
    for (i, x) in streams.iter().enumerate() {
        for y in &streams[..i] {
            let product: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            let correlation = product / count as f64;
            assert!(correlation.abs() < 5.0 / (count as f64).sqrt(), "{correlation}");
        }
    }
}

proptest! {
    #[test]
    fn a_slice_of_a_stream_is_that_slice(
        seed: u64, stream: u64, first in 0_u64..20_000, count in 0_usize..20_000,
    ) {
        let whole: Vec<f64> = numbers(seed, stream, 0, 40_000);
        let start = usize::try_from(first).expect("small");
        let slice: Vec<f64> = numbers(seed, stream, first, count);
        prop_assert_eq!(&slice[..], &whole[start..start + count]);
    }

    #[test]
    fn threads_do_not_change_the_bits(seed: u64, threads in 1_usize..5) {
        let here: Vec<f32> = on_threads(threads, || numbers(seed, 0, 1, 50_000));
        prop_assert_eq!(here, on_threads(1, || numbers::<f32>(seed, 0, 1, 50_000)));
    }
}
