//! SimplexTraining: their volumes, points in them, and connecting points on losses whose best ones are
//! known.

use crate::common::assert_close;
use landscape_core::analytic::{ClosedForm, DoubleWell, MuellerBrown, Quadratic};
use landscape_core::path::{
    Cycle, OptimizerKind, SimplexTraining, SimplexTrainingOptions, SimplicialComplex, log_volume,
    simplex_weights,
};
use landscape_core::{
    BatchedObjective, Cancel, Dense, Error, Gaussian, Resumable, Solver, Status, combine, norm,
};

fn volume(corners: &[Vec<f64>]) -> f64 {
    log_volume(&corners.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("one length")
}

fn drawn(corners: usize, dim: usize) -> Vec<Vec<f64>> {
    let row = |index: usize| {
        let mut row = vec![0.0; dim];
        Gaussian::new(11, index as u64).fill(0, &mut row);
        row
    };
    (0..corners).map(row).collect()
}

/// By elimination with pivots.
fn determinant(mut matrix: Vec<Vec<f64>>) -> f64 {
    let mut found = 1.0;
    while let Some(width) = matrix.first().map(Vec::len) {
        let size = |row: &Vec<f64>| row[0].abs();
        let pivot = (0..width).max_by(|&a, &b| size(&matrix[a]).total_cmp(&size(&matrix[b])));
        let row = matrix.remove(pivot.expect("a row"));
        found *= if pivot.expect("a row").is_multiple_of(2) { row[0] } else { -row[0] };
        for other in &mut matrix {
            let share = other[0] / row[0];
            *other = other[1..].iter().zip(&row[1..]).map(|(a, b)| a - share * b).collect();
        }
    }
    found
}

/// V² = (−1)^(k + 1) / (2^k k!²) det of the squared distances, bordered by ones.
fn cayley_menger(corners: &[Vec<f64>]) -> f64 {
    let order = corners.len() - 1;
    let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mut matrix = vec![vec![1.0; order + 2]; order + 2];
    matrix[0][0] = 0.0;
    for (i, a) in corners.iter().enumerate() {
        for (j, b) in corners.iter().enumerate() {
            matrix[i + 1][j + 1] = square(a, b);
        }
    }
    let factorial: f64 = (1..=order).map(|k| k as f64).product();
    let scale = (1_usize << order) as f64 * factorial * factorial;
    let sign = if order.is_multiple_of(2) { -1.0 } else { 1.0 };
    0.5 * (sign * determinant(matrix) / scale).ln()
}

#[test]
fn volumes_of_right_and_regular_simplices() {
    for order in 1..8_u8 {
        let size = usize::from(order);
        let factorial: f64 = (1..=size).map(|k| k as f64).product();
        let unit = |j: usize| (0..size + 2).map(|i| f64::from(u8::from(i == j))).collect();
        let mut right: Vec<Vec<f64>> = (0..size).map(unit).collect();
        right.push(vec![0.0; size + 2]);
        assert!((volume(&right) + factorial.ln()).abs() < 1e-12);
        // The unit vectors of R^(k + 1): edges of √2.
        let regular: Vec<Vec<f64>> = (0..=size).map(unit).collect();
        let wanted = 0.5 * ((size + 1) as f64).ln() - factorial.ln();
        assert!((volume(&regular) - wanted).abs() < 1e-12);
    }
    assert_eq!(volume(&[vec![1.0, 2.0]]), 0.0);
}

#[test]
fn volumes_are_those_of_cayley_and_menger() {
    for corners in 2..7 {
        for dim in [corners - 1, 10] {
            let simplex = drawn(corners, dim);
            let (found, wanted) = (volume(&simplex), cayley_menger(&simplex));
            assert!((found - wanted).abs() < 1e-7, "{corners} in {dim}: {found} {wanted}");
        }
    }
}

#[test]
fn volumes_beyond_the_range_of_numbers_have_logarithms() {
    let edge = |j: usize| (0..4).map(|i| if i == j { 1e-100 } else { 0.0 }).collect();
    let tiny: Vec<Vec<f64>> = (0..5).map(edge).collect();
    let wanted = -400.0 * 10.0_f64.ln() - 24.0_f64.ln();
    assert!((volume(&tiny) - wanted).abs() < 1e-9);
    let flat = vec![vec![0.0, 0.0, 0.0], vec![1.0, 2.0, 3.0], vec![2.0, 4.0, 6.0]];
    assert_eq!(volume(&flat), f64::NEG_INFINITY);
    assert_eq!(volume(&drawn(4, 2)), f64::NEG_INFINITY);
}

#[test]
fn weights_are_uniform_in_the_simplex() {
    let (stream, corners, count) = (Gaussian::new(3, 17), 4, 50_000);
    let rows = simplex_weights(&stream, 0, count, corners);
    let tail = simplex_weights(&stream, 100, 7, corners);
    assert_eq!(tail, rows[100 * corners..107 * corners]);
    let mut normals = vec![0.0_f64; 2 * corners];
    stream.fill(0, &mut normals);
    let first: Vec<_> = normals.chunks(2).map(|x| 0.5 * (x[0] * x[0] + x[1] * x[1])).collect();
    let sum: f64 = first.iter().sum();
    assert_close(&rows[..corners], &first.iter().map(|e| e / sum).collect::<Vec<_>>(), 1e-14);
    for row in rows.chunks(corners) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14 && row.iter().all(|w| *w >= 0.0));
    }
    // E w = 1/(k + 1), E w² = 2/((k + 1)(k + 2)), E w₀w₁ = 1/((k + 1)(k + 2)), within 4 errors.
    let mean = |f: &dyn Fn(&[f64]) -> f64| rows.chunks(corners).map(f).sum::<f64>() / count as f64;
    let error = 4.0 * 0.2 / (count as f64).sqrt();
    for corner in 0..corners {
        assert!((mean(&|row| row[corner]) - 0.25).abs() < error);
        assert!((mean(&|row| row[corner].powi(2)) - 0.1).abs() < error);
    }
    assert!((mean(&|row| row[0] * row[1]) - 0.05).abs() < error);
}

