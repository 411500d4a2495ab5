//! Calibrated subsets: weights, estimates, standard errors and their validation.

use landscape_core::surface::subset::{BOUNDS, Calibration, Pilots, assess, select};
use landscape_core::{Error, Gaussian};
use proptest::prelude::*;

/// `count` positive losses of `samples` samples: exponentials of smooth functions of a position.
fn losses(count: usize, samples: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut own = vec![0.0; 3 * samples];
    Gaussian::new(seed, 9).fill(0, &mut own);
    let at = |k: usize, i: usize| {
        let position = k as f64 / count as f64 - 0.5;
        let (level, slope, bend) = (own[3 * i], own[3 * i + 1], own[3 * i + 2]);
        (0.5 * level + position * slope + position * position * bend).exp()
    };
    (0..count).map(|k| (0..samples).map(|i| at(k, i)).collect()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn shares(pilots: &[Vec<f64>]) -> Vec<f64> {
    let share = |i: usize| pilots.iter().map(|row| row[i] / mean(row)).sum();
    (0..pilots[0].len()).map(share).collect()
}

/// The calibration of a draw at these pilots, and the rows that were chosen.
fn calibrate(pilots: &[Vec<f64>], count: usize, seed: u64) -> (Calibration, Vec<usize>) {
    let selection = select(&shares(pilots), count, seed, 0).expect("valid");
    let relative = |row: &Vec<f64>| -> Vec<f64> {
        selection.rows.iter().map(|&i| row[i] / mean(row)).collect()
    };
    let auxiliaries = pilots.iter().flat_map(relative).collect();
    let targets = vec![1.0; pilots.len()];
    let calibration =
        Calibration::fit(auxiliaries, &targets, &selection.inclusion, pilots[0].len());
    (calibration.expect("valid"), selection.rows)
}

fn take(row: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|&i| row[i]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn weights_are_within_their_bounds_and_reproduce_the_pilots(
        seed in 0_u64..1000, pilots in 3_usize..9, factor in 6_usize..12,
    ) {
        let table = losses(pilots, 400, seed);
        let (calibration, rows) = calibrate(&table, factor * pilots, seed);
        let selection = select(&shares(&table), factor * pilots, seed, 0).expect("valid");
        for (weight, probability) in calibration.weights().iter().zip(&selection.inclusion) {
            let base = 1.0 / (400.0 * probability);
            prop_assert!(*weight >= 0.999 * BOUNDS[0] * base && *weight <= 1.001 * BOUNDS[1] * base);
        }
        for row in &table {
            let estimate = calibration.estimate(&take(row, &rows))[0].value;
            // bounds and ridge leave more to few samples than to those of a network
            prop_assert!((estimate / mean(row) - 1.0).abs() < 3e-2);
        }
    }

    #[test]
    fn losses_in_the_span_of_the_pilots_are_exact(
        seed in 0_u64..1000, mix in prop::collection::vec(0.2_f64..2.0, 4),
    ) {
        let table = losses(4, 300, seed);
        let (calibration, rows) = calibrate(&table, 60, seed);
        let combined: Vec<f64> =
            (0..300).map(|i| table.iter().zip(&mix).map(|(row, c)| c * row[i]).sum()).collect();
        let estimate = calibration.estimate(&take(&combined, &rows))[0];
        let error = (estimate.value - mean(&combined)).abs();
        prop_assert!(error < 2e-3 * mean(&combined), "{}", error);
        // No more is left than the residual of the pilots, which the standard error holds.
        prop_assert!(error <= 2.0 * estimate.standard_error + 1e-3 * mean(&combined));
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter(seed in 0_u64..1000, shift in 1_usize..50) {
        let table = losses(5, 50, seed);
        let inclusion = vec![0.5; 50];
        let rotate = |row: &Vec<f64>| {
            let mut rotated = row.clone();
            rotated.rotate_left(shift);
            rotated
        };
        let fit = |table: &[Vec<f64>]| {
            let means: Vec<f64> = table.iter().map(|row| 1.1 * mean(row)).collect();
            Calibration::fit(table.concat(), &means, &inclusion, 100).expect("valid")
        };
        let (plain, moved) = (fit(&table), fit(&table.iter().map(rotate).collect::<Vec<_>>()));
        let expected = rotate(&plain.weights().to_vec());
        for (weight, expected) in moved.weights().iter().zip(expected) {
            prop_assert!((weight - expected).abs() < 1e-9 * expected.max(1e-3));
        }
    }
}

/// The same problem, solved by projected gradient steps on the weights.
#[test]
fn weights_minimise_the_distance_under_bounds_and_ridge() {
    let table = losses(3, 12, 4);
    let inclusion = vec![0.25; 12];
    // Far from the plain means, so that factors reach a bound.
    let targets: Vec<f64> = table.iter().zip([0.2, 1.0, 3.0]).map(|(r, f)| f * mean(r)).collect();
    let calibration = Calibration::fit(table.concat(), &targets, &inclusion, 48).expect("valid");
    let base = 1.0 / (48.0 * 0.25);
    let mut factors = [1.0_f64; 12];
    for _ in 0..2_000_000 {
        let missed: Vec<f64> = table
            .iter()
            .zip(&targets)
            .map(|(row, t)| row.iter().zip(&factors).map(|(a, g)| a * base * g).sum::<f64>() - t)
            .collect();
        for (i, factor) in factors.iter_mut().enumerate() {
            let pull: f64 = table.iter().zip(&missed).map(|(row, r)| row[i] * r).sum();
            let slope = *factor - 1.0 + pull / 1e-4;
            *factor = (*factor - 2e-5 * slope).clamp(BOUNDS[0], BOUNDS[1]);
        }
    }
    for (weight, factor) in calibration.weights().iter().zip(factors) {
        assert!((weight / base - factor).abs() < 1e-4 * factor.max(1.0), "{weight} {factor}");
    }
    assert!(factors.contains(&BOUNDS[0]), "{factors:?}");
}

#[test]
fn estimates_are_unbiased_and_their_errors_cover() {
    let (pilots, points) = (6, 31);
    let table = losses(points, 2000, 3);
    let at_pilots: Vec<_> =
        (0..pilots).map(|k| table[k * (points - 1) / (pilots - 1)].clone()).collect();
    let (mut covered, mut scores, mut count) = (0, 0.0, 0);
    for seed in 0..40 {
        let (calibration, rows) = calibrate(&at_pilots, 60, seed);
        for row in table.iter().skip(2).step_by(5) {
            let estimate = calibration.estimate(&take(row, &rows))[0];
            let score = (estimate.value - mean(row)) / estimate.standard_error;
            covered += i32::from(score.abs() < 2.0);
            scores += score;
            count += 1;
        }
    }
    let share = f64::from(covered) / f64::from(count);
    assert!((0.88..=0.99).contains(&share), "{share}");
    assert!((scores / f64::from(count)).abs() < 0.25);
}

#[test]
fn cross_validation_bounds_the_errors_elsewhere() {
    let table = losses(41, 3000, 8);
    let at_pilots: Vec<_> = table.iter().step_by(4).cloned().collect();
    let single: Vec<Vec<f32>> = at_pilots
        .iter()
        .map(|row| {
            row.iter()
                .map(|&x| {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "single precision is asked for"
                    )]
                    let x = x as f32;
                    x
                })
                .collect()
        })
        .collect();
    let rows: Vec<&[f32]> = single.iter().map(Vec::as_slice).collect();
    let means: Vec<f64> = at_pilots.iter().map(|row| mean(row)).collect();
    let pilots = Pilots { losses: &rows, means: &means, scales: &means };
    let found = assess(&pilots, &shares(&at_pilots), 120, 5, 41).expect("valid");
    let inclusion = &found.selection.inclusion;
    let relative = |row: &Vec<f64>| {
        found.selection.rows.iter().map(|&i| row[i] / mean(row)).collect::<Vec<_>>()
    };
    let auxiliaries = at_pilots.iter().flat_map(relative).collect();
    let calibration = Calibration::fit(auxiliaries, &[1.0; 11], inclusion, 3000).expect("valid");
    let worst = table.iter().map(|row| {
        (calibration.estimate(&take(row, &found.selection.rows))[0].value / mean(row) - 1.0).abs()
    });
    let worst = worst.fold(0.0, f64::max);
    assert!(worst <= found.maximum, "{worst} {found:?}");
    assert!(found.quantile95 < 0.1 && found.quantile95 <= found.maximum);
    assert!(found.inflation >= 1.0 && found.residual < 5e-3);
    assert_eq!(found.errors.len(), 11);
    let again = assess(&pilots, &shares(&at_pilots), 120, 5, 41).expect("valid");
    assert_eq!(again, found);
    let other = assess(&pilots, &shares(&at_pilots), 120, 6, 41).expect("valid");
    assert_ne!(other.selection, found.selection);
}

#[test]
fn a_loss_that_is_not_finite_spoils_its_own_point_alone() {
    let table = losses(4, 100, 1);
    let (calibration, rows) = calibrate(&table, 30, 2);
    let mut broken = take(&table[1], &rows);
    broken[3] = f64::INFINITY;
    let both = [broken, take(&table[2], &rows)].concat();
    let estimates = calibration.estimate(&both);
    assert!(!estimates[0].value.is_finite() && !estimates[0].standard_error.is_finite());
    assert!(estimates[1].value.is_finite() && estimates[1].standard_error.is_finite());
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let refused = |result: Result<Calibration, Error>, text: &str| {
        let error = result.expect_err("refused").to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(Calibration::fit(vec![1.0; 3], &[1.0], &[0.5, 0.5], 4), "one for each pair");
    refused(Calibration::fit(vec![1.0; 2], &[1.0], &[0.5, 0.0], 4), "not in (0, 1]");
    refused(Calibration::fit(vec![1.0; 2], &[1.0], &[0.5, 0.5], 1), "no more than there are");
    refused(Calibration::fit(vec![f64::NAN; 2], &[1.0], &[0.5, 0.5], 4), "not finite");
    let error = select(&[1.0, -1.0], 1, 0, 0).expect_err("negative").to_string();
    assert!(error.contains("share 1 is -1"), "{error}");
    let error = select(&[1.0], 2, 0, 0).expect_err("too many").to_string();
    assert!(error.contains("2 of 1 samples"), "{error}");
    let row: &[f32] = &[1.0, 2.0];
    let few = Pilots { losses: &[row], means: &[1.5], scales: &[1.5] };
    let error = assess(&few, &[1.0, 1.0], 1, 0, 9).expect_err("one pilot").to_string();
    assert!(error.contains("at least 8"), "{error}");
}
