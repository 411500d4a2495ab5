//! Elastic bands on losses whose saddles are known.

use landscape_core::analytic::{ClosedForm, DoubleWell, MuellerBrown, Quadratic};
use landscape_core::path::{AutoNeb, AutoNebOptions, Cycle, OptimizerKind, Polyline};
use landscape_core::{Cancel, Dense, Error, Resumable, Solver, Status, norm};

/// Minima and the higher saddle between them (Müller and Brown 1979, table 2, to more digits).
const FIRST: [f64; 2] = [-0.558_223_634_6, 1.441_725_841_8];
const SECOND: [f64; 2] = [0.623_499_404_9, 0.028_037_758_5];
const SADDLE: [f64; 2] = [-0.822_001_558_7, 0.624_312_802_8];

fn options() -> AutoNebOptions {
    AutoNebOptions {
        cycles: vec![Cycle { steps: 200, rate: 2e-4 }; 4],
        optimizer: OptimizerKind::Momentum(0.5),
        spring: None,
        climb: 0,
        tolerance: 0.0,
        pivots: 5,
        max_pivots: 40,
        insertion: 0.005,
        between: 9,
        seed: 0,
    }
}

fn finished<F: ClosedForm>(
    function: &F,
    ends: (&[f64], &[f64]),
    options: AutoNebOptions,
) -> AutoNeb<f64> {
    let mut band = AutoNeb::new(function, ends.0, ends.1, options).expect("ends fit");
    band.run(function, &Cancel::new(), |_| Ok(true)).expect("finite");
    band
}

fn highest<F: ClosedForm>(function: &F, chain: &Polyline<f64>) -> (usize, f64) {
    let losses = (0..chain.count()).map(|i| function.value(chain.row(i)));
    losses.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a chain has points")
}

#[test]
fn mueller_brown_pass_is_found_by_redistribution_and_by_springs() {
    for spring in [None, Some(300.0)] {
        let given = AutoNebOptions { spring, ..options() };
        let band = finished(&MuellerBrown, (&FIRST, &SECOND), given);
        let found = band
            .history()
            .iter()
            .map(|evaluation| evaluation.max_loss)
            .fold(f64::INFINITY, f64::min);
        assert!((found + 40.66).abs() < 0.1, "{spring:?}: {found}");
        assert!(band.best().count() > 7, "no pivot was added");
        assert_eq!(band.status(), Status::Complete);
    }
}

#[test]
fn a_climbing_pivot_sits_on_the_saddle() {
    for spring in [None, Some(300.0)] {
        let given = AutoNebOptions { climb: 2, spring, ..options() };
        let band = finished(&MuellerBrown, (&FIRST, &SECOND), given);
        let (top, loss) = highest(&MuellerBrown, band.band());
        let at = band.band().row(top);
        let off = ((at[0] - SADDLE[0]).powi(2) + (at[1] - SADDLE[1]).powi(2)).sqrt();
        assert!(off < 1e-3 && (loss + 40.6648).abs() < 1e-3, "{spring:?}: {at:?}, {loss}");
    }
}

#[test]
fn redistribution_keeps_segments_equal() {
    let band = finished(&MuellerBrown, (&FIRST, &SECOND), options());
    let lengths = band.band().lengths().expect("a chain");
    let most = lengths.iter().copied().fold(0.0, f64::max);
    let least = lengths.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(most / least <= 1.1, "{lengths:?}");
}

#[test]
fn the_pass_of_a_double_well_is_one() {
    // A band that begins bent: its ends lie off the axis that joins the wells' own minima.
    let (mut first, mut last) = ([0.0; 5], [0.0; 5]);
    (first[0], last[0]) = (-1.0, 1.0);
    (first[1], last[1]) = (0.7, 0.7);
    let given =
        AutoNebOptions { cycles: vec![Cycle { steps: 400, rate: 0.02 }; 3], climb: 1, ..options() };
    let function = DoubleWell { dim: 5 };
    let band = finished(&function, (&first, &last), given);
    let (top, loss) = highest(&function, band.band());
    assert!((loss - 1.0).abs() < 1e-6, "{loss}");
    assert!(norm(band.band().row(top)) < 1e-3, "{:?}", band.band().row(top));
}

