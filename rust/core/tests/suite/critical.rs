//! Searches for critical points, on functions whose critical points are known.

use landscape_core::analytic::{ClosedForm, DoubleWell, Quadratic, Rosenbrock};
use landscape_core::critical::{Method, Search, SearchOptions};
use landscape_core::{Cancel, Dense, Error, Objective, Resumable, Scalar, Solver, Status, norm};

const OPTIONS: SearchOptions = SearchOptions {
    method: Method::NewtonMr,
    tolerance: 1e-10,
    max_steps: 200,
    krylov: 50,
    negative_tolerance: 1e-3,
    seed: 0,
};

fn found<S: Scalar>(
    objective: &dyn Objective<S>,
    start: Vec<S>,
    options: SearchOptions,
) -> Search<S> {
    let cancel = Cancel::new();
    let mut search = Search::new(objective, start, options, &cancel).expect("a finite start");
    search.run(objective, &cancel, |_| Ok(true)).expect("no step fails");
    search
}

/// x² − y², which no step lowers at its saddle but one along y.
fn saddle() -> Quadratic {
    let matrix = Dense::new(vec![2.0, 0.0, 0.0, -2.0], 2).expect("symmetric");
    Quadratic::new(matrix, vec![0.0; 2]).expect("one dimension")
}

#[test]
fn newton_runs_into_the_saddle_that_saddle_free_newton_leaves() {
    let start = vec![1.0, 1e-6];
    let newton = found(&saddle(), start.clone(), OPTIONS);
    assert_eq!(newton.status(), Status::Converged);
    assert!(norm(&newton.point().theta) < 1e-10);
    let options = SearchOptions { method: Method::SaddleFree, max_steps: 25, ..OPTIONS };
    let free = found(&saddle(), start, options);
    assert_eq!(free.status(), Status::MaxSteps);
    assert!(free.point().loss < -1.0, "{:?}", free.steps());
    assert!(free.steps().windows(2).all(|pair| pair[1].loss < pair[0].loss));
}

#[test]
fn one_newton_step_solves_a_quadratic_of_any_signature() {
    let diagonal = [5.0, -3.0, 0.5, -0.01, 0.0];
    let entries = (0..25).map(|k| if k % 6 == 0 { diagonal[k / 6] } else { 0.0 }).collect();
    let quadratic =
        Quadratic::new(Dense::new(entries, 5).expect("symmetric"), vec![1.0; 5]).expect("fits");
    let search = found(&quadratic, vec![0.3_f64, -0.2, 4.0, 2.0, 7.0], OPTIONS);
    assert_eq!(search.status(), Status::Converged);
    assert!(search.steps().len() <= 4, "{:?}", search.steps());
    // The direction without curvature is not moved along: the solution is the nearest one.
    let expected = [1.0, 1.0, 1.0, 1.0, 7.0];
    for (value, wanted) in search.point().theta.iter().zip(expected) {
        assert!((value - wanted).abs() < 1e-7, "{:?}", search.point().theta);
    }
}

#[test]
fn curved_functions_are_solved_faster_than_linearly() {
    let search = found(&Rosenbrock { dim: 6 }, vec![-1.2, 1.0, 0.8, -0.3, 0.5, 1.4], OPTIONS);
    assert_eq!(search.status(), Status::Converged);
    let norms: Vec<f64> = search.steps().iter().map(|step| step.gradient_norm).collect();
    assert!(norms.windows(2).all(|pair| pair[1] < pair[0]), "{norms:?}");
    let [.., before, last] = norms[..] else { panic!("several steps") };
    assert!(last < 1e-4 * before, "{norms:?}");
}

#[test]
fn a_saddle_is_left_from_where_there_is_no_slope() {
    let options = SearchOptions { method: Method::SaddleFree, ..OPTIONS };
    let search = found(&DoubleWell { dim: 4 }, vec![0.0_f64; 4], options);
    assert_eq!(search.status(), Status::Converged);
    assert!((search.point().theta[0].abs() - 1.0).abs() < 1e-6);
    assert!(search.point().loss < 1e-12);
    let stays = found(&DoubleWell { dim: 4 }, vec![0.0_f64; 4], OPTIONS);
    assert_eq!((stays.status(), stays.point().loss), (Status::Converged, 1.0));
}

