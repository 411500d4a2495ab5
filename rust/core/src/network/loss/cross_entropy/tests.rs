//! Cross-entropy against closed forms and PyTorch.

use crate::network::loss::Curvature;
use crate::network::loss::checks::{Case, classes, dense, near};

const INFINITY: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// The same numbers, NaN where NaN is expected.
fn same(found: &[f64], expected: &[f64]) {
    for (a, b) in found.iter().zip(expected) {
        assert!(a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-15, "{found:?}");
    }
}

fn of_label(label: i64) -> Case {
    Case::new(r#"{"kind":"cross_entropy"}"#, 3, 1, classes(&[label], 1))
}

#[test]
fn two_equal_outputs_have_a_loss_of_log_two() {
    let case = Case::new(r#"{"kind":"cross_entropy"}"#, 2, 1, classes(&[1], 1));
    near(&[case.loss(0, &[3.0, 3.0])], &[std::f64::consts::LN_2], 1e-13);
    near(&case.gradient(0, &[3.0, 3.0]), &[0.5, -0.5], 1e-13);
    near(&case.product(Curvature::Hessian, 0, &[3.0, 3.0], &[1.0, 0.0]), &[0.25, -0.25], 1e-13);
}

#[test]
fn tiny_losses_and_gradients_are_accurate() {
    for scale in [1e-3, 1e-9, 1e-15, 1e-40, 1e-300_f64] {
        let z = [scale.ln(), 0.0, scale.ln() - 1.0];
        let rest = z[0].exp() + z[2].exp();
        let found = [of_label(1).loss(0, &z), of_label(1).gradient(0, &z)[1]];
        for (found, expected) in found.into_iter().zip([rest.ln_1p(), -rest / (1.0 + rest)]) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
        }
        let product = of_label(1).product(Curvature::Hessian, 0, &z, &[0.0, 1.0, 0.0])[1];
        let expected = rest / (1.0 + rest) / (1.0 + rest);
        assert!((product / expected - 1.0).abs() < 1e-12, "{product} is not {expected}");
    }
}

#[test]
fn infinite_outputs_behave_as_in_pytorch() {
    for z in [[INFINITY, 0.0, 1.0], [NAN, 0.0, 1.0], [-INFINITY; 3], [-INFINITY, 0.0, INFINITY]] {
        for label in [0, 1] {
            assert!(of_label(label).loss(0, &z).is_nan());
            same(&of_label(label).gradient(0, &z), &[NAN; 3]);
        }
        assert_eq!(of_label(-100).loss(0, &z), 0.0);
        same(&of_label(-100).gradient(0, &z), &[NAN; 3]);
    }
    let z = [-INFINITY, 0.0, 1.0];
    let (p, q) = (0.268_941_421_369_995_1, 0.731_058_578_630_004_9);
    same(&[of_label(0).loss(0, &z)], &[INFINITY]);
    same(&of_label(0).gradient(0, &z), &[-1.0, p, q]);
    same(&[of_label(1).loss(0, &z)], &[1.313_261_687_518_222_8]);
    same(&of_label(1).gradient(0, &z), &[0.0, -q, q]);
    same(&of_label(1).product(Curvature::Hessian, 0, &z, &[1.0; 3]), &[0.0; 3]);
    let shares = Case::new(r#"{"kind":"cross_entropy"}"#, 3, 1, dense(&[0.0, 0.5, 0.5], 3));
    same(&[shares.loss(0, &z)], &[NAN]);
    same(&shares.gradient(0, &z), &[0.0, 0.5 - q, q - 0.5]);
    let silent = r#"{"kind":"cross_entropy","weight":[0,1,1]}"#;
    let silent = Case::new(silent, 3, 1, classes(&[0], 1));
    same(&[silent.loss(0, &z)], &[NAN]);
    same(&silent.gradient(0, &z), &[0.0; 3]);
    let smooth = r#"{"kind":"cross_entropy","label_smoothing":0.1}"#;
    same(&[Case::new(smooth, 3, 1, classes(&[1], 1)).loss(0, &z)], &[INFINITY]);
    same(&[Case::new(smooth, 3, 1, classes(&[-100], 1)).loss(0, &z)], &[0.0]);
}

/// F.cross_entropy of the same numbers in float64.
#[test]
fn weights_smoothing_and_probabilities_agree_with_pytorch() {
    let json = r#"{"kind":"cross_entropy","weight":[0.5,2,1],"label_smoothing":0.1}"#;
    // Two positions: (0.3, 1, 0.5) with class 1, (−1.2, 0, 2) with class 0.
    let z = [0.3, -1.2, 1.0, 0.0, 0.5, 2.0];
    let labels = Case::new(json, 3, 2, classes(&[1, 0, 1, -100], 2));
    near(
        &[labels.loss(0, &z), labels.loss(1, &z)],
        &[3.171_802_725_744_393_5, 1.453_221_737_856_093_4],
        1e-14,
    );
    let shares = Case::new(json, 3, 2, dense(&[0.2, 0.5, 0.7, 0.5, 0.1, 0.0], 6));
    near(&[shares.loss(0, &z)], &[4.201_657_689_122_459_5], 1e-13);
}

#[test]
fn hits_are_positions_where_the_first_greatest_output_is_at_the_label() {
    assert_eq!(of_label(1).hits(0, &[0.0, 2.0, 2.0]), 1.0);
    assert_eq!(of_label(2).hits(0, &[0.0, 2.0, 2.0]), 0.0);
    assert_eq!(of_label(2).hits(0, &[0.0, INFINITY, NAN]), 1.0, "NaN is the greatest");
    assert_eq!(of_label(1).hits(0, &[0.0, NAN, NAN]), 1.0, "the first of them");
    assert_eq!(of_label(0).hits(0, &[-INFINITY; 3]), 1.0);
    assert_eq!(of_label(-100).hits(0, &[1.0, 0.0, 0.0]), 0.0);
    let shares = dense(&[0.2, 0.9, 0.8, 0.1], 4);
    let shares = Case::new(r#"{"kind":"cross_entropy"}"#, 2, 2, shares);
    assert_eq!(shares.hits(0, &[0.0, 1.0, 1.0, 0.0]), 2.0);
    assert_eq!(shares.hits(0, &[0.0, 0.0, 1.0, 1.0]), 1.0);
}
