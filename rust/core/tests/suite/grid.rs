//! The grid driver: order, chunks, resume, cancellation, and surfaces with known values.

use std::cell::RefCell;
use std::io;

use crate::common::assert_close;
use landscape_core::analytic::Quadratic;
use landscape_core::surface::{Grid, Schedule, axis};
use landscape_core::{
    Cancel, Dense, Error, Gaussian, Monitor, Objective, Progress, Scalar, Subspace, Unwatched,
};
use proptest::prelude::*;

/// Returns the coordinates as values, and records the number of points of every call.
#[derive(Default)]
struct Echo {
    points: RefCell<Vec<usize>>,
}

impl Subspace for Echo {
    fn dim(&self) -> usize {
        2
    }

    fn columns(&self) -> usize {
        2
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        self.points.borrow_mut().push(coords.len() / 2);
        out.copy_from_slice(coords);
        Ok(())
    }
}

/// A monitor from a function.
struct Watch<F>(F);

impl<F: FnMut(Progress<'_>) -> Result<(), Error>> Monitor for Watch<F> {
    fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        self.0(progress)
    }
}

/// All values of a grid, as the monitor receives them.
fn evaluate_all(
    grid: &Grid,
    subspace: &dyn Subspace,
    schedule: Schedule,
) -> Result<Vec<f64>, Error> {
    let mut values = Vec::new();
    let mut collect = Watch(|progress: Progress<'_>| {
        values.extend(progress.values);
        Ok(())
    });
    grid.evaluate(subspace, schedule, &mut collect, &Cancel::new())?;
    Ok(values)
}

fn three_by_two() -> Grid {
    Grid::new(vec![vec![0.0, 1.0, 2.0], vec![10.0, 20.0]]).expect("a grid")
}

fn all(chunk: usize) -> Schedule {
    Schedule { chunk, start: 0 }
}

#[test]
fn the_first_axis_runs_fastest() {
    let values = evaluate_all(&three_by_two(), &Echo::default(), all(6));
    let expected = [0.0, 10.0, 1.0, 10.0, 2.0, 10.0, 0.0, 20.0, 1.0, 20.0, 2.0, 20.0];
    assert_eq!(values.expect("an echo"), expected);
}

#[test]
fn the_monitor_sees_every_chunk_with_its_values() {
    let (echo, mut seen) = (Echo::default(), Vec::new());
    let mut watch = Watch(|progress: Progress<'_>| {
        seen.push((progress.done, progress.total, progress.values.to_vec()));
        Ok(())
    });
    let schedule = Schedule { chunk: 2, start: 2 };
    three_by_two().evaluate(&echo, schedule, &mut watch, &Cancel::new()).expect("an echo");
    let first_chunk = vec![2.0, 10.0, 0.0, 20.0];
    assert_eq!(seen, [(4, 6, first_chunk), (6, 6, vec![1.0, 20.0, 2.0, 20.0])]);
    assert_eq!(*echo.points.borrow(), [2, 2]);
}

#[test]
fn the_last_chunk_holds_what_is_left() {
    let echo = Echo::default();
    three_by_two().evaluate(&echo, all(4), &mut Unwatched, &Cancel::new()).expect("an echo");
    assert_eq!(*echo.points.borrow(), [4, 2]);
}

#[test]
fn a_completed_grid_evaluates_nothing() {
    let schedule = Schedule { chunk: 4, start: 6 };
    let values = evaluate_all(&three_by_two(), &Echo::default(), schedule);
    assert!(values.expect("nothing to do").is_empty());
}

#[test]
fn cancellation_stops_before_the_next_chunk() {
    let (echo, cancel) = (Echo::default(), Cancel::new());
    let mut watch = Watch(|_: Progress<'_>| {
        cancel.request();
        Ok(())
    });
    let stopped = three_by_two().evaluate(&echo, all(2), &mut watch, &cancel);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(*echo.points.borrow(), [2]);
}

