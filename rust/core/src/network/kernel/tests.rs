//! Products, their epilogues and linear combinations against naive loops.

use super::{
    Contraction, Epilogue, EpilogueSteps, FinalActivation, GatherTable, Packing, Pool2x2, Real,
    Rectify, Weights, add_row_sums, linear_combination, tanh,
};
use crate::isa::Isa;

/// Whole numbers, whose sums are exact in any order.
pub(super) fn numbers<T: Real>(count: usize, seed: usize) -> Vec<T> {
    (0..count).map(|i| T::narrow(((i * 7 + seed * 3) % 11) as f64 - 5.0)).collect()
}

/// The gather table of a 3 × 3 convolution of height × width positions.
pub(super) fn convolution(
    height: usize,
    width: usize,
    stride: usize,
    padding: usize,
) -> GatherTable {
    let out = |size: usize| (size + 2 * padding - 3) / stride + 1;
    let mut sources = Vec::new();
    for (i, j) in (0..out(height)).flat_map(|i| (0..out(width)).map(move |j| (i, j))) {
        for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
            let row = (i * stride + a).checked_sub(padding).filter(|&row| row < height);
            let column = (j * stride + b).checked_sub(padding).filter(|&column| column < width);
            sources.push(row.zip(column).map(|(row, column)| row * width + column));
        }
    }
    GatherTable::new(out(height) * out(width), sources, height * width).unwrap()
}

pub(super) fn tables() -> Vec<GatherTable> {
    let mut tables = vec![GatherTable::identity()];
    tables.push(GatherTable::new(3, vec![Some(2), Some(0), None], 4).unwrap());
    tables.push(GatherTable::new(2, vec![None, None, None, None], 1).unwrap());
    tables.push(convolution(4, 3, 1, 1));
    tables.push(convolution(5, 5, 2, 1));
    tables.push(convolution(5, 5, 2, 1).transpose());
    tables
}

/// Σ_{tap, c} w[row][tap][c] x[c][source(p, tap)] as `[row][p][lane]`.
pub(super) fn naive<T: Real>(
    packing: &Packing,
    weights: &[T],
    table: &GatherTable,
    x: &[T],
) -> Vec<T> {
    let mut y = Vec::new();
    for row in 0..packing.rows() {
        for (p, lane) in (0..table.positions()).flat_map(|p| (0..T::LANES).map(move |l| (p, l))) {
            let mut sum = T::ZERO;
            for (tap, c) in
                (0..table.taps()).flat_map(|t| (0..packing.inner()).map(move |c| (t, c)))
            {
                if let Some(source) = table.source(p, tap) {
                    let x = x[(c * table.source_positions() + source) * T::LANES + lane];
                    sum += weights[packing.index(row, tap, c)] * x;
                }
            }
            y.push(sum);
        }
    }
    y
}

/// The same for panels one after another.
fn naive_panels<T: Real>(contraction: &Contraction, weights: &[T], x: &[T]) -> Vec<T> {
    let size = contraction.input_size::<T>().max(1);
    let panels = x.chunks(size);
    panels
        .flat_map(|x| naive(contraction.packing(), weights, contraction.gather_table(), x))
        .collect()
}

fn unprepared<T>(packed: &[T]) -> Weights<'_, T> {
    Weights { packed, prepared: &[] }
}

fn products_agree<T: Real>() {
    for isa in Isa::available() {
        for table in tables() {
            for (rows, inner) in (0..=25).flat_map(|rows| [0, 1, 2, 7].map(|inner| (rows, inner))) {
                let contraction = Contraction::new(rows, inner, table.clone());
                let panels = if inner == 0 { 0 } else { 1 + rows % 6 };
                let weights = numbers::<T>(contraction.packing().len(), 1);
                let x = numbers::<T>(panels * contraction.input_size::<T>(), 2);
                let sums = naive_panels(&contraction, &weights, &x);
                check_epilogues(isa, &contraction, &weights, (panels, &x), &sums);
            }
        }
    }
}

fn deep_products_agree<T: Real>() {
    for isa in Isa::available() {
        // More channels than are taken at a time, in even shares and in others.
        for (rows, inner, panels) in [(7, 129, 6), (13, 256, 3), (3, 300, 17)] {
            let contraction = Contraction::new(rows, inner, GatherTable::identity());
            let weights = numbers::<T>(contraction.packing().len(), 1);
            let x = numbers::<T>(panels * contraction.input_size::<T>(), 2);
            let sums = naive_panels(&contraction, &weights, &x);
            check_epilogues(isa, &contraction, &weights, (panels, &x), &sums);
        }
    }
}