#[test]
fn every_minimum_spans_a_simplex_with_all_connecting_points() {
    let rows = drawn(5, 6);
    let complex = SimplicialComplex::new(rows.concat(), 6, 3).expect("whole points");
    assert_eq!((complex.modes(), complex.count()), (3, 5));
    assert_eq!(complex.simplex(1), [1, 3, 4]);
    let point = complex.point(1, &[0.5, 0.25, 0.25]).expect("three corners");
    let wanted = combine(&[&rows[1], &rows[3], &rows[4]], &[0.5, 0.25, 0.25]).expect("fits");
    assert_eq!(point, wanted);
}

fn options() -> SimplexTrainingOptions {
    SimplexTrainingOptions {
        connectors: 2,
        cycles: [0.1, 0.03, 0.01, 0.003, 0.001].map(|rate| Cycle { steps: 300, rate }).to_vec(),
        optimizer: OptimizerKind::Momentum(0.5),
        samples: 32,
        volume: 0.1,
        spread: 0.5,
        seed: 1,
    }
}

/// ½ Σ aᵢ xᵢ².
fn valley(curvatures: &[f64]) -> Quadratic {
    let dim = curvatures.len();
    let entry = |k: usize| if k.is_multiple_of(dim + 1) { curvatures[k / dim] } else { 0.0 };
    let matrix = Dense::new((0..dim * dim).map(entry).collect(), dim).expect("symmetric");
    Quadratic::new(matrix, vec![0.0; dim]).expect("fits")
}

fn finished<F: BatchedObjective<f64>>(
    function: &F,
    minima: &[Vec<f64>],
    options: SimplexTrainingOptions,
) -> SimplexTraining<f64> {
    let mut search = SimplexTraining::new(function, minima.concat(), options).expect("they fit");
    search.run(function, &Cancel::new(), |_| Ok(true)).expect("finite");
    search
}

/// Where the second connecting point begins, by the stream that it is drawn from.
fn start(seed: u64, centre: &[f64], length: f64) -> Vec<f64> {
    let mut direction = vec![0.0; centre.len()];
    Gaussian::new(seed, (1 << 43) + 1).fill(0, &mut direction);
    let scale = length / norm(&direction);
    centre.iter().zip(direction).map(|(c, g)| c + scale * g).collect()
}

fn log_sum(simplices: &[Vec<Vec<f64>>]) -> f64 {
    simplices.iter().map(|corners| volume(corners).exp()).sum::<f64>().ln()
}

