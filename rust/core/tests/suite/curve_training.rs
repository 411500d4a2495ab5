//! Curves between minima, on losses whose passes are known.

use landscape_core::analytic::{ClosedForm, DoubleWell, MuellerBrown};
use landscape_core::path::{CurveKind, CurveTraining, CurveTrainingOptions, Cycle, OptimizerKind};
use landscape_core::{Cancel, Error, Resumable, Solver, Status};

/// (x² − 1)² + 8 (y − 1 + x²)²: minima at (±1, 0), joined by the arc y = 1 − x² over a pass of 1,
/// while the straight way climbs to 9.
struct Arc;

impl ClosedForm for Arc {
    fn dim(&self) -> usize {
        2
    }

    fn value(&self, x: &[f64]) -> f64 {
        let (across, off) = (x[0] * x[0] - 1.0, x[1] - 1.0 + x[0] * x[0]);
        across * across + 8.0 * off * off
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let (across, off) = (x[0] * x[0] - 1.0, x[1] - 1.0 + x[0] * x[0]);
        vec![4.0 * x[0] * across + 32.0 * x[0] * off, 16.0 * off]
    }

    fn second_derivative(&self, _: &[f64], _: usize, _: usize) -> f64 {
        f64::NAN
    }
}

fn options(kind: CurveKind) -> CurveTrainingOptions {
    CurveTrainingOptions {
        kind,
        cycles: vec![Cycle { steps: 400, rate: 0.05 }, Cycle { steps: 400, rate: 0.005 }],
        optimizer: OptimizerKind::Adam,
        bends: 1,
        draws: 4,
        between: 63,
        seed: 1,
    }
}

fn finished<F: ClosedForm>(
    function: &F,
    ends: ([f64; 2], [f64; 2]),
    options: CurveTrainingOptions,
) -> CurveTraining<f64> {
    let mut curve = CurveTraining::new(function, &ends.0, &ends.1, options).expect("ends fit");
    curve.run(function, &Cancel::new(), |_| Ok(true)).expect("finite");
    curve
}

const ENDS: ([f64; 2], [f64; 2]) = ([-1.0, 0.0], [1.0, 0.0]);

#[test]
fn a_parabola_is_a_bezier_curve_of_one_control_point() {
    // y = 1 − x² between (±1, 0) has the control point (0, 2).
    let curve = finished(&Arc, ENDS, options(CurveKind::Bezier));
    let point = curve.control().row(1);
    assert!(point[0].abs() < 0.02 && (point[1] - 2.0).abs() < 0.02, "{point:?}");
    let looks: Vec<_> = curve.history().iter().map(|evaluation| evaluation.max_loss).collect();
    assert!((looks[0] - 9.0).abs() < 1e-2 && (looks[2] - 1.0).abs() < 1e-2, "{looks:?}");
    assert_eq!(curve.status(), Status::Complete);
    assert_eq!(curve.evaluations(), (3 * 65, 800 * 4));
}

#[test]
fn a_chain_of_points_goes_round_too() {
    let curve =
        finished(&Arc, ENDS, CurveTrainingOptions { bends: 5, ..options(CurveKind::Polychain) });
    let highest = curve.history()[2].max_loss;
    assert!((1.0 - 1e-9..2.0).contains(&highest), "{highest}");
}

#[test]
fn control_points_begin_on_the_segment() {
    let curve = CurveTraining::<f64>::new(
        &Arc,
        &ENDS.0,
        &ENDS.1,
        CurveTrainingOptions { bends: 3, ..options(CurveKind::Bezier) },
    );
    let curve = curve.expect("ends fit");
    assert_eq!(curve.control().rows(), [-1.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0]);
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    let short = |rule| CurveTrainingOptions {
        cycles: vec![Cycle { steps: 5, rate: 1e-4 }; 2],
        optimizer: rule,
        bends: 2,
        ..options(CurveKind::Bezier)
    };
    let ends = ([-0.558, 1.442], [0.623, 0.028]);
    for rule in [OptimizerKind::Momentum(0.9), OptimizerKind::Adam] {
        let whole = finished(&MuellerBrown, ends, short(rule));
        for stop in [0, 1, 4, 6, 7, 9] {
            let mut curve =
                CurveTraining::new(&MuellerBrown, &ends.0, &ends.1, short(rule)).expect("ends fit");
            for _ in 0..stop {
                curve.step(&MuellerBrown, &Cancel::new()).expect("finite");
            }
            let mut again = CurveTraining::resume(curve.checkpoint()).expect("its own");
            again.run(&MuellerBrown, &Cancel::new(), |_| Ok(true)).expect("finite");
            assert_eq!(again.control(), whole.control(), "after {stop}");
            assert_eq!(again.best(), whole.best(), "after {stop}");
            assert_eq!(again.checkpoint(), whole.checkpoint(), "after {stop}");
        }
    }
}

#[test]
fn a_curve_that_explodes_stops_with_its_place_and_keeps_the_last_good_one() {
    let wild = CurveTrainingOptions {
        cycles: vec![Cycle { steps: 50, rate: 10.0 }],
        optimizer: OptimizerKind::Momentum(0.9),
        ..options(CurveKind::Bezier)
    };
    let function = DoubleWell { dim: 2 };
    let mut curve =
        CurveTraining::<f64>::new(&function, &[-1.0, 0.5], &[1.0, 0.4], wild).expect("fits");
    let error = curve.run(&function, &Cancel::new(), |_| Ok(true)).expect_err("it explodes");
    assert!(matches!(error, Error::NonFinite(_)) && error.to_string().contains("at t = 0."));
    assert!(function.value(curve.control().row(1)).is_finite());
}

#[test]
fn options_out_of_range_are_refused() {
    for wrong in [
        CurveTrainingOptions { bends: 0, ..options(CurveKind::Bezier) },
        CurveTrainingOptions { draws: 0, ..options(CurveKind::Bezier) },
        CurveTrainingOptions { between: 0, ..options(CurveKind::Bezier) },
        CurveTrainingOptions { cycles: vec![], ..options(CurveKind::Bezier) },
    ] {
        let refused = CurveTraining::<f64>::new(&Arc, &ENDS.0, &ENDS.1, wrong).err();
        assert!(matches!(refused, Some(Error::Invalid(_))));
    }
}
