//! Splines and interpolants: exactness, smoothness, order of convergence, gaps.

use crate::common::assert_close;
use landscape_core::surface::{
    Interpolant, Interpolation, Lattice, NestedValues, TensorSpline, axis,
};
use proptest::prelude::*;

/// Values of a function on a product of axes, the first axis fastest.
fn sample(axes: &[Vec<f64>], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let len: usize = axes.iter().map(Vec::len).product();
    (0..len)
        .map(|mut index| {
            let point: Vec<f64> = axes
                .iter()
                .map(|axis| {
                    let x = axis[index % axis.len()];
                    index /= axis.len();
                    x
                })
                .collect();
            f(&point)
        })
        .collect()
}

fn cubic(x: f64, [a, b, c, d]: [f64; 4]) -> f64 {
    a + x * (b + x * (c + x * d))
}

/// The largest error of the spline of a function on n x n points, on a finer grid.
fn largest_error(points: usize, f: impl Fn(&[f64]) -> f64 + Copy) -> f64 {
    let axes = vec![axis(-1.0, 1.0, points).unwrap(), axis(-1.0, 2.0, points).unwrap()];
    let spline = TensorSpline::new(axes.clone(), &sample(&axes, f)).unwrap();
    let fine = [axis(-1.0, 1.0, 4 * points).unwrap(), axis(-1.0, 2.0, 4 * points).unwrap()];
    let truth = sample(&fine, f);
    spline.on(&fine).iter().zip(truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn cubics_are_reproduced(
        p in prop::array::uniform4(-2.0..2.0),
        q in prop::array::uniform4(-2.0..2.0),
        (x, y) in (-1.5..2.5, -1.5..1.5),
        gaps in prop::collection::vec(0.1..1.0, 3..9),
    ) {
        let uneven: Vec<f64> = gaps
            .iter()
            .scan(-1.5, |knot, gap| { *knot += gap; Some(*knot) })
            .collect();
        let uneven = [&[-1.5], uneven.as_slice()].concat();
        let axes = vec![uneven, axis(-1.5, 1.5, 5).unwrap()];
        let f = |point: &[f64]| cubic(point[0], p) * cubic(point[1], q);
        let spline = TensorSpline::new(axes.clone(), &sample(&axes, f)).unwrap();
        let scale = sample(&axes, |point| f(point).abs()).into_iter().fold(1.0, f64::max);
        let x = f64::min(x, axes[0][axes[0].len() - 1]);
        prop_assert!((spline.at(&[x, y]) - f(&[x, y])).abs() < 1e-9 * scale);
        let single = vec![vec![x], vec![y]];
        prop_assert!((spline.on(&single)[0] - f(&[x, y])).abs() < 1e-9 * scale);
    }

    #[test]
    fn derivatives_are_continuous_at_the_knots(values in prop::collection::vec(-1.0..1.0, 7)) {
        let knots = vec![0.0, 1.0, 1.5, 3.0, 3.2, 4.0, 5.0];
        let spline = TensorSpline::new(vec![knots.clone()], &values).unwrap();
        // A cubic through four points of an interval, of which differences give the derivatives.
        let derivatives = |low: f64, high: f64, at: f64| {
            let h = (high - low) / 3.0;
            let f: Vec<f64> = (0..4).map(|i| spline.at(&[low + h * f64::from(i)])).collect();
            let third = (f[3] - 3.0 * f[2] + 3.0 * f[1] - f[0]) / (h * h * h);
            let second = (f[2] - 2.0 * f[1] + f[0]) / (h * h) + third * (at - low - h);
            let first = (f[1] - f[0]) / h;
            let t = at - low;
            let c2 = (f[2] - 2.0 * f[1] + f[0]) / (2.0 * h * h);
            let c3 = third / 6.0;
            let slope = first + c2 * (2.0 * t - h)
                + c3 * (3.0 * t * t - 6.0 * h * t + 2.0 * h * h);
            [slope, second, third]
        };
        let inside = 1e-9;
        for i in 1..knots.len() - 1 {
            let left = derivatives(knots[i - 1], knots[i] - inside, knots[i]);
            let right = derivatives(knots[i], knots[i + 1] - inside, knots[i]);
            prop_assert!((left[0] - right[0]).abs() < 1e-4, "{i}: {left:?} {right:?}");
            prop_assert!((left[1] - right[1]).abs() < 1e-3, "{i}: {left:?} {right:?}");
            if i == 1 || i == knots.len() - 2 {
                prop_assert!((left[2] - right[2]).abs() < 1e-2, "{i}: {left:?} {right:?}");
            }
        }
    }

    #[test]
    fn a_linear_interpolant_stays_within_the_values(
        values in prop::collection::vec(0.0..1.0, 12),
        (x, y) in (0.0..3.0, 0.0..2.0),
    ) {
        let axes = vec![axis(0.0, 3.0, 4).unwrap(), axis(0.0, 2.0, 3).unwrap()];
        let interpolant = Interpolant::new(axes, &values, Interpolation::Linear).unwrap();
        let value = interpolant.at(&[x, y]);
        let (i, j) = (usize::from(x >= 1.0) + usize::from(x >= 2.0), usize::from(y >= 1.0));
        let (t, u) = (x - i as f64, y - j as f64);
        let at = |i: usize, j: usize| values[i + 4 * j];
        let expected = (1.0 - u) * ((1.0 - t) * at(i, j) + t * at(i + 1, j))
            + u * ((1.0 - t) * at(i, j + 1) + t * at(i + 1, j + 1));
        prop_assert!((value - expected).abs() < 1e-12);
        prop_assert!((-1e-12..=1.0 + 1e-12).contains(&value));
    }
}

#[test]
fn the_error_falls_with_the_fourth_power_of_the_spacing() {
    let f = |point: &[f64]| (1.3 * point[0]).sin() * (0.7 * point[1]).exp();
    let errors: Vec<f64> = [17, 33, 65].iter().map(|&points| largest_error(points, f)).collect();
    for pair in errors.windows(2) {
        let ratio = pair[0] / pair[1];
        assert!((11.0..21.0).contains(&ratio), "{errors:?}");
    }
}

#[test]
fn a_finer_grid_of_predictions_gives_the_coarser_spline() {
    let axes = vec![axis(-1.0, 1.0, 5).unwrap(), axis(0.0, 3.0, 9).unwrap()];
    let values = sample(&axes, |p| (3.0 * p[0]).sin() + (p[1] * p[1] * p[0]).cos());
    let coarse = TensorSpline::new(axes, &values).unwrap();
    let finer = vec![axis(-1.0, 1.0, 9).unwrap(), axis(0.0, 3.0, 17).unwrap()];
    let fine = TensorSpline::new(finer.clone(), &coarse.on(&finer)).unwrap();
    for point in [[-0.93, 0.02], [0.31, 1.7], [0.99, 2.99]] {
        assert_close(&[fine.at(&point)], &[coarse.at(&point)], 1e-13);
    }
}

#[test]
fn short_axes_take_parabolas_lines_and_constants() {
    let spline = |knots: &[f64], f: fn(f64) -> f64| {
        let values: Vec<f64> = knots.iter().map(|&x| f(x)).collect();
        TensorSpline::new(vec![knots.to_vec()], &values).unwrap()
    };
    assert_close(&[spline(&[0.0, 1.0, 3.0], |x| x * x).at(&[2.0])], &[4.0], 1e-14);
    assert_close(&[spline(&[0.0, 2.0], |x| 3.0 * x).at(&[1.5])], &[4.5], 1e-14);
    assert_close(&[spline(&[5.0], |_| 7.0).at(&[5.0])], &[7.0], 0.0);
    for (axes, values) in [
        (vec![vec![0.0, 0.0]], vec![1.0, 1.0]),
        (vec![vec![0.0, 1.0]], vec![1.0]),
        (vec![vec![0.0, 1.0]], vec![1.0, f64::NAN]),
        (vec![], vec![]),
    ] {
        assert!(TensorSpline::new(axes, &values).is_err());
    }
}

#[test]
fn the_logarithm_is_fitted_where_all_values_are_positive() {
    let axes = vec![axis(-1.0, 1.0, 5).unwrap()];
    let f = |p: &[f64]| (20.0 * p[0] * p[0] * p[0]).exp();
    let interpolant =
        Interpolant::new(axes.clone(), &sample(&axes, f), Interpolation::LogCubic).unwrap();
    assert!(interpolant.is_log());
    assert_close(&[interpolant.at(&[0.3])], &[f(&[0.3])], 1e-13);
    let shifted = sample(&axes, |p| f(p) - 1.0);
    let interpolant = Interpolant::new(axes, &shifted, Interpolation::LogCubic).unwrap();
    assert!(!interpolant.is_log());
}

#[test]
fn gaps_take_the_nearest_value_and_leave_their_neighbours_alone() {
    let points = 33;
    let axes = vec![axis(-1.0, 1.0, points).unwrap(), axis(-1.0, 1.0, points).unwrap()];
    let f = |p: &[f64]| (1.0 + p[0] - 0.5 * p[1] + 0.3 * (3.0 * p[0] * p[1]).sin()).exp();
    let in_gap = |p: &[f64]| p[0] > 0.3 && p[1] > 0.2;
    let values = sample(&axes, |p| if in_gap(p) { f64::INFINITY } else { f(p) });
    let interpolant = Interpolant::new(axes.clone(), &values, Interpolation::LogCubic).unwrap();
    let fine = [axis(-1.0, 1.0, 101).unwrap(), axis(-1.0, 1.0, 101).unwrap()];
    let drawn = interpolant.on(&fine);
    let spacing = 2.0 / (points - 1) as f64;
    let (mut infinite, mut largest) = (0, 0.0_f64);
    for (index, &value) in drawn.iter().enumerate() {
        let point = [fine[0][index % 101], fine[1][index / 101]];
        let distance = (0.3 - point[0]).max(0.2 - point[1]);
        if distance < -spacing {
            assert!(value.is_infinite());
            infinite += 1;
        } else if distance > spacing {
            largest = largest.max((value / f(&point) - 1.0).abs());
        }
    }
    assert!(infinite > 500);
    assert!(largest < 1e-4, "{largest}");
    let nothing = Interpolant::new(axes, &vec![f64::NAN; points * points], Interpolation::LogCubic);
    assert!(nothing.unwrap().at(&[0.0, 0.0]).is_nan());
}

#[test]
fn beyond_the_ends_there_is_no_value() {
    let axes = vec![axis(0.0, 1.0, 5).unwrap()];
    for kind in [Interpolation::LogCubic, Interpolation::Cubic, Interpolation::Linear] {
        let interpolant = Interpolant::new(axes.clone(), &[1.0; 5], kind).unwrap();
        assert!(interpolant.at(&[1.0 + 1e-9]).is_nan() && interpolant.at(&[1.0]) == 1.0);
    }
}

#[test]
fn points_off_the_lattice_are_refused() {
    let lattice = Lattice::new(vec![(0.0, 1.0)], 1).unwrap();
    let points = axis(0.0, 1.0, 9).unwrap();
    let nested = |points: &[f64]| {
        NestedValues::from_points(&lattice, points, &vec![1.0; points.len()], Interpolation::Cubic)
    };
    assert!(nested(&points).is_ok());
    assert!(nested(&[points.as_slice(), &[0.3]].concat()).is_err());
    assert!(nested(&points[1..]).is_err());
    assert!(Lattice::new(vec![], 0).is_err() && Lattice::new(vec![(1.0, 1.0)], 0).is_err());
    assert!(Lattice::new(vec![(0.0, 1.0)], 11).is_err());
}
