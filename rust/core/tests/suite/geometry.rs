//! Geometry of surfaces: closed forms, and a naive twin of the chords.

use landscape_core::Cancel;
use landscape_core::surface::{axis, cell_areas, convexity, fit_quadratic, total_variations};
use proptest::prelude::*;

const EVERY: usize = usize::MAX;

fn sample(function: impl Fn(f64, f64) -> f64, points: usize) -> (Vec<f64>, Vec<f64>) {
    let axis = axis(-1.0, 1.0, points).expect("valid");
    let values = axis
        .iter()
        .flat_map(|&y| axis.iter().map(move |&x| (x, y)))
        .map(|(x, y)| function(x, y))
        .collect();
    (axis, values)
}

#[test]
fn areas_add_up_to_the_rectangle() {
    let areas = cell_areas(&[0.0, 1.0, 4.0], &[-1.0, 1.0]);
    assert_eq!(areas, [0.5, 2.0, 1.5, 0.5, 2.0, 1.5]);
}

#[test]
fn variation_counts_the_ups_and_downs() {
    let (_, plane) = sample(|x, y| x + 2.0 * y, 9);
    assert!(
        total_variations(&plane, [9, 9]).expect("a grid").iter().all(|t| (t - 1.0).abs() < 1e-12)
    );
    let (_, bowl) = sample(|x, y| x * x + y * y, 9);
    assert!(
        total_variations(&bowl, [9, 9]).expect("a grid").iter().all(|t| (t - 2.0).abs() < 1e-12)
    );
    let (_, wave) = sample(|x, _| (3.0 * std::f64::consts::TAU * x).cos(), 121);
    let found = total_variations(&wave, [121, 121]).expect("a grid");
    // Columns are constant and left out; six periods have twelve slopes.
    assert_eq!(found.len(), 121);
    assert!(found.iter().all(|t| (t - 12.0).abs() < 1e-9));
    let holes = [1.0, f64::NAN, 2.0, 3.0];
    assert_eq!(total_variations(&holes, [2, 2]).expect("a grid"), [1.0, 1.0]);
    assert!(total_variations(&holes, [2, 3]).is_err());
}

#[test]
fn quadratics_are_convex_concave_or_violate_by_a_known_height() {
    let (_, bowl) = sample(|x, y| 3.0 * x * x - x * y + y * y, 9);
    let found = convexity(&bowl, [9, 9], 1e-12, EVERY, 0, &Cancel::new()).expect("a grid");
    assert!(found.chords > 1000 && found.convex == found.chords && found.violation <= 1e-12);
    let (_, dome) = sample(|x, y| -x * x - y * y, 9);
    let found = convexity(&dome, [9, 9], 1e-12, EVERY, 0, &Cancel::new()).expect("a grid");
    assert_eq!(found.convex, 0);
    // The diagonal from corner to corner has its middle 2 above the chord.
    assert!((found.violation - 2.0).abs() < 1e-12);
    assert_eq!(found.worst.map(|[p, m, q]| [p.min(q), m, p.max(q)]), Some([0, 40, 80]));
    assert!(convexity(&dome, [9, 9], -1.0, EVERY, 0, &Cancel::new()).is_err());
    let cancel = Cancel::new();
    cancel.request();
    for most in [EVERY, 10] {
        assert!(convexity(&dome, [9, 9], 0.0, most, 0, &cancel).is_err());
    }
}

#[test]
fn drawn_chords_estimate_the_share_of_all() {
    let (_, saddle) = sample(|x, y| x * x - 0.7 * y * y + 0.3 * x * y, 17);
    let all = convexity(&saddle, [17, 17], 0.0, EVERY, 0, &Cancel::new()).expect("a grid");
    let drawn = convexity(&saddle, [17, 17], 0.0, 20_000, 1, &Cancel::new()).expect("a grid");
    let share = |c: usize, n: usize| c as f64 / n as f64;
    let truth = share(all.convex, all.chords);
    let error = (truth * (1.0 - truth) / drawn.chords as f64).sqrt();
    assert!(drawn.chords > 5_000 && drawn.chords < 20_000);
    assert!((share(drawn.convex, drawn.chords) - truth).abs() < 5.0 * error);
    assert_eq!(
        drawn,
        convexity(&saddle, [17, 17], 0.0, 20_000, 1, &Cancel::new()).expect("a grid")
    );
    assert_ne!(
        drawn,
        convexity(&saddle, [17, 17], 0.0, 20_000, 2, &Cancel::new()).expect("a grid")
    );
}