/// 1 + x² − y², whose changes close to the saddle are below the rounding of 1.
#[test]
fn a_saddle_is_left_where_rounding_hides_the_slope() {
    struct Raised;
    impl ClosedForm for Raised {
        fn dim(&self) -> usize {
            2
        }
        fn value(&self, x: &[f64]) -> f64 {
            1e4 + x[0] * x[0] - x[1] * x[1] + x[1].powi(4)
        }
        fn gradient(&self, x: &[f64]) -> Vec<f64> {
            vec![2.0 * x[0], -2.0 * x[1] + 4.0 * x[1].powi(3)]
        }
        fn second_derivative(&self, x: &[f64], i: usize, j: usize) -> f64 {
            match (i, j) {
                (0, 0) => 2.0,
                (1, 1) => -2.0 + 12.0 * x[1] * x[1],
                _ => 0.0,
            }
        }
    }
    let options =
        SearchOptions { method: Method::SaddleFree, tolerance: 1e-12, max_steps: 30, ..OPTIONS };
    let search = found(&Raised, vec![1e-9_f64, 1e-11], options);
    assert!(search.point().loss < 1e4 - 0.249, "{:?}", search.steps());
    // In f32 the loss is rounded to 1e-3, and so are its differences.
    let single = SearchOptions { tolerance: 1e-7, ..options };
    let search = found(&Raised, vec![1e-5_f32, 1e-7], single);
    assert!(search.point().loss < 1e4 - 0.24, "{:?}", search.steps());
}

#[test]
fn saddle_free_newton_minimises() {
    let options = SearchOptions { method: Method::SaddleFree, tolerance: 1e-8, ..OPTIONS };
    let search = found(&Rosenbrock { dim: 4 }, vec![-1.2_f64, 1.0, 0.8, -0.3], options);
    assert_eq!(search.status(), Status::Converged);
    // Besides the minimum of 0 the function has one of 3.7014 in four dimensions.
    assert!((search.point().loss - 3.7014).abs() < 1e-4 || search.point().loss < 1e-12);
    assert!(search.steps().len() < 60, "{}", search.steps().len());
}

/// f(x) = x₀ + x₁²: no point is critical, and where x₁ = 0 the gradient has no curvature.
struct Slope;

impl ClosedForm for Slope {
    fn dim(&self) -> usize {
        2
    }

    fn value(&self, x: &[f64]) -> f64 {
        x[0] + x[1] * x[1]
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        vec![1.0, 2.0 * x[1]]
    }

    fn second_derivative(&self, _: &[f64], i: usize, j: usize) -> f64 {
        if (i, j) == (1, 1) { 2.0 } else { 0.0 }
    }
}

#[test]
fn a_norm_without_slope_is_told_from_a_critical_point() {
    let search = found(&Slope, vec![0.5, 0.7], OPTIONS);
    assert_eq!(search.status(), Status::Flat);
    assert!((search.point().norm - 1.0).abs() < 1e-6);
}

#[test]
fn rounding_ends_a_search_that_wants_too_much() {
    let start: Vec<f32> = vec![1.1, 1.2, 1.5];
    let search = found(&Rosenbrock { dim: 3 }, start, SearchOptions { tolerance: 0.0, ..OPTIONS });
    assert!(matches!(search.status(), Status::Stalled | Status::Converged));
    assert!(search.point().norm < 1e-2);
}

#[test]
fn a_search_goes_on_with_the_same_bits() {
    for method in [Method::NewtonMr, Method::SaddleFree] {
        let (function, cancel) = (Rosenbrock { dim: 4 }, Cancel::new());
        let options = SearchOptions { method, tolerance: 1e-8, ..OPTIONS };
        let start = vec![-1.2_f64, 1.0, 0.8, -0.3];
        let whole = found(&function, start.clone(), options);
        let mut first = Search::new(&function, start, options, &cancel).expect("a finite start");
        let ended = first.run(&function, &cancel, |search| Ok(search.steps().len() < 3));
        assert!(!ended.expect("no step fails"));
        let mut again = Search::resume(first.checkpoint()).expect("its own");
        assert!(again.run(&function, &cancel, |_| Ok(true)).expect("no step fails"));
        assert_eq!(again.point().theta, whole.point().theta);
        assert!(again.steps() == whole.steps());
        assert_eq!(again.products(), whole.products());
    }
}

#[test]
fn a_start_that_is_not_finite_is_refused() {
    let start = vec![f64::NAN, 1.0];
    let error = Search::new(&saddle(), start, OPTIONS, &Cancel::new()).err().expect("refused");
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    let error = Search::new(&saddle(), vec![1.0], OPTIONS, &Cancel::new()).err().expect("refused");
    assert!(error.to_string().contains("a start of 1 entries"), "{error}");
}