fn check_epilogues<T: Real>(
    isa: Isa,
    contraction: &Contraction,
    weights: &[T],
    (panels, x): (usize, &[T]),
    sums: &[T],
) {
    let run = |epilogue: Epilogue<'_, T>| {
        let mut y = numbers::<T>(sums.len(), 5);
        contraction.run(isa, unprepared(weights), panels, x, &epilogue, &mut y);
        y
    };
    let before = numbers::<T>(sums.len(), 5);
    let added: Vec<T> = before.iter().zip(sums).map(|(&y, &sum)| y + sum).collect();
    assert_eq!(run(Epilogue::Accumulate), added, "{isa:?} {contraction:?}");

    let rows = contraction.packing().rows();
    let scale = numbers::<T>(rows, 3);
    let shift = numbers::<T>(rows, 4);
    let residual = numbers::<T>(sums.len(), 6);
    for choice in 0..16 {
        let scale = (choice & 1 > 0).then_some(&scale[..]);
        let shift = (choice & 2 > 0).then_some(&shift[..]);
        let residual = (choice & 4 > 0).then_some(&residual[..]);
        let relu = if choice & 8 > 0 { Rectify::Relu } else { Rectify::None };
        let with_epilogue = |(place, &sum): (usize, &T)| {
            let row = place / (contraction.gather_table().positions() * T::LANES) % rows;
            let mut y = sum * scale.map_or(T::ONE, |scale| scale[row]);
            y += shift.map_or(T::ZERO, |shift| shift[row]);
            y += residual.map_or(T::ZERO, |residual| residual[place]);
            if relu == Rectify::Relu && y < T::ZERO { T::ZERO } else { y }
        };
        let expected: Vec<T> = sums.iter().enumerate().map(with_epilogue).collect();
        let store = EpilogueSteps { scale, shift, residual, relu, pool: None };
        assert_eq!(run(Epilogue::Overwrite(store)), expected, "{isa:?} {contraction:?} {store:?}");
    }
}

/// The maxima of pooling windows, with residuals and shifts.
pub(super) fn pooled<T: Real>(values: &[T], height: usize, width: usize) -> Vec<T> {
    let mut kept = Vec::new();
    for image in values.chunks(height * width * T::LANES) {
        for (y, x) in (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (y, x))) {
            for lane in 0..T::LANES {
                let at =
                    |a: usize, b: usize| image[((2 * y + a) * width + 2 * x + b) * T::LANES + lane];
                kept.push(at(0, 0).maximum(at(0, 1)).maximum(at(1, 0)).maximum(at(1, 1)));
            }
        }
    }
    kept
}

fn pooling_agrees<T: Real>() {
    for isa in Isa::available() {
        let sizes = [(2, 2), (3, 5), (4, 4), (6, 7), (8, 8)];
        for (height, width) in sizes {
            for (rows, inner) in [(1, 1), (5, 1), (16, 2), (7, 9), (16, 16)] {
                let contraction = Contraction::new(rows, inner, convolution(height, width, 1, 1));
                let weights = numbers::<T>(contraction.packing().len(), 1);
                let mut x = numbers::<T>(3 * contraction.input_size::<T>(), 2);
                let nan = T::narrow(f64::NAN);
                x[T::LANES * 2 + 1] = nan;
                let (scale, shift) = (numbers::<T>(rows, 3), numbers::<T>(rows, 4));
                let sums = naive_panels(&contraction, &weights, &x);
                let residual = numbers::<T>(sums.len(), 6);
                let store = EpilogueSteps {
                    scale: Some(&scale),
                    shift: Some(&shift),
                    residual: Some(&residual),
                    relu: Rectify::Relu,
                    pool: None,
                };
                let run = |pool: Option<Pool2x2>, count: usize| {
                    let mut y = vec![T::ZERO; count];
                    let epilogue = Epilogue::Overwrite(EpilogueSteps { pool, ..store });
                    contraction.run(isa, unprepared(&weights), 3, &x, &epilogue, &mut y);
                    y
                };
                let expected = pooled(&run(None, sums.len()), height, width);
                let found = run(Some(Pool2x2::new(height, width)), expected.len());
                for (&found, &expected) in found.iter().zip(&expected) {
                    let same = found == expected || (found.is_nan() && expected.is_nan());
                    assert!(
                        same,
                        "{isa:?} {rows}x{inner} {height}x{width}: {found:?} {expected:?}"
                    );
                }
                assert!(found.iter().any(|value| value.is_nan()), "NaN is the largest");
            }
        }
    }
}

#[test]
fn pooled_products_are_maxima_of_windows() {
    pooling_agrees::<f32>();
    pooling_agrees::<f64>();
}

#[test]
fn products_agree_with_naive_sums_for_all_tiles_and_epilogues() {
    products_agree::<f32>();
    products_agree::<f64>();
}

