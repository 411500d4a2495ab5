//! Walks on losses whose valleys are known.

use landscape_core::analytic::{ClosedForm, Quadratic, Rosenbrock};
use landscape_core::walk::{WalkOptions, Walker};
use landscape_core::{Cancel, Dense, Error, Resumable, Solver, Status, norm};

fn options(distance: f64, tolerance: f64) -> WalkOptions {
    WalkOptions {
        distance,
        tolerance,
        flat_tolerance: 1e-6,
        stride: distance / 10.0,
        max_steps: 200,
        krylov: 20,
        seed: 1,
    }
}

fn finished<F: ClosedForm>(function: &F, start: Vec<f64>, options: WalkOptions) -> Walker<f64> {
    let mut walk = Walker::new(function, start, options, &Cancel::new()).expect("finite");
    walk.run(function, &Cancel::new(), |_| Ok(true)).expect("finite");
    walk
}

/// Σ over k of λₖ (aₖ·x)² / 2 with the orthogonal a = (1, 1, 0, 0), (0, 0, 1, −1): a null space of
/// two dimensions.
fn valley() -> Quadratic {
    let rows =
        [[3.0, 3.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [0.0, 0.0, -1.0, 1.0]];
    Quadratic::new(Dense::new(rows.concat(), 4).expect("symmetric"), vec![0.0; 4]).expect("fits")
}

#[test]
fn a_walk_stays_in_the_null_space() {
    let walk = finished(&valley(), vec![0.0; 4], options(5.0, 1e-12));
    assert_eq!(walk.status(), Status::Reached);
    for point in walk.points().chunks(4) {
        let off = (point[0] + point[1]).abs().max((point[2] - point[3]).abs());
        assert!(off < 1e-12 * 5.0, "{point:?}");
    }
    let last = &walk.points()[walk.points().len() - 4..];
    assert!((norm(last) - 5.0).abs() < 1e-5, "{}", norm(last));
    assert!(walk.steps().len() <= 12, "it diffuses: {}", walk.steps().len());
}

#[test]
fn without_a_flat_direction_it_stalls_where_the_tolerance_ends() {
    let bowl =
        Quadratic::new(Dense::new(vec![4.0, 0.0, 0.0, 1.0], 2).expect("symmetric"), vec![0.0; 2]);
    let bowl = bowl.expect("fits");
    let strict = finished(&bowl, vec![0.0; 2], options(10.0, 0.02));
    assert_eq!((strict.status(), strict.steps().len()), (Status::Stalled, 1));
    // With the soft axis counted as flat it gets to where x²/2 = tolerance, and no further.
    let soft = WalkOptions { flat_tolerance: 0.5, ..options(10.0, 0.02) };
    let walk = finished(&bowl, vec![0.0; 2], soft);
    let reach = walk.steps().iter().fold(0.0, |most: f64, s| most.max(s.distance));
    assert_eq!(walk.status(), Status::Stalled);
    assert!((reach - 0.2).abs() < 0.02, "{reach}");
}

#[test]
fn a_curved_valley_is_followed_within_the_tolerance() {
    let function = Rosenbrock { dim: 2 };
    let given = WalkOptions { flat_tolerance: 0.05, stride: 0.1, ..options(0.4, 0.05) };
    let walk = finished(&function, vec![1.0, 1.0], given);
    assert_eq!(walk.status(), Status::Reached, "{:?}", walk.steps());
    for (point, stride) in walk.points().chunks(2).zip(walk.steps()) {
        assert!(stride.loss <= 0.05 && (function.value(point) - stride.loss).abs() < 1e-12);
    }
    assert!(walk.counts().0 > walk.steps().len());
}

/// (a b − 1)²/2, whose floor is the curve a b = 1.
struct Hyperbola;

impl ClosedForm for Hyperbola {
    fn dim(&self) -> usize {
        2
    }

    fn value(&self, x: &[f64]) -> f64 {
        (x[0] * x[1] - 1.0).powi(2) / 2.0
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let rest = x[0] * x[1] - 1.0;
        vec![rest * x[1], rest * x[0]]
    }

    fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64 {
        let rest = x[0] * x[1] - 1.0;
        if i == j { x[1 - i] * x[1 - i] } else { rest + x[0] * x[1] }
    }
}

#[test]
fn a_looser_tolerance_goes_no_less_far_in_a_flat_valley() {
    for tolerance in [1e-6, 1e-4, 1e-2, 0.1, 1.0] {
        let given = WalkOptions { flat_tolerance: 1e-2, ..options(3.0, tolerance) };
        let walk = finished(&Hyperbola, vec![1.0, 1.0], given);
        let reach = walk.steps().iter().fold(0.0, |most: f64, step| most.max(step.distance));
        assert_eq!(walk.status(), Status::Reached, "{tolerance}: {reach}");
        assert!(walk.steps().iter().all(|step| step.loss <= tolerance));
    }
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    let function = Rosenbrock { dim: 2 };
    let given = WalkOptions { flat_tolerance: 0.05, stride: 0.1, ..options(0.4, 0.05) };
    let whole = finished(&function, vec![1.0, 1.0], given);
    for stop in [0, 1, 3, 5] {
        let mut walk =
            Walker::new(&function, vec![1.0, 1.0], given, &Cancel::new()).expect("finite");
        for _ in 0..stop {
            walk.step(&function, &Cancel::new()).expect("finite");
        }
        let mut again = Walker::resume(walk.checkpoint()).expect("its own");
        again.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
        assert_eq!(again.points(), whole.points(), "after {stop}");
        assert_eq!(again.checkpoint(), whole.checkpoint(), "after {stop}");
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for wrong in [
        options(0.0, 1.0),
        options(1.0, -1.0),
        WalkOptions { stride: 0.0, ..options(1.0, 1.0) },
        WalkOptions { krylov: 0, ..options(1.0, 1.0) },
    ] {
        let refused = Walker::<f64>::new(&valley(), vec![0.0; 4], wrong, &Cancel::new()).err();
        assert!(matches!(refused, Some(Error::Invalid(_))));
    }
    let short = Walker::<f64>::new(&valley(), vec![0.0; 3], options(1.0, 1.0), &Cancel::new());
    assert!(short.err().expect("short").to_string().contains("3 entries"));
}
