//! Topology of grids: known surfaces, naive twins, and invariance.

use landscape_core::analytic::{ClosedForm, MuellerBrown};
use landscape_core::surface::{Topology, axis, component_areas};
use proptest::prelude::*;

const NONE: f64 = f64::INFINITY;

fn sample(function: impl Fn(f64, f64) -> f64, x: [f64; 2], y: [f64; 2], points: usize) -> Vec<f64> {
    let columns = axis(x[0], x[1], points).expect("valid");
    let rows = axis(y[0], y[1], points).expect("valid");
    rows.iter()
        .flat_map(|&y| columns.iter().map(move |&x| (x, y)))
        .map(|(x, y)| function(x, y))
        .collect()
}

fn square(values: &[f64], points: usize, persistence: f64) -> Topology {
    Topology::new(values, [points, points], persistence).expect("valid")
}

fn pairs(topology: &Topology) -> Vec<[f64; 2]> {
    topology.minima.iter().map(|minimum| [minimum.birth, minimum.death]).collect()
}

fn loops(topology: &Topology) -> Vec<[f64; 2]> {
    topology.maxima.iter().map(|maximum| [maximum.birth, maximum.death]).collect()
}

#[track_caller]
fn assert_near(found: &[[f64; 2]], expected: &[[f64; 2]], error: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} is not {expected:?}");
    for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!(a == b || (a - b).abs() <= error, "{found:?} is not {expected:?}");
    }
}

/// Minima and saddles of Müller and Brown (1979), table 2.
#[test]
fn mueller_browns_minima_die_at_its_saddles() {
    let points = 401;
    let values = sample(|x, y| MuellerBrown.value(&[x, y]), [-1.5, 1.2], [-0.2, 2.0], points);
    let topology = square(&values, points, 1.0);
    let expected = [[-146.700, NONE], [-108.167, -40.665], [-80.768, -72.249]];
    assert_near(&pairs(&topology), &expected, 0.02);
    assert!(topology.maxima.is_empty());
    // The saddle of −40.665 separates both shallow minima from the deepest one.
    let parents: Vec<_> = topology.minima.iter().map(|minimum| minimum.parent).collect();
    assert!(parents[1] == Some(0) && parents[2].is_some());
}

/// Himmelblau (1972): four minima of 0, three passes between them, and one maximum.
#[test]
fn himmelblaus_passes_and_maximum_are_found() {
    let points = 601;
    let function = |x: f64, y: f64| (x * x + y - 11.0).powi(2) + (x + y * y - 7.0).powi(2);
    let values = sample(function, [-6.0, 6.0], [-6.0, 6.0], points);
    let topology = square(&values, points, 0.1);
    let mut deaths: Vec<_> = topology.minima.iter().map(|minimum| minimum.death).collect();
    deaths.sort_by(f64::total_cmp);
    assert!(topology.minima.iter().all(|minimum| minimum.birth < 0.02));
    assert_near(&[[deaths[0], deaths[1]]], &[[13.312, 67.719]], 0.02);
    assert_near(&[[deaths[2], deaths[3]]], &[[104.015, NONE]], 0.02);
    assert_near(&loops(&topology), &[[178.337, 181.617]], 0.02);
}

#[test]
fn a_ridge_that_closes_is_a_loop_and_a_hole_in_the_data_is_none() {
    // A moat of 0 around a top of 5, on a plain of 3 with a rim of 4.
    let mut values = vec![4.0; 49];
    for row in 1..6 {
        for column in 1..6 {
            values[row * 7 + column] = 0.0;
        }
    }
    values[24] = 5.0;
    let topology = square(&values, 7, 0.0);
    assert_eq!(pairs(&topology), [[0.0, NONE]]);
    assert_eq!(loops(&topology), [[0.0, 5.0]]);
    assert_eq!(topology.maxima[0].vertex, 24);
    values[24] = f64::INFINITY;
    assert_eq!(loops(&square(&values, 7, 0.0)), [[0.0, NONE]]);
    values[24] = f64::NAN;
    let topology = square(&values, 7, 0.0);
    assert!(topology.maxima.is_empty() && topology.basins[24].is_none());
}