#[test]
fn a_quadratic_is_fitted_exactly_and_others_to_second_order() {
    let function = |x: f64, y: f64| 2.0 + 0.5 * x - y + 3.0 * x * x - 2.0 * x * y + 0.25 * y * y;
    let (axis, mut values) = sample(function, 11);
    values[0] = f64::NAN;
    let fit = fit_quadratic([&axis, &axis], &values, [5, 5], usize::MAX).expect("determined");
    let found = [fit.value, fit.gradient[0], fit.gradient[1]];
    for (a, b) in found.iter().chain(&fit.hessian).zip([2.0, 0.5, -1.0, 6.0, -2.0, 0.5]) {
        assert!((a - b).abs() < 1e-10, "{fit:?}");
    }
    assert!(fit.residual < 1e-12 && fit.points == 120);
    let error = |points: usize| {
        let (axis, values) = sample(|x, y| (x + 0.5 * y).exp(), points);
        let centre = points / 2;
        let fit = fit_quadratic([&axis, &axis], &values, [centre, centre], 2).expect("determined");
        (fit.hessian[0] - 1.0).abs()
    };
    assert!((error(21) / error(41) - 4.0).abs() < 0.3);
}

#[test]
fn too_few_points_determine_no_quadratic() {
    let axis = [0.0, 1.0, 2.0];
    let mut values = [1.0; 9];
    assert!(fit_quadratic([&axis, &axis], &values, [1, 1], 1).is_ok());
    values[..4].fill(f64::NAN);
    assert!(fit_quadratic([&axis, &axis], &values, [1, 1], 1).is_err());
    assert!(fit_quadratic([&axis, &axis], &values, [3, 1], 1).is_err());
    assert!(fit_quadratic([&axis[..2], &axis], &values[..6], [0, 0], 1).is_err());
}

/// Every point between every pair of ends, found by its cross product.
fn naive(values: &[f64], columns: usize) -> (usize, usize, f64) {
    let at = |v: usize| [(v % columns) as f64, (v / columns) as f64];
    let (mut chords, mut convex, mut worst) = (0, 0, f64::NEG_INFINITY);
    for p in 0..values.len() {
        for q in p + 1..values.len() {
            let ([px, py], [qx, qy]) = (at(p), at(q));
            let length = (qx - px).powi(2) + (qy - py).powi(2);
            let heights: Vec<_> = (0..values.len())
                .filter_map(|m| {
                    let [mx, my] = at(m);
                    let cross = (mx - px) * (qy - py) - (my - py) * (qx - px);
                    let share = ((mx - px) * (qx - px) + (my - py) * (qy - py)) / length;
                    (cross == 0.0 && share > 1e-9 && share < 1.0 - 1e-9)
                        .then(|| values[m] - (1.0 - share) * values[p] - share * values[q])
                })
                .collect();
            if heights.is_empty() || !heights.iter().all(|height| height.is_finite()) {
                continue;
            }
            let highest = heights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            chords += 1;
            convex += usize::from(highest <= 0.01);
            worst = worst.max(highest);
        }
    }
    (chords, convex, worst)
}

proptest! {
    #[test]
    fn chords_are_those_of_the_naive_twin(
        values in prop::collection::vec(prop_oneof![9 => -1.0..1.0_f64, 1 => Just(f64::NAN)], 20)
    ) {
        let found = convexity(&values, [4, 5], 0.01, EVERY, 0, &Cancel::new()).expect("a grid");
        let (chords, convex, worst) = naive(&values, 5);
        prop_assert_eq!((found.chords, found.convex), (chords, convex));
        prop_assert!(found.violation == worst || (found.violation - worst).abs() < 1e-12);
    }
}
