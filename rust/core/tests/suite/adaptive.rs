//! The adaptive grid: what it evaluates, what it says of its error, and how it goes on.

use std::f64::consts::LN_2;

use landscape_core::surface::{
    AdaptiveGrid, ErrorScale, Interpolant, Interpolation, Lattice, NestedValues, Outcome,
    Refinement, axis,
};
use landscape_core::{Cancel, Error, Monitor, Progress, Subspace, Unwatched};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A subspace from a function of the coordinates.
struct Function<F> {
    dim: usize,
    columns: usize,
    f: F,
}

impl<F: Fn(&[f64]) -> Vec<f64>> Subspace for Function<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        let rows: Vec<f64> = coords.chunks(self.dim).flat_map(|point| (self.f)(point)).collect();
        out.copy_from_slice(&rows);
        Ok(())
    }
}

fn refinement(tolerance: f64) -> Refinement {
    Refinement { tolerance, scale: ErrorScale::Value, quantile: 0.95, finest: 5 }
}

fn square(columns: &[Interpolation], refinement: Refinement) -> AdaptiveGrid {
    AdaptiveGrid::new(vec![(-1.0, 1.0); 2], columns.to_vec(), refinement).unwrap()
}

/// Refines one loss on the square [-1, 1]^2.
fn refine(f: impl Fn(&[f64]) -> f64, refinement: Refinement) -> AdaptiveGrid {
    let mut grid = square(&[Interpolation::LogCubic], refinement);
    let subspace = Function { dim: 2, columns: 1, f: |point: &[f64]| vec![f(point)] };
    grid.run(&subspace, 64, &mut Unwatched, &Cancel::new()).unwrap();
    grid
}

/// The relative errors on a fine grid, in increasing order.
fn true_errors(grid: &AdaptiveGrid, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let interpolant = grid.interpolant(0).unwrap();
    let fine = axis(-1.0, 1.0, 161).unwrap();
    let mut errors: Vec<f64> = fine
        .iter()
        .flat_map(|&y| fine.iter().map(move |&x| [x, y]))
        .map(|point| (interpolant.at(&point) / f(&point) - 1.0).abs())
        .collect();
    errors.sort_by(f64::total_cmp);
    errors
}

fn steep(point: &[f64]) -> f64 {
    0.05 + point[0] * point[0] + 4.0 * point[1] * point[1]
}

#[test]
fn exponentials_of_bicubics_need_nine_points_an_axis() {
    let f = |p: &[f64]| (p[0].powi(3) * p[1].powi(2) - p[0] + 0.5 * p[1].powi(3)).exp();
    let grid = refine(f, refinement(1e-6));
    assert_eq!((grid.outcome(), grid.done()), (Outcome::Converged, 81));
    assert!(*true_errors(&grid, f).last().unwrap() < 1e-12);
    assert!(grid.estimate().maximum < 1e-12);
}

#[test]
fn a_quadratic_loss_relative_to_its_range_is_exact() {
    let mut grid = square(
        &[Interpolation::Cubic],
        Refinement { scale: ErrorScale::Range, ..refinement(1e-6) },
    );
    let f = |p: &[f64]| vec![(p[0] - 0.3).powi(2) + p[0] * p[1] + 2.0 * p[1].powi(2) - 1.0];
    grid.run(&Function { dim: 2, columns: 1, f }, 10, &mut Unwatched, &Cancel::new()).unwrap();
    assert_eq!((grid.outcome(), grid.done()), (Outcome::Converged, 81));
    assert_eq!(grid.estimate().scale, ErrorScale::Range);
    let interpolant = grid.interpolant(0).unwrap();
    assert!((interpolant.at(&[0.37, -0.61]) - f(&[0.37, -0.61])[0]).abs() < 1e-13);
}

#[test]
fn the_estimate_bounds_the_error_and_the_tolerance_holds() {
    for tolerance in [0.2, 0.05, 0.01, 0.001] {
        let grid = refine(steep, refinement(tolerance));
        let (estimate, errors) = (grid.estimate(), true_errors(&grid, steep));
        let quantile95 = errors[errors.len() * 95 / 100];
        assert_eq!(grid.outcome(), Outcome::Converged);
        assert!(quantile95 <= estimate.quantile95 && estimate.quantile95 <= tolerance);
        assert!(errors[errors.len() - 1] <= estimate.maximum);
        assert!((estimate.surplus95 - 2.0 * estimate.quantile95).abs() < 1e-15);
        let map = grid.errors_at(&[0.0, 0.0, 0.9, 0.9]);
        assert!(map[0] >= map[1], "{map:?}");
    }
}