#[test]
fn walls_of_infinity_and_nan_separate_minima() {
    for wall in [f64::INFINITY, f64::NAN] {
        let topology = Topology::new(&[1.0, wall, 2.0], [1, 3], 0.0).expect("valid");
        assert_eq!(pairs(&topology), [[1.0, NONE], [2.0, NONE]]);
        assert_eq!(topology.barriers(), [1.0, NONE, NONE, 2.0]);
    }
    let nothing = Topology::new(&[f64::NAN; 4], [2, 2], 0.0).expect("valid");
    assert!(nothing.minima.is_empty() && nothing.maxima.is_empty());
    let endless = Topology::new(&[f64::INFINITY; 4], [2, 2], 0.0).expect("valid");
    assert!(endless.minima.is_empty() && endless.basins.iter().all(Option::is_none));
}

#[test]
fn wrong_shapes_and_persistences_are_refused() {
    assert!(Topology::new(&[0.0; 5], [2, 3], 0.0).is_err());
    assert!(Topology::new(&[], [0, 3], 0.0).is_err());
    assert!(Topology::new(&[0.0; 6], [2, 3], -1.0).is_err());
    assert!(Topology::new(&[0.0; 6], [2, 3], f64::NAN).is_err());
    assert!(component_areas(&[0.0; 6], [2, 3], &[1.0; 5], &[0], 0.0).is_err());
    assert!(component_areas(&[0.0; 6], [2, 3], &[1.0; 6], &[6], 0.0).is_err());
}

/// The lowest highest value of all paths between each two vertices, by Floyd and Warshall.
fn minimax_paths(values: &[f64], columns: usize) -> Vec<f64> {
    let count = values.len();
    let mut height = vec![NONE; count * count];
    for i in 0..count {
        for j in 0..count {
            let (down, right) =
                ((i / columns).abs_diff(j / columns), (i % columns).abs_diff(j % columns));
            if down + right <= 1 {
                height[i * count + j] = values[i].max(values[j]);
            }
        }
    }
    for k in 0..count {
        for i in 0..count {
            for j in 0..count {
                let through = height[i * count + k].max(height[k * count + j]);
                height[i * count + j] = height[i * count + j].min(through);
            }
        }
    }
    height
}

/// Components and loops of a sublevel set: the components by flooding, the loops by Euler's formula.
fn betti_numbers(values: &[f64], columns: usize, level: f64) -> [usize; 2] {
    let inside = |vertex: usize| values[vertex] <= level;
    let (rows, mut seen) = (values.len() / columns, vec![false; values.len()]);
    let mut components = 0;
    for start in (0..values.len()).filter(|&vertex| inside(vertex)) {
        if seen[start] {
            continue;
        }
        components += 1;
        let mut open = vec![start];
        seen[start] = true;
        while let Some(vertex) = open.pop() {
            let (y, x) = (vertex / columns, vertex % columns);
            let near = [(y + 1, x), (y.wrapping_sub(1), x), (y, x + 1), (y, x.wrapping_sub(1))];
            for (y, x) in near {
                if y < rows && x < columns && inside(y * columns + x) && !seen[y * columns + x] {
                    seen[y * columns + x] = true;
                    open.push(y * columns + x);
                }
            }
        }
    }
    let count = |height: usize, width: usize| {
        (0..=rows - height)
            .flat_map(|y| (0..=columns - width).map(move |x| (y, x)))
            .filter(|&(y, x)| {
                (y..y + height).all(|y| (x..x + width).all(|x| inside(y * columns + x)))
            })
            .count()
    };
    let loops = components + count(1, 2) + count(2, 1) - count(1, 1) - count(2, 2);
    [components, loops]
}

fn alive(pairs: &[[f64; 2]], level: f64) -> usize {
    pairs.iter().filter(|[birth, death]| *birth <= level && level < *death).count()
}

/// Grids with ties: most values are small whole numbers.
fn grids() -> impl Strategy<Value = (Vec<f64>, usize)> {
    (2_usize..7, 2_usize..7).prop_flat_map(|(rows, columns)| {
        let value = prop_oneof![
            4 => (0..9_i32).prop_map(f64::from),
            3 => -1.0..9.0_f64,
            1 => Just(f64::INFINITY),
        ];
        (prop::collection::vec(value, rows * columns), Just(columns))
    })
}

