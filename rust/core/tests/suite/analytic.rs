//! The suppliers with known answers do give them, through the interface that drivers use.

use crate::common::assert_close;
use landscape_core::analytic::{ClosedForm, DoubleWell, MuellerBrown, Quadratic, Rosenbrock};
use landscape_core::{Cancel, Dense, Error, Objective, norm};

fn loss(objective: &dyn Objective<f64>, x: &[f64]) -> f64 {
    let mut loss = [0.0];
    objective.losses(x, &mut loss, &Cancel::new()).expect("a loss");
    loss[0]
}

fn gradient(objective: &dyn Objective<f64>, x: &[f64]) -> Vec<f64> {
    let (mut loss, mut gradient) = ([0.0], vec![0.0; x.len()]);
    objective.gradients(x, &mut loss, &mut gradient, &Cancel::new()).expect("a gradient");
    gradient
}

fn hessian_column(objective: &dyn Objective<f64>, x: &[f64], i: usize) -> Vec<f64> {
    let (mut unit, mut column) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    unit[i] = 1.0;
    let hessian = objective.curvature_at(x).expect("a Hessian");
    hessian.apply(&unit, &mut column, &Cancel::new()).expect("a product");
    column
}

/// Central differences along each axis.
fn differences(x: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
    let step = 1e-5;
    let moved = |i: usize, by: f64| {
        let mut x = x.to_vec();
        x[i] += by;
        f(&x)
    };
    let slope = |i| {
        moved(i, step).iter().zip(moved(i, -step)).map(|(a, b)| (a - b) / (2.0 * step)).collect()
    };
    (0..x.len()).map(slope).collect()
}

fn check_derivatives(objective: &dyn Objective<f64>, x: &[f64]) {
    let slopes = differences(x, |x| vec![loss(objective, x)]).concat();
    assert_close(&gradient(objective, x), &slopes, 1e-8);
    for (i, column) in differences(x, |x| gradient(objective, x)).iter().enumerate() {
        assert_close(&hessian_column(objective, x, i), column, 1e-8);
    }
}

fn quadratic() -> Quadratic {
    let matrix = Dense::new(vec![2.0, 0.5, 0.5, -1.0], 2).expect("symmetric");
    Quadratic::new(matrix, vec![1.0, 2.0]).expect("one dimension")
}

#[test]
fn derivatives_agree_with_finite_differences() {
    check_derivatives(&quadratic(), &[0.3, -0.7]);
    check_derivatives(&Rosenbrock { dim: 4 }, &[0.3, -0.7, 1.1, 0.4]);
    check_derivatives(&DoubleWell { dim: 3 }, &[0.3, -0.7, 1.1]);
    check_derivatives(&MuellerBrown, &[-0.3, 0.7]);
}

#[test]
fn known_minima_saddles_and_heights() {
    assert_eq!(quadratic().value(&[1.0, 2.0]), 0.0);
    assert_eq!(Rosenbrock { dim: 5 }.value(&[1.0; 5]), 0.0);
    let well = DoubleWell { dim: 2 };
    assert_eq!([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]].map(|x| well.value(&x)), [0.0, 1.0, 0.0]);
    assert_eq!(hessian_column(&well, &[0.0, 0.0], 0), [-4.0, 0.0]);
    let stationary = [
        ([-0.558_223_634_633_024, 1.441_725_841_804_669], -146.699_517_209_956),
        ([0.623_499_404_930_877, 0.028_037_758_528_685_66], -108.166_724_119_116),
        ([-0.050_010_823_182_016, 0.466_694_104_871_972], -80.767_818_127_859),
        ([-0.822_001_558_732_732, 0.624_312_802_814_871], -40.664_843_508_657),
        ([0.212_486_582_000_662, 0.292_988_325_107_368], -72.248_940_112_325),
    ];
    for (x, height) in stationary {
        assert!((MuellerBrown.value(&x) - height).abs() < 1e-8, "{}", MuellerBrown.value(&x));
        let slope = norm(&gradient(&MuellerBrown, &x));
        assert!(slope < 1e-6, "slope {slope} at {x:?}");
    }
}

#[test]
fn slopes_in_a_subspace_are_projected_gradients() {
    let objective = Rosenbrock { dim: 3 };
    let (origin, u, v) = ([0.1, 0.2, 0.3], [1.0, 2.0, 0.5], [0.0, -1.0, 1.0]);
    let plane = Objective::<f64>::subspace(&objective, &origin, &[&u, &v]).expect("one length");
    let (mut losses, mut slopes) = ([0.0; 2], [0.0; 4]);
    plane
        .gradients(&[0.0, 0.0, 0.3, -0.2], &mut losses, &mut slopes, &Cancel::new())
        .expect("slopes");
    let value = |c: &[f64]| {
        let mut loss = [0.0];
        plane.evaluate(c, &mut loss, &Cancel::new()).expect("a loss");
        loss.to_vec()
    };
    assert_eq!(losses.to_vec(), [value(&[0.0, 0.0]), value(&[0.3, -0.2])].concat());
    assert_close(&slopes[..2], &differences(&[0.0, 0.0], value).concat(), 1e-8);
    assert_close(&slopes[2..], &differences(&[0.3, -0.2], value).concat(), 1e-8);
}

#[test]
fn a_direction_of_the_wrong_length_is_refused() {
    let error = Objective::<f64>::subspace(&DoubleWell { dim: 2 }, &[0.0; 2], &[&[1.0; 3]]);
    let Err(Error::Invalid(advice)) = error.map(drop) else { panic!("accepted") };
    assert_eq!(advice, "got a vector of 3 entries for an objective of 2 parameters; pass 2");
}