#[test]
fn a_level_ends_where_the_tolerance_is_reached() {
    let mut within_a_level = 0;
    for tolerance in [0.05, 0.02, 0.01, 0.005, 0.002] {
        let mut grid = square(&[Interpolation::LogCubic], refinement(tolerance));
        let mut parts = Vec::new();
        while grid.outcome() == Outcome::Running {
            let points = grid.proposed().unwrap();
            parts.push((grid.lattice().level(), points.len() / 2, grid.total()));
            let values: Vec<f64> = points.chunks(2).map(steep).collect();
            grid.accept(&values).unwrap();
        }
        let &(_, last, total) = parts.last().unwrap();
        assert!(last >= 24 || grid.done() == total, "{parts:?}");
        within_a_level += usize::from(grid.done() < total);
        assert!(grid.estimate().quantile95 <= tolerance);
        let errors = true_errors(&grid, steep);
        assert!(errors[errors.len() * 95 / 100] <= grid.estimate().quantile95);
    }
    assert!(within_a_level > 0);
}

#[test]
fn only_steep_places_are_refined() {
    let grid = refine(steep, refinement(0.001));
    let level = grid.lattice().level();
    let (points, values) = grid.evaluated().unwrap();
    assert!(grid.done() < Lattice::new(vec![(-1.0, 1.0); 2], level).unwrap().points().pow(2) / 2);
    let spacing = 2.0 / (grid.lattice().points() - 1) as f64;
    let is_finest = |x: f64| (x / spacing).round() % 2.0 != 0.0;
    let finest: Vec<_> = points
        .chunks(2)
        .filter(|point| is_finest(point[0] + 1.0) || is_finest(point[1] + 1.0))
        .collect();
    assert!(!finest.is_empty());
    assert!(finest.iter().all(|point| point[0].hypot(point[1]) < 1.0));
    let mut keys: Vec<_> = points.chunks(2).map(|p| (p[0].to_bits(), p[1].to_bits())).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), grid.done(), "a point was evaluated twice");
    assert!(points.chunks(2).zip(&values).all(|(point, &value)| value == steep(point)));
}

#[test]
fn replayed_values_give_the_same_grid() {
    let whole = refine(steep, refinement(0.01));
    let (points, values) = whole.evaluated().unwrap();
    for kept in [3, 25, 60, 81, 130] {
        let mut grid = square(&[Interpolation::LogCubic], refinement(0.01));
        let mut rest = &values[..kept];
        while !rest.is_empty() {
            let count = rest.len().min(grid.proposed().unwrap().len() / 2);
            grid.accept(&rest[..count]).unwrap();
            rest = &rest[count..];
        }
        let f = |point: &[f64]| vec![steep(point)];
        grid.run(&Function { dim: 2, columns: 1, f }, 7, &mut Unwatched, &Cancel::new()).unwrap();
        assert_eq!(grid.evaluated().unwrap(), (points.clone(), values.clone()));
        assert_eq!(grid.estimate(), whole.estimate());
    }
}

#[test]
fn points_alone_give_the_interpolant_again() {
    let grid = refine(steep, refinement(0.01));
    let (points, values) = grid.evaluated().unwrap();
    let nested =
        NestedValues::from_points(grid.lattice(), &points, &values, Interpolation::LogCubic);
    let interpolant = nested.unwrap().interpolant().unwrap();
    let own: Interpolant = grid.interpolant(0).unwrap();
    for point in [[0.1, 0.013], [-0.77, 0.5], [0.999, -0.3]] {
        assert_eq!(interpolant.at(&point).to_bits(), own.at(&point).to_bits());
    }
}

#[test]
fn a_stopped_level_keeps_what_was_evaluated() {
    let mut grid = square(&[Interpolation::LogCubic], refinement(0.001));
    assert!(grid.stop().is_err());
    let feed = |grid: &mut AdaptiveGrid, count: usize| {
        let points = grid.proposed().unwrap();
        let values: Vec<f64> = points.chunks(2).take(count).map(steep).collect();
        grid.accept(&values).unwrap();
    };
    feed(&mut grid, usize::MAX);
    assert!(grid.stop().is_err() && grid.estimate().quantile95.is_infinite());
    feed(&mut grid, usize::MAX);
    let before = grid.estimate();
    feed(&mut grid, 20);
    grid.stop().unwrap();
    assert_eq!((grid.outcome(), grid.done()), (Outcome::Stopped, 101));
    assert!(grid.proposed().unwrap().is_empty());
    let (points, values) = grid.evaluated().unwrap();
    let interpolant = grid.interpolant(0).unwrap();
    for (point, value) in points.chunks(2).zip(values) {
        assert!((interpolant.at(point) / value - 1.0).abs() < 1e-13);
    }
    // The cells with the largest surplus came first.
    assert!(grid.estimate().quantile95 <= before.quantile95);
    assert!(*true_errors(&grid, steep).last().unwrap() <= before.maximum);
}

