//! Winograd against direct summation, and inputs that are too large for it.

use super::Winograd;
use super::choice::{Choice, Size};
use crate::isa::Isa;
use crate::network::kernel::tests::{convolution, naive, numbers, pooled};
use crate::network::kernel::{
    Contraction, Epilogue, EpilogueSteps, GatherTable, Number, Packing, Pool2x2, Real, Rectify,
    Weights,
};

/// How far small whole numbers may be from their sums.
fn tolerance<T: Real>(size: Size) -> f64 {
    match size {
        Size::Two => 0.0, // all that it does with them is exact
        Size::Four if size_of::<T>() == 4 => 2e-3,
        Size::Four => 1e-11,
    }
}

/// Several panels, with filters prepared and not.
fn agrees<T: Real>(isa: Isa, table: &GatherTable, (rows, inner): (usize, usize), size: Size) {
    const PANELS: usize = 3;
    let packing = Packing::new(rows, 9, inner);
    let weights = numbers::<T>(packing.len(), 1);
    let image = table.image().expect("an image");
    let choice = Choice { image, size };
    let mut prepared = vec![T::ZERO; choice.prepared_len(&packing)];
    choice.prepare(isa, &packing, &weights, &mut prepared);
    let x = numbers::<T>(PANELS * inner * table.positions() * T::LANES, 2);
    let shift = numbers::<T>(rows, 3);
    let panel = inner * table.positions() * T::LANES;
    let expected: Vec<T> =
        x.chunks(panel).flat_map(|x| naive(&packing, &weights, table, x)).collect();
    let residual = numbers::<T>(expected.len(), 4);
    let run = |epilogue: Epilogue<'_, T>, prepared: &[T], mut y: Vec<T>| {
        let weights = Weights { packed: &weights, prepared };
        let mut left = Vec::new();
        let images = Winograd {
            packing: &packing,
            weights,
            choice,
            panels: PANELS,
            x: &x,
            epilogue: &epilogue,
        };
        images.run(isa, &mut y, &mut left);
        assert!(left.is_empty());
        y
    };
    let near = |found: &[T], expected: &[T]| {
        assert_eq!(found.len(), expected.len());
        for (&found, &expected) in found.iter().zip(expected) {
            let error = (found - expected).widen().abs();
            assert!(error <= tolerance::<T>(size), "{isa:?} {choice:?} {rows}x{inner} {error}");
        }
    };
    let added: Vec<T> = residual.iter().zip(&expected).map(|(&y, &sum)| y + sum).collect();
    near(&run(Epilogue::Accumulate, &[], residual.clone()), &added);
    let row = table.positions() * T::LANES;
    let with_epilogue = |(place, &sum): (usize, &T)| {
        (sum + shift[place / row % rows] + residual[place]).maximum(T::ZERO)
    };
    let expected: Vec<T> = expected.iter().enumerate().map(with_epilogue).collect();
    let store = EpilogueSteps {
        shift: Some(&shift),
        residual: Some(&residual),
        relu: Rectify::Relu,
        ..EpilogueSteps::default()
    };
    let whole = run(Epilogue::Overwrite(store), &prepared, vec![T::ZERO; expected.len()]);
    near(&whole, &expected);
    let squares = pooled(&whole, image.height, image.width);
    let pool = Some(Pool2x2::new(image.height, image.width));
    let y = vec![T::ZERO; squares.len()];
    assert_eq!(run(Epilogue::Overwrite(EpilogueSteps { pool, ..store }), &prepared, y), squares);
}

fn images_agree<T: Real>() {
    for (isa, size) in
        Isa::available().into_iter().flat_map(|isa| [(isa, Size::Two), (isa, Size::Four)])
    {
        for (height, width) in [(1, 1), (1, 4), (2, 2), (3, 5), (6, 4), (9, 9)] {
            let taps = convolution(height, width, 1, 1);
            for shape in [(1, 1), (2, 3), (7, 2), (13, 9), (16, 5)] {
                agrees::<T>(isa, &taps, shape, size);
                agrees::<T>(isa, &taps.transpose(), shape, size);
            }
        }
    }
}

#[test]
fn convolutions_agree_with_naive_sums() {
    images_agree::<f32>();
    images_agree::<f64>();
}

#[test]
fn other_tables_are_not_recognised_as_images() {
    for table in [convolution(5, 5, 2, 1), convolution(5, 5, 1, 0), GatherTable::identity()] {
        assert_eq!(table.image(), None);
    }
    assert!(convolution(3, 3, 1, 1).image().is_some());
}