proptest! {
    #[test]
    fn barriers_are_those_of_minimax_paths((values, columns) in grids()) {
        let shape = [values.len() / columns, columns];
        let topology = Topology::new(&values, shape, 0.0).expect("valid");
        let (found, expected) = (topology.barriers(), minimax_paths(&values, columns));
        for (i, a) in topology.minima.iter().enumerate() {
            for (j, b) in topology.minima.iter().enumerate() {
                let height = expected[a.vertex * values.len() + b.vertex];
                prop_assert_eq!(found[i * topology.minima.len() + j], height);
            }
        }
    }

    #[test]
    fn pairs_count_components_and_loops((values, columns) in grids()) {
        let shape = [values.len() / columns, columns];
        let topology = Topology::new(&values, shape, 0.0).expect("valid");
        for &level in values.iter().filter(|value| value.is_finite()) {
            let [components, loops] = betti_numbers(&values, columns, level);
            prop_assert_eq!(alive(&pairs(&topology), level), components);
            prop_assert_eq!(alive(&self::loops(&topology), level), loops);
        }
    }

    #[test]
    fn increasing_maps_change_nothing_but_values((values, columns) in grids()) {
        let shape = [values.len() / columns, columns];
        let map = |value: f64| (0.3 * value).exp() - 7.0;
        let topology = Topology::new(&values, shape, 0.0).expect("valid");
        let mapped: Vec<_> = values.iter().map(|&value| map(value)).collect();
        let other = Topology::new(&mapped, shape, 0.0).expect("valid");
        prop_assert_eq!(&topology.basins, &other.basins);
        let minima = topology.minima.iter().map(|m| (m.vertex, m.saddle, m.parent));
        prop_assert!(minima.eq(other.minima.iter().map(|m| (m.vertex, m.saddle, m.parent))));
        let maxima = topology.maxima.iter().map(|m| (m.vertex, m.saddle));
        prop_assert!(maxima.eq(other.maxima.iter().map(|m| (m.vertex, m.saddle))));
    }

    #[test]
    fn transposed_grids_have_the_same_pairs((values, columns) in grids()) {
        let rows = values.len() / columns;
        let transposed: Vec<_> =
            (0..values.len()).map(|k| values[k % rows * columns + k / rows]).collect();
        let sorted = |mut pairs: Vec<[f64; 2]>| {
            pairs.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            pairs
        };
        let one = Topology::new(&values, [rows, columns], 0.0).expect("valid");
        let other = Topology::new(&transposed, [columns, rows], 0.0).expect("valid");
        prop_assert_eq!(sorted(pairs(&one)), sorted(pairs(&other)));
        prop_assert_eq!(sorted(loops(&one)), sorted(loops(&other)));
    }

    /// Simplified trees are the whole one without its short branches.
    #[test]
    fn persistence_prunes_branches_and_keeps_barriers(
        (values, columns) in grids(), threshold in 0.5..6.0_f64
    ) {
        let shape = [values.len() / columns, columns];
        let whole = Topology::new(&values, shape, 0.0).expect("valid");
        let pruned = Topology::new(&values, shape, threshold).expect("valid");
        let kept: Vec<_> = (0..whole.minima.len())
            .filter(|&i| whole.minima[i].death - whole.minima[i].birth > threshold)
            .collect();
        prop_assert_eq!(kept.len(), pruned.minima.len());
        let (all, few) = (whole.barriers(), pruned.barriers());
        for (a, &i) in kept.iter().enumerate() {
            prop_assert_eq!(whole.minima[i].vertex, pruned.minima[a].vertex);
            for (b, &j) in kept.iter().enumerate() {
                prop_assert_eq!(few[a * kept.len() + b], all[i * whole.minima.len() + j]);
            }
        }
    }

    /// A basin's area is that of the flood that fills it, whatever the persistence of its minima.
    #[test]
    fn basin_areas_are_those_of_floods((values, columns) in grids(), level in 0.0..9.0_f64) {
        let shape = [values.len() / columns, columns];
        let topology = Topology::new(&values, shape, 1.5).expect("valid");
        let heights = minimax_paths(&values, columns);
        let areas: Vec<_> = (0..values.len()).map(|i| 1.0 + i as f64).collect();
        let vertices: Vec<_> = topology.minima.iter().map(|minimum| minimum.vertex).collect();
        let found = component_areas(&values, shape, &areas, &vertices, level).expect("one each");
        for (minimum, area) in topology.minima.iter().zip(found) {
            let flooded = |vertex: &usize| heights[minimum.vertex * values.len() + vertex] <= level;
            let flood = |vertex: usize| minimum.birth <= level && flooded(&vertex);
            let expected: f64 = (0..values.len()).filter(|&v| flood(v)).map(|v| areas[v]).sum();
            prop_assert_eq!(area, expected);
        }
    }
}