#[test]
fn the_epilogue_of_a_long_product_runs_once() {
    deep_products_agree::<f32>();
    deep_products_agree::<f64>();
}

fn rectifies<T: Real>() {
    let nan = T::narrow(f64::NAN);
    let infinity = T::narrow(f64::INFINITY);
    for (isa, rows) in Isa::available().into_iter().flat_map(|isa| [(isa, 4), (isa, 13)]) {
        let contraction = Contraction::new(rows, 1, GatherTable::identity());
        let weights = vec![T::ONE; rows];
        let mut x = vec![T::ONE; T::LANES];
        (x[0], x[3], x[T::LANES - 1]) = (nan, infinity, -infinity);
        let mut y = vec![T::ZERO; rows * T::LANES];
        let store =
            Epilogue::Overwrite(EpilogueSteps { relu: Rectify::Relu, ..EpilogueSteps::default() });
        contraction.run(isa, unprepared(&weights), 1, &x, &store, &mut y);
        for row in y.chunks(T::LANES) {
            assert!(row[0].is_nan() && row[3] == infinity && row[T::LANES - 1] == T::ZERO);
            assert!(row[1] == T::ONE);
        }
    }
}

#[test]
fn relu_keeps_nan_and_infinity() {
    rectifies::<f32>();
    rectifies::<f64>();
}

fn combinations_agree<T: Real>() {
    let coords: Vec<T> = numbers(4, 6);
    for isa in Isa::available() {
        let sizes = [(1, 1), (3, 1), (4, 1), (9, 1), (2, 2), (1, 4), (3, 6)];
        for ((rows, columns), count) in sizes.into_iter().flat_map(|s| (0..=4).map(move |n| (s, n)))
        {
            let size = rows * columns * T::LANES;
            let vectors = numbers::<T>((count + 1) * size, 4);
            let shift = numbers::<T>(rows, 7);
            let mut y = vec![T::ZERO; size];
            let store = EpilogueSteps {
                shift: Some(&shift),
                relu: Rectify::Relu,
                ..EpilogueSteps::default()
            };
            let epilogue = Epilogue::Overwrite(store);
            let mut run = |last| {
                let row = columns * T::LANES;
                linear_combination(isa, &vectors, &coords[..count], &epilogue, last, row, &mut y);
                y.clone()
            };
            let bent = run(FinalActivation::Tanh);
            let mut y = run(FinalActivation::Identity);
            for (place, &found) in y.iter().enumerate() {
                let mut sum = vectors[place] + shift[place / (columns * T::LANES)];
                for (which, &coord) in coords[..count].iter().enumerate() {
                    sum += coord * vectors[(which + 1) * size + place];
                }
                assert_eq!(found, sum.maximum(T::ZERO), "{isa:?} {rows}x{columns} {count}");
            }
            tanh(isa, &mut y);
            assert_eq!(bent, y, "{isa:?} {rows}x{columns} {count}");
        }
        let vectors = numbers::<T>(3 * 2 * 15 * T::LANES, 4);
        let run = |pool: Option<Pool2x2>, count: usize| {
            let mut y = vec![T::ZERO; count];
            let epilogue = Epilogue::Overwrite(EpilogueSteps { pool, ..EpilogueSteps::default() });
            linear_combination(
                isa,
                &vectors,
                &coords[..2],
                &epilogue,
                FinalActivation::Identity,
                15 * T::LANES,
                &mut y,
            );
            y
        };
        let expected = pooled(&run(None, 2 * 15 * T::LANES), 3, 5);
        assert_eq!(run(Some(Pool2x2::new(3, 5)), expected.len()), expected, "{isa:?}");
    }
}

#[test]
fn linear_combinations_agree_with_naive_sums() {
    combinations_agree::<f32>();
    combinations_agree::<f64>();
}

fn totals_agree<T: Real>() {
    for isa in Isa::available() {
        for (rows, positions, panels) in
            (0..=19).flat_map(|r| [(1, 1), (1, 3), (4, 2)].map(|(p, n)| (r, p, n)))
        {
            let row = positions * T::LANES;
            let values = numbers::<T>(panels * rows * row, 2);
            let mut out = numbers::<T>(rows, 3);
            let mut expected = out.clone();
            for (place, &value) in values.iter().enumerate() {
                expected[place / row % rows] += value;
            }
            add_row_sums(isa, &values, positions, &mut out);
            assert_eq!(out, expected, "{isa:?} {rows} {positions} {panels}");
        }
    }
}

#[test]
fn row_sums_are_sums_over_panels_positions_and_lanes() {
    totals_agree::<f32>();
    totals_agree::<f64>();
}