#[test]
fn regions_without_a_finite_loss_do_not_poison_the_rest() {
    let f = |p: &[f64]| if p[0] + p[1] > 1.2 { f64::NAN } else { (p[0] - p[1]).exp() + 0.2 };
    let grid = refine(f, refinement(0.01));
    let interpolant = grid.interpolant(0).unwrap();
    let fine = axis(-1.0, 1.0, 97).unwrap();
    let spacing = 2.0_f64.sqrt() * 2.0 / 8.0;
    for &x in &fine {
        for &y in &fine {
            let (value, distance) = (interpolant.at(&[x, y]), (1.2 - x - y) / 2.0_f64.sqrt());
            if distance > spacing {
                assert!((value / f(&[x, y]) - 1.0).abs() < 0.01, "{x} {y} {value}");
            } else if distance < -spacing {
                assert!(value.is_nan(), "{x} {y} {value}");
            }
        }
    }
    assert!(grid.estimate().maximum.is_finite());
    let nothing = refine(|_| f64::NAN, refinement(0.01));
    assert_eq!((nothing.outcome(), nothing.done()), (Outcome::Converged, 81));
}

#[test]
fn losses_that_are_not_positive_have_errors_relative_to_the_range() {
    let grid = refine(|p| p[0] + (2.0 * p[1]).sin(), refinement(0.01));
    assert_eq!(grid.estimate().scale, ErrorScale::Range);
    let constant = refine(|_| -1.0, refinement(0.01));
    assert_eq!(constant.estimate().maximum, 0.0);
}

#[test]
fn the_error_of_several_losses_is_the_largest_and_metrics_have_none() {
    let mut grid = square(
        &[Interpolation::LogCubic, Interpolation::Linear, Interpolation::LogCubic],
        refinement(0.01),
    );
    let f = |p: &[f64]| vec![1.0, if p[0] > 0.1 { 1.0 } else { 0.0 }, steep(p)];
    grid.run(&Function { dim: 2, columns: 3, f }, 64, &mut Unwatched, &Cancel::new()).unwrap();
    let alone = refine(steep, refinement(0.01));
    assert_eq!(grid.estimate(), alone.estimate());
    assert_eq!(grid.evaluated().unwrap().0, alone.evaluated().unwrap().0);
    let errors = grid.errors_against(&[0.3, 0.4], &[1.1, 77.0, steep(&[0.3, 0.4])]).unwrap();
    assert!((errors[0] - 0.1 / 1.1).abs() < 1e-6);
    let errors = grid.errors_against(&[0.3, 0.4], &[f64::NAN, 0.0, 1.0]).unwrap();
    assert!(errors[0].is_infinite());
    assert!(grid.errors_against(&[0.3], &[1.0]).is_err());
    assert!(grid.interpolant(3).is_err());
}

#[test]
fn a_line_is_refined_until_all_of_it_is_within_the_tolerance() {
    let f = |p: &[f64]| vec![0.01 + (p[0] - 0.3).abs()];
    let mut grid = AdaptiveGrid::new(
        vec![(-1.0, 1.0)],
        vec![Interpolation::LogCubic],
        Refinement { quantile: 1.0, finest: 8, ..refinement(0.05) },
    )
    .unwrap();
    grid.run(&Function { dim: 1, columns: 1, f }, 3, &mut Unwatched, &Cancel::new()).unwrap();
    let interpolant = grid.interpolant(0).unwrap();
    let errors = (0..=2000)
        .map(|i| f64::from(i) / 1000.0 - 1.0)
        .map(|x| (interpolant.at(&[x]) / f(&[x])[0] - 1.0).abs());
    assert!(errors.fold(0.0, f64::max) < 0.1);
    assert_eq!(grid.outcome(), Outcome::Converged);
    assert!(grid.done() < 80, "{}", grid.done());
}