#[test]
fn an_error_of_the_monitor_is_returned_unchanged() {
    let mut watch = Watch(|_: Progress<'_>| Err(Error::supplier(io::Error::other("disk full"))));
    let error = three_by_two()
        .evaluate(&Echo::default(), all(1), &mut watch, &Cancel::new())
        .expect_err("a failing monitor");
    let Error::Supplier(cause) = error else { panic!("{error}") };
    assert!(cause.downcast_ref::<io::Error>().is_some());
}

#[test]
fn values_that_are_not_finite_are_data() {
    struct Pole;
    impl Subspace for Pole {
        fn dim(&self) -> usize {
            1
        }
        fn evaluate(&self, coords: &[f64], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
            out.iter_mut().zip(coords).for_each(|(value, x)| *value = x / x.abs().trunc());
            Ok(())
        }
    }
    let grid = Grid::new(vec![vec![-0.5, 0.0, 0.5, 1.0]]).expect("a grid");
    let values = evaluate_all(&grid, &Pole, all(3)).expect("data");
    assert!(values[1].is_nan());
    assert_eq!([values[0], values[2], values[3]], [f64::NEG_INFINITY, f64::INFINITY, 1.0]);
    let slopes = Pole.gradients(&[0.0], &mut [0.0], &mut [0.0], &Cancel::new());
    assert!(slopes.expect_err("a pole has values only").to_string().contains("values only"));
}

#[test]
fn grids_and_schedules_that_make_no_sense_are_refused() {
    let grid_error = |axes: Vec<Vec<f64>>| Grid::new(axes).expect_err("a bad grid").to_string();
    assert!(grid_error(vec![]).starts_with("got no axes"));
    assert!(grid_error(vec![vec![1.0], vec![]]).starts_with("axis 1 is empty"));
    assert!(grid_error(vec![vec![0.0, f64::NAN]]).starts_with("axis 0 contains NaN"));

    let error = |grid: Grid, chunk: usize, start: usize| {
        let schedule = Schedule { chunk, start };
        let result = grid.evaluate(&Echo::default(), schedule, &mut Unwatched, &Cancel::new());
        result.expect_err("a bad schedule").to_string()
    };
    assert!(error(three_by_two(), 0, 0).starts_with("got chunks of 0"));
    assert!(error(three_by_two(), 4, 3).contains("start at a multiple of the chunk"));
    assert!(error(three_by_two(), 4, 8).contains("start at a multiple of the chunk"));
    let line = Grid::new(vec![vec![0.0, 1.0]]).expect("a grid");
    assert!(error(line, 1, 0).starts_with("got 1 axes for a subspace of 2 dimensions"));
}

#[test]
fn axes_that_make_no_sense_are_refused() {
    let refusal = |low, high, points| axis(low, high, points).expect_err("bad").to_string();
    assert!(refusal(0.0, 1.0, 1).starts_with("got 1 points on an axis"));
    for (low, high) in [(1.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert!(refusal(low, high, 3).starts_with(&format!("got an axis from {low} to {high}")));
    }
    assert!(refusal(-1e308, 1e308, 3).contains("finite ends"));
}

/// L on a plane of a quadratic is ½ (o + u α + v β)' A (o + u α + v β), with o the distance from the
/// centre to the origin.
fn check_paraboloid<S: Scalar>(tolerance: f64) {
    let dim = 30;
    let normals = |stream| {
        let mut out = vec![S::default(); dim];
        Gaussian::new(40, stream).fill(0, &mut out);
        out
    };
    let wide = |x: &[S]| x.iter().map(|value| value.widen()).collect::<Vec<_>>();
    let diagonal: Vec<f64> = (0..dim * dim)
        .map(|k| if k % (dim + 1) == 0 { 1.0 + (k / dim) as f64 } else { 0.0 })
        .collect();
    let matrix = Dense::new(diagonal, dim).expect("symmetric");
    let quadratic = Quadratic::new(matrix.clone(), vec![0.5; dim]).expect("one dimension");
    let [origin, u, v] = [normals(0), normals(1), normals(2)];

    let axis = axis(-1.0, 1.0, 7).expect("an axis");
    let plane = quadratic.subspace(&origin, &[&u, &v]).expect("one length");
    let grid = Grid::new(vec![axis.clone(), axis]).expect("a grid");
    let values = evaluate_all(&grid, &*plane, all(5)).expect("values");

    let expected: Vec<f64> = grid
        .coordinates(0..grid.len())
        .chunks(2)
        .map(|c| {
            let [o, u, v] = [wide(&origin), wide(&u), wide(&v)];
            let x: Vec<f64> = (0..dim).map(|i| o[i] + c[0] * u[i] + c[1] * v[i] - 0.5).collect();
            0.5 * x.iter().zip(matrix.product(&x)).map(|(a, b)| a * b).sum::<f64>()
        })
        .collect();
    assert_close(&values, &expected, tolerance);
}

#[test]
fn the_surface_of_a_quadratic_is_its_paraboloid() {
    check_paraboloid::<f32>(1e-6);
    check_paraboloid::<f64>(1e-14);
}

proptest! {
    #[test]
    fn a_resumed_grid_equals_the_whole(chunk in 1_usize..9, done in 0_usize..9) {
        let grid = three_by_two();
        let evaluate = |start| {
            let schedule = Schedule { chunk, start };
            evaluate_all(&grid, &Echo::default(), schedule)
        };
        let start = (done * chunk).min(grid.len());
        let whole = evaluate(0).expect("an echo");
        prop_assert_eq!(&evaluate(start).expect("an echo")[..], &whole[2 * start..]);
    }

    #[test]
    fn an_axis_is_exact_at_its_ends_and_antisymmetric(
        low in -1e6_f64..1e6, width in 1e-3_f64..1e6, points in 2_usize..200,
    ) {
        let high = low + width;
        let forward = axis(low, high, points).expect("an axis");
        prop_assert_eq!((forward[0], forward[points - 1]), (low, high));
        prop_assert!(forward.windows(2).all(|pair| pair[0] < pair[1]));
        let backward = axis(-high, -low, points).expect("an axis");
        prop_assert!(forward.iter().zip(backward.iter().rev()).all(|(a, b)| *a == -b));
        let symmetric = axis(-width, width, 2 * points - 1).expect("an axis");
        prop_assert_eq!(symmetric[points - 1], 0.0);
    }
}