#[test]
fn one_step_is_that_of_the_formula_with_differences_for_the_volume() {
    let minima = vec![vec![1.0, 0.2, 0.0, -0.3], vec![-0.7, 0.0, 0.4, 0.1]];
    let function = valley(&[1.0, 0.5, 2.0, 0.3]);
    let given = SimplexTrainingOptions {
        cycles: vec![Cycle { steps: 1, rate: 0.05 }],
        optimizer: OptimizerKind::Momentum(0.0),
        samples: 3,
        ..options()
    };
    let search = finished(&function, &minima, given);
    // The first one begins at the mean and knows no volume.
    let mean: Vec<_> = (0..4).map(|k| 0.5 * (minima[0][k] + minima[1][k])).collect();
    let weights = simplex_weights(&Gaussian::new(1, (1 << 42) + 1), 0, 6, 2);
    let mut theta = mean.clone();
    for (index, row) in weights.chunks(2).enumerate() {
        let point: Vec<_> =
            (0..4).map(|k| row[0] * minima[index / 3][k] + row[1] * mean[k]).collect();
        for (entry, slope) in theta.iter_mut().zip(function.gradient(&point)) {
            *entry -= 0.05 / 6.0 * row[1] * slope;
        }
    }
    assert_close(search.complex().row(2), &theta, 1e-13);
    // The second one begins off the mean of all, and is pushed out.
    let centre: Vec<_> = (0..4).map(|k| (minima[0][k] + minima[1][k] + theta[k]) / 3.0).collect();
    let extent = 0.5 * norm(&combine(&[&minima[0], &minima[1]], &[1.0, -1.0]).expect("fits"));
    let second = start(1, &centre, 0.5 * extent);
    let simplices = |last: &[f64]| {
        let simplex = |mode: &Vec<f64>| vec![mode.clone(), theta.clone(), last.to_vec()];
        minima.iter().map(simplex).collect::<Vec<_>>()
    };
    let lambda = 0.1 / log_sum(&simplices(&second)).abs().max(1.0);
    let weights = simplex_weights(&Gaussian::new(1, (1 << 42) + 2), 6, 6, 3);
    let mut moved = second.clone();
    for (index, row) in weights.chunks(3).enumerate() {
        let corners = &simplices(&second)[index / 3];
        let point: Vec<_> = (0..4).map(|k| (0..3).map(|j| row[j] * corners[j][k]).sum()).collect();
        for (entry, slope) in moved.iter_mut().zip(function.gradient(&point)) {
            *entry -= 0.05 / 6.0 * row[2] * slope;
        }
    }
    for k in 0..4 {
        let at = |step: f64| {
            let mut other = second.clone();
            other[k] += step;
            log_sum(&simplices(&other))
        };
        moved[k] += 0.05 * lambda * (at(1e-6) - at(-1e-6)) / 2e-6;
    }
    assert_close(search.complex().row(3), &moved, 1e-9);
    assert_eq!((search.steps(), search.evaluations()), (2, 12));
}

/// Triangles on the valley floor with a corner at height y above it: E L = a y² E w² / 2 with
/// E w² = 1/6, so that E L − λ log V is least at y² = 6 λ / a, where the mean loss is λ / 2.
#[test]
fn a_connecting_point_rises_until_the_loss_has_gone_up_by_half_lambda() {
    let minima = vec![vec![-1.0, 0.0], vec![1.0, 0.0]];
    for curvature in [1.0, 4.0] {
        for rule in [OptimizerKind::Momentum(0.5), OptimizerKind::Adam] {
            let given = SimplexTrainingOptions { optimizer: rule, ..options() };
            let search = finished(&valley(&[0.0, curvature]), &minima, given);
            assert!(norm(search.complex().row(2)) < 1e-12);
            let begun = start(1, &[0.0, 0.0], 0.5);
            let lambda = 0.1 / begun[1].abs().ln().abs().max(1.0);
            let height = (6.0 * lambda / curvature).sqrt();
            let found = search.complex().row(3)[1].abs();
            assert!((found / height - 1.0).abs() < 0.03, "{rule:?}: {found} {height}");
            assert!((search.loss() / (0.5 * lambda) - 1.0).abs() < 0.3, "{}", search.loss());
            assert!((search.log_volume() - height.ln()).abs() < 0.03);
            assert_eq!(search.status(), Status::Complete);
        }
    }
}

/// Flat in six of eight directions, steep in two.
#[test]
fn connecting_points_open_a_volume_along_a_flat_valley() {
    let function = valley(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0, 50.0]);
    let mut minima = vec![vec![0.0; 8]; 3];
    (minima[1][0], minima[2][1]) = (2.0, 2.0);
    let given = SimplexTrainingOptions {
        connectors: 4,
        cycles: vec![Cycle { steps: 400, rate: 0.02 }],
        volume: 0.2,
        ..options()
    };
    let search = finished(&function, &minima, given.clone());
    let simplex = |search: &SimplexTraining<f64>, mode: usize| -> Vec<Vec<f64>> {
        let complex = search.complex();
        complex.simplex(mode).into_iter().map(|vertex| complex.row(vertex).to_vec()).collect()
    };
    let closed = finished(&function, &minima, SimplexTrainingOptions { volume: 0.0, ..given });
    for mode in 0..3 {
        let (opened, unopened) = (volume(&simplex(&search, mode)), volume(&simplex(&closed, mode)));
        assert!(opened > unopened + 2.0, "{opened} {unopened}");
        let weights = simplex_weights(&Gaussian::new(0, 5), 0, 200, 5);
        let losses = weights
            .chunks(5)
            .map(|row| function.value(&search.complex().point(mode, row).expect("five corners")));
        assert!(losses.sum::<f64>() / 200.0 < 0.15);
    }
}