#[test]
fn a_band_in_a_bowl_falls_into_its_centre() {
    // L = 1/2 x' A x has no pass: between two points of one height the band sinks towards 0.
    let matrix = Dense::new(vec![2.0, 0.5, 0.5, 1.0], 2).expect("symmetric");
    let bowl = Quadratic::new(matrix, vec![0.0, 0.0]).expect("fits");
    let ends = ([1.0, -1.0], [-1.0, 1.5]);
    let given = AutoNebOptions { cycles: vec![Cycle { steps: 300, rate: 0.05 }; 2], ..options() };
    let band = finished(&bowl, (&ends.0, &ends.1), given);
    let losses: Vec<_> = (0..band.band().count()).map(|i| bowl.value(band.band().row(i))).collect();
    let ends_higher = bowl.value(&ends.0).max(bowl.value(&ends.1));
    assert!(losses.iter().all(|&loss| loss <= ends_higher + 1e-12), "{losses:?}");
    assert!(losses.iter().copied().fold(f64::INFINITY, f64::min) < 0.02, "{losses:?}");
}

#[test]
fn a_small_force_ends_the_run_before_its_time() {
    let given = AutoNebOptions {
        cycles: vec![Cycle { steps: 5000, rate: 2e-4 }; 4],
        tolerance: 0.5,
        insertion: 0.5,
        ..options()
    };
    let band = finished(&MuellerBrown, (&FIRST, &SECOND), given);
    assert_eq!(band.status(), Status::Converged);
    assert!(band.force() <= 0.5 && band.steps() < 20_000, "{} {}", band.force(), band.steps());
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    let given = AutoNebOptions { cycles: vec![Cycle { steps: 7, rate: 2e-4 }; 3], ..options() };
    for rule in [OptimizerKind::Momentum(0.9), OptimizerKind::Adam] {
        let given = AutoNebOptions { optimizer: rule, ..given.clone() };
        let whole = finished(&MuellerBrown, (&FIRST, &SECOND), given.clone());
        for stop in [0, 1, 5, 8, 9, 12] {
            let mut band =
                AutoNeb::new(&MuellerBrown, &FIRST, &SECOND, given.clone()).expect("fits");
            for _ in 0..stop {
                band.step(&MuellerBrown, &Cancel::new()).expect("finite");
            }
            let mut again = AutoNeb::resume(band.checkpoint()).expect("its own");
            again.run(&MuellerBrown, &Cancel::new(), |_| Ok(true)).expect("finite");
            assert_eq!(again.band(), whole.band(), "after {stop}");
            assert_eq!(again.best(), whole.best(), "after {stop}");
            assert_eq!(again.history(), whole.history(), "after {stop}");
            assert_eq!(again.checkpoint(), whole.checkpoint(), "after {stop}");
        }
    }
}

#[test]
fn a_band_that_explodes_stops_with_its_pivot_and_keeps_the_last_good_one() {
    let given = AutoNebOptions { cycles: vec![Cycle { steps: 50, rate: 10.0 }], ..options() };
    let function = DoubleWell { dim: 2 };
    let mut band = AutoNeb::<f64>::new(&function, &[-1.0, 0.5], &[1.0, 0.5], given).expect("fits");
    let error = band.run(&function, &Cancel::new(), |_| Ok(true)).expect_err("it explodes");
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    assert!(error.to_string().contains("pivot") && error.to_string().contains("cycle 1"));
    assert!(band.band().rows().iter().all(|x| x.is_finite()));
    assert!(function.value(band.band().row(1)).is_finite());
    assert!(band.best().rows().iter().all(|x| x.is_finite()));
}

#[test]
fn options_out_of_range_and_ends_that_do_not_fit_are_refused() {
    let refused = |given: AutoNebOptions| {
        AutoNeb::<f64>::new(&MuellerBrown, &FIRST, &SECOND, given).err().expect("out of range")
    };
    for wrong in [
        AutoNebOptions { cycles: vec![], ..options() },
        AutoNebOptions { cycles: vec![Cycle { steps: 1, rate: 0.0 }], ..options() },
        AutoNebOptions { pivots: 0, ..options() },
        AutoNebOptions { max_pivots: 1, ..options() },
        AutoNebOptions { spring: Some(-1.0), ..options() },
        AutoNebOptions { tolerance: f64::NAN, ..options() },
    ] {
        assert!(matches!(refused(wrong), Error::Invalid(_)));
    }
    let same = AutoNeb::<f64>::new(&MuellerBrown, &FIRST, &FIRST, options());
    assert!(same.err().expect("one point").to_string().contains("two different points"));
}