#[test]
fn winograd_is_chosen_where_it_is_cheaper() {
    let choice = |rows: usize, inner: usize, size: usize| {
        let taps = convolution(size, size, 1, 1);
        let image = taps.image().expect("an image");
        Choice::new(&Packing::new(rows, 9, inner), &taps, image).map(|choice| choice.size)
    };
    assert_eq!(choice(16, 16, 32), Some(Size::Four));
    assert_eq!(choice(64, 64, 8), Some(Size::Four));
    assert_eq!(choice(64, 64, 10), Some(Size::Four));
    assert_eq!(choice(32, 32, 6), Some(Size::Two), "more than half of the tiles would be empty");
    assert_eq!(choice(16, 1, 32), None, "a single channel");
    assert_eq!(choice(64, 64, 1), None, "a single position");
}

/// Errors grow with what the transforms amplify: not beyond a few roundings of a sum's size.
#[test]
fn errors_are_a_few_roundings() {
    let (height, rows, inner) = (12, 16, 32);
    let taps = convolution(height, height, 1, 1);
    let contraction = Contraction::new(rows, inner, taps.clone());
    let random = |count: usize, seed: u64| -> Vec<f32> {
        // the high bits of a linear congruential generator (Knuth's)
        let next = |state: &u64| Some(state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
        let states = std::iter::successors(Some(seed), next).skip(9).take(count);
        states.map(|state| (state >> 40) as f32 / (1 << 24) as f32 - 0.5).collect()
    };
    let weights = random(contraction.packing().len(), 1);
    let x = random(contraction.input_size::<f32>(), 2);
    let wide = |of: &[f32]| -> Vec<f64> { of.iter().map(|&x| x.into()).collect() };
    let lanes = |of: &[f32]| -> Vec<f64> {
        // The first lanes alone, which are as many as an f64 panel has.
        of.chunks(f32::LANES).flat_map(|of| wide(&of[..f64::LANES])).collect()
    };
    let expected = naive(contraction.packing(), &wide(&weights), &taps, &lanes(&x));
    let scale = (expected.iter().map(|y| y * y).sum::<f64>() / expected.len() as f64).sqrt();
    for isa in Isa::available() {
        let mut y = vec![0.0_f32; contraction.output_size::<f32>()];
        let unprepared = Weights { packed: &weights, prepared: &[] };
        contraction.run(isa, unprepared, 1, &x, &Epilogue::plain(), &mut y);
        let error = lanes(&y).iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let error = (error / expected.len() as f64).sqrt() / scale;
        assert!(error < 1e-6, "{isa:?} {error}");
    }
}

/// Positions far from what is not finite are as they would be without it, and all are what the sums
/// say.
#[test]
fn non_finite_values_do_not_spread() {
    let contraction = Contraction::new(32, 32, convolution(16, 16, 1, 1));
    assert!(contraction.prepared_len() > 0);
    let weights = numbers::<f64>(contraction.packing().len(), 1);
    let alike = |y: &[f64], expected: &[f64], case: &str| {
        for (&found, &sum) in y.iter().zip(expected) {
            let near = (found - sum).abs() <= 1e-9 * sum.abs().max(1.0);
            assert!(
                found == sum || near || (found.is_nan() && sum.is_nan()),
                "{case} {found} {sum}"
            );
        }
    };
    for isa in Isa::available() {
        for strange in [f64::INFINITY, f64::NAN, 1e200] {
            let mut x = numbers::<f64>(2 * contraction.input_size::<f64>(), 2);
            x[(32 * 256 + 3 * 256 + 40) * f64::LANES + 1] = strange;
            let naive = |weights: &[f64]| -> Vec<f64> {
                x.chunks(contraction.input_size::<f64>())
                    .flat_map(|x| {
                        naive(contraction.packing(), weights, contraction.gather_table(), x)
                    })
                    .collect()
            };
            let run = |packed: &[f64], pool: Option<Pool2x2>, count: usize| {
                let mut y = vec![0.0; count];
                let epilogue =
                    Epilogue::Overwrite(EpilogueSteps { pool, ..EpilogueSteps::default() });
                let weights = Weights { packed, prepared: &[] };
                contraction.run(isa, weights, 2, &x, &epilogue, &mut y);
                y
            };
            let expected = naive(&weights);
            alike(&run(&weights, None, expected.len()), &expected, "inputs");
            let squares = pooled(&expected, 16, 16);
            alike(&run(&weights, Some(Pool2x2::new(16, 16)), squares.len()), &squares, "squares");
            let mut huge = weights.clone();
            huge[100] = strange;
            let expected = naive(&huge);
            alike(&run(&huge, None, expected.len()), &expected, "weights");
        }
    }
}