#[test]
fn one_minimum_grows_a_simplex_of_its_own() {
    let given = SimplexTrainingOptions { connectors: 3, volume: 0.05, ..options() };
    let search = finished(&valley(&[1.0, 0.0, 0.0, 1.0, 0.1]), &[vec![0.0; 5]], given);
    assert_eq!(search.complex().simplex(0), [0, 1, 2, 3]);
    assert!(search.log_volume().is_finite() && search.loss() < 0.2, "{}", search.loss());
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    let minima = [vec![-0.8, 0.4, 0.1], vec![0.9, 0.1, -0.2]];
    for rule in [OptimizerKind::Momentum(0.9), OptimizerKind::Adam] {
        let given = SimplexTrainingOptions {
            optimizer: rule,
            cycles: vec![Cycle { steps: 4, rate: 0.02 }, Cycle { steps: 3, rate: 0.01 }],
            samples: 2,
            ..options()
        };
        let function = DoubleWell { dim: 3 };
        let whole = finished(&function, &minima, given.clone());
        for stop in [0, 1, 4, 6, 7, 8, 12] {
            let mut search =
                SimplexTraining::new(&function, minima.concat(), given.clone()).expect("fits");
            for _ in 0..stop {
                search.step(&function, &Cancel::new()).expect("finite");
            }
            let mut again = SimplexTraining::resume(search.checkpoint()).expect("its own");
            again.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
            assert_eq!(again.complex(), whole.complex(), "after {stop}");
            assert_eq!(again.checkpoint(), whole.checkpoint(), "after {stop}");
        }
    }
}

#[test]
fn a_point_that_explodes_stops_the_run_and_stays_where_it_was_good() {
    let given =
        SimplexTrainingOptions { cycles: vec![Cycle { steps: 50, rate: 50.0 }], ..options() };
    let function = DoubleWell { dim: 2 };
    let minima = vec![-1.0, 0.5, 1.0, 0.5];
    let mut search = SimplexTraining::<f64>::new(&function, minima, given).expect("fits");
    let error = search.run(&function, &Cancel::new(), |_| Ok(true)).expect_err("it explodes");
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("the simplex of minimum") && text.contains(" steps, "), "{text}");
    let last = search.complex().row(search.complex().count() - 1);
    assert!(function.value(last).is_finite());
}

#[test]
fn options_out_of_range_and_minima_that_do_not_fit_are_refused() {
    let minima = [-0.5, 1.4, 0.6, 0.0];
    for wrong in [
        SimplexTrainingOptions { connectors: 0, ..options() },
        SimplexTrainingOptions { connectors: 3, ..options() },
        SimplexTrainingOptions { samples: 0, ..options() },
        SimplexTrainingOptions { cycles: vec![], ..options() },
        SimplexTrainingOptions { volume: -1.0, ..options() },
        SimplexTrainingOptions { volume: f64::NAN, ..options() },
        SimplexTrainingOptions { spread: 0.0, ..options() },
    ] {
        let refused = SimplexTraining::<f64>::new(&MuellerBrown, minima.to_vec(), wrong);
        assert!(matches!(refused.err().expect("out of range"), Error::Invalid(_)));
    }
    for wrong in [vec![], vec![1.0], vec![1.0, 2.0, 1.0, 2.0]] {
        let refused = SimplexTraining::<f64>::new(&MuellerBrown, wrong, options());
        assert!(matches!(refused.err().expect("no minima"), Error::Invalid(_)));
    }
    // A spread below the rounding of the vertices.
    let given = SimplexTrainingOptions { spread: 1e-30, ..options() };
    let minima = vec![-1.0, 0.0, 1.0, 0.0];
    let mut search =
        SimplexTraining::<f64>::new(&valley(&[0.0, 1.0]), minima, given).expect("fits");
    let error =
        search.run(&valley(&[0.0, 1.0]), &Cancel::new(), |_| Ok(true)).expect_err("no volume");
    assert!(error.to_string().contains("pass a larger one"), "{error}");
}