#[test]
fn errors_and_interruptions_leave_the_grid_where_it_was() {
    struct Failing(usize);
    impl Monitor for Failing {
        fn tick(&mut self, progress: Progress<'_>) -> Result<(), Error> {
            assert!(progress.done <= progress.total);
            self.0 -= 1;
            if self.0 == 0 { Err(Error::Cancelled) } else { Ok(()) }
        }
    }
    let f = |point: &[f64]| vec![steep(point)];
    let subspace = Function { dim: 2, columns: 1, f };
    let mut grid = square(&[Interpolation::LogCubic], refinement(0.01));
    assert!(grid.run(&subspace, 8, &mut Failing(6), &Cancel::new()).is_err());
    assert_eq!(grid.done(), 25 + 2 * 8, "a level ends a chunk");
    let cancel = Cancel::new();
    cancel.request();
    assert!(grid.run(&subspace, 8, &mut Unwatched, &cancel).is_err());
    grid.run(&subspace, 8, &mut Unwatched, &Cancel::new()).unwrap();
    assert_eq!(grid.evaluated().unwrap(), refine(steep, refinement(0.01)).evaluated().unwrap());
    assert!(grid.run(&Function { dim: 1, columns: 1, f }, 8, &mut Unwatched, &cancel).is_err());
    assert!(grid.accept(&[1.0]).is_err());
}

#[test]
fn options_out_of_range_are_refused() {
    for refinement in [
        refinement(0.0),
        refinement(f64::NAN),
        Refinement { quantile: 1.5, ..refinement(0.1) },
        Refinement { finest: 0, ..refinement(0.1) },
        Refinement { finest: 99, ..refinement(0.1) },
    ] {
        let columns = vec![Interpolation::LogCubic];
        assert!(AdaptiveGrid::new(vec![(-1.0, 1.0)], columns, refinement).is_err());
    }
    let linear = vec![Interpolation::Linear];
    assert!(AdaptiveGrid::new(vec![(-1.0, 1.0)], linear, refinement(0.1)).is_err());
}

/// The distance of the evaluated points around a place: the finest cell whose corners all were.
fn spacing_at(grid: &AdaptiveGrid, points: &[f64], place: [f64; 2]) -> f64 {
    let has = |x: f64, y: f64| {
        points.chunks(2).any(|p| (p[0] - x).abs() < 1e-12 && (p[1] - y).abs() < 1e-12)
    };
    (0..=grid.lattice().level())
        .map(|level| 0.5 / f64::from(1_u32 << level))
        .filter(|spacing| {
            let low = place.map(|x| ((x + 1.0) / spacing).floor().min(2.0 / spacing - 1.0));
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
                .iter()
                .all(|(i, j)| has((low[0] + i) * spacing - 1.0, (low[1] + j) * spacing - 1.0))
        })
        .fold(0.5, f64::min)
}

/// The largest such distance within the half height of a spike.
fn local_spacing(grid: &AdaptiveGrid, place: [f64; 2], width: f64) -> f64 {
    let (points, _) = grid.evaluated().unwrap();
    let steps = [-0.5, -0.25, 0.0, 0.25, 0.5].map(|share| share * width);
    let around = steps.iter().flat_map(|i| steps.iter().map(move |j| (i, j)));
    around
        .map(|(i, j)| [(place[0] + i).clamp(-1.0, 1.0), (place[1] + j).clamp(-1.0, 1.0)])
        .map(|point| spacing_at(grid, &points, point))
        .fold(0.0, f64::max)
}

proptest! {
    // The same cases in every run: the maximum is an estimate.
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(22), ..Default::default() })]

    /// A spike that the evaluated points can see is drawn, or the maximum says that it may be missing.
    #[test]
    fn spikes_are_resolved_or_covered_by_the_maximum(
        (x, y) in (-1.0..1.0, -1.0..1.0),
        width in 0.02..0.8,
        height in 0.1..10.0,
        tolerance in 0.01..0.2,
    ) {
        let f = move |p: &[f64]| {
            let square = f64::powi(p[0] - x, 2) + f64::powi(p[1] - y, 2);
            1.0 + 0.3 * p[0] + height * f64::exp(-4.0 * LN_2 * square / (width * width))
        };
        let grid = refine(f, refinement(tolerance));
        let spacing = local_spacing(&grid, [x, y], width);
        if width >= 2.0 * spacing {
            let interpolant = grid.interpolant(0).unwrap();
            let step = width / 8.0;
            let mut largest = 0.0_f64;
            for i in -8..=8 {
                for j in -8..=8 {
                    let point: [f64; 2] = [x + step * f64::from(i), y + step * f64::from(j)];
                    if point.iter().all(|x| x.abs() <= 1.0) {
                        largest = largest.max((interpolant.at(&point) / f(&point) - 1.0).abs());
                    }
                }
            }
            let maximum = grid.estimate().maximum;
            prop_assert!(
                largest <= maximum.max(2.0 * tolerance),
                "error {largest}, maximum {maximum}, width {width}, spacing {spacing}"
            );
        }
    }
}
