//! Long vectors: sums against naive ones, projections against their definition, threads ignored.

use crate::common::{assert_close, on_threads};
use landscape_core::{Gaussian, Scalar, combine, dot, gram, norm, orthogonalise};
use proptest::prelude::*;

fn normals<S: Scalar>(stream: u64, count: usize) -> Vec<S> {
    let mut out = vec![S::default(); count];
    Gaussian::new(20, stream).fill(0, &mut out);
    out
}

fn cosine(x: &[f64], y: &[f64]) -> f64 {
    dot(x, y).expect("one length") / (norm(x) * norm(y))
}

#[test]
fn sums_are_accumulated_in_double_precision() {
    // In f32 the sum of 10⁷ ones would stop at 2²⁴ = 16,777,216 had it more terms, and the squares
    // of 0.1 would drift by a percent.
    let x = vec![0.1_f32; 10_000_000];
    let exact = 1e7 * f64::from(0.1_f32) * f64::from(0.1_f32);
    assert!((dot(&x, &x).expect("one length") - exact).abs() < 1e-12 * exact);
    assert!((norm(&x) - exact.sqrt()).abs() < 1e-12 * exact);
}

#[test]
fn the_empty_vector_has_norm_zero() {
    assert_eq!(norm::<f64>(&[]), 0.0);
    assert_eq!(dot::<f32>(&[], &[]).expect("one length"), 0.0);
}

#[test]
fn vectors_of_two_lengths_are_refused() {
    let error = dot(&[1.0], &[1.0, 2.0]).expect_err("two lengths");
    assert_eq!(error.to_string(), "got vectors of 1 and of 2 entries; pass vectors of one length");
    assert!(combine(&[&[1.0][..], &[1.0, 2.0]], &[1.0, 1.0]).is_err());
    assert!(gram(&[&[1.0][..], &[1.0, 2.0]]).is_err());
    assert!(orthogonalise(&[1.0], &[&[1.0, 2.0]]).is_err());
}

#[test]
fn a_combination_needs_one_coefficient_a_vector() {
    let error = combine(&[&[1.0][..]], &[1.0, 2.0]).expect_err("two coefficients");
    assert!(error.to_string().starts_with("got 2 coefficients for 1 vectors"), "{error}");
    assert!(combine::<f64>(&[], &[]).is_err());
}

#[test]
fn a_combination_is_rounded_once() {
    // 1 + 2⁻²⁴ + 2⁻²⁴ is representable in f32, but neither partial sum is.
    let [one, tiny] = [[1.0_f32], [2.0_f32.powi(-24)]];
    let sum = combine(&[&one, &tiny, &tiny], &[1.0; 3]).expect("one length");
    assert_eq!(sum, [1.0 + f32::EPSILON]);
}

#[test]
fn the_result_is_orthogonal_to_vectors_that_are_not_orthogonal_to_each_other() {
    let [x, a, b]: [Vec<f64>; 3] = [0, 1, 2].map(|stream| normals(stream, 10_007));
    let tilted = combine(&[&a, &b], &[1.0, 0.01]).expect("one length");
    let left = orthogonalise(&x, &[&a, &tilted]).expect("one length");
    for vector in [&a, &b, &tilted] {
        assert!(cosine(&left, vector).abs() < 1e-12, "{}", cosine(&left, vector));
    }
}

#[test]
fn a_second_pass_keeps_nearly_parallel_vectors_orthogonal() {
    let [a, b]: [Vec<f64>; 2] = [0, 1].map(|stream| normals(stream, 5_000));
    let x = combine(&[&a, &b], &[1.0, 1e-9]).expect("one length");
    let left = orthogonalise(&x, &[&a]).expect("one length");
    assert!(cosine(&left, &a).abs() < 1e-12, "{}", cosine(&left, &a));
    let expected = orthogonalise(&b, &[&a]).expect("one length");
    assert!(cosine(&left, &expected) > 1.0 - 1e-12);
}

#[test]
fn dependent_and_zero_vectors_are_left_out() {
    let [x, a]: [Vec<f64>; 2] = [0, 1].map(|stream| normals(stream, 999));
    let double: Vec<f64> = a.iter().map(|value| 2.0 * value).collect();
    let once = orthogonalise(&x, &[&a]).expect("one length");
    let thrice = orthogonalise(&x, &[&vec![0.0; 999], &a, &double]).expect("one length");
    assert_close(&thrice, &once, 1e-14);
}

#[test]
fn what_is_not_a_number_is_not_left_out() {
    let left = orthogonalise(&[1.0, 2.0], &[&[f64::NAN, 0.0]]).expect("one length");
    assert!(left.iter().all(|value| value.is_nan()), "{left:?}");
}

#[test]
fn nothing_to_be_orthogonal_to_leaves_the_vector() {
    assert_eq!(orthogonalise(&[1.0_f32, 2.0], &[]).expect("one length"), [1.0, 2.0]);
}

proptest! {
    #[test]
    fn dot_agrees_with_the_naive_sum(count in 0_usize..20_000) {
        let [x, y]: [Vec<f64>; 2] = [0, 1].map(|stream| normals(stream, count));
        let naive: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        let size = norm(&x) * norm(&y);
        prop_assert!((dot(&x, &y).expect("one length") - naive).abs() <= 1e-13 * size);
    }

    #[test]
    fn gram_holds_the_dots(count in 0_usize..10_000) {
        let family: [Vec<f32>; 3] = [0, 1, 2].map(|stream| normals(stream, count));
        let family: Vec<&[f32]> = family.iter().map(Vec::as_slice).collect();
        let matrix = gram(&family).expect("one length");
        for i in 0..3 {
            for j in 0..3 {
                prop_assert_eq!(matrix[3 * i + j], dot(family[i], family[j]).expect("one length"));
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits(count in 0_usize..100_000, threads in 2_usize..5) {
        let family: [Vec<f32>; 3] = [0, 1, 2].map(|stream| normals(stream, count));
        let family: Vec<&[f32]> = family.iter().map(Vec::as_slice).collect();
        let everything = || {
            let left = orthogonalise(family[0], &family[1..]).expect("one length");
            (gram(&family).expect("one length"), left, norm(family[2]))
        };
        prop_assert_eq!(on_threads(threads, everything), on_threads(1, everything));
    }
}
