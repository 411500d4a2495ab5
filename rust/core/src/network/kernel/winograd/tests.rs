//! Against the sums as they stand, and where numbers are too large for it.

use super::{convolve, pays};
use crate::isa::Isa;
use crate::network::kernel::tests::{convolution, naive, numbers};
use crate::network::kernel::{Finish, Packing, Real, Rectify, Taps, product};

/// Small whole numbers, of which all sums are exact.
fn agrees<T: Real>(isa: Isa, taps: &Taps, (rows, inner): (usize, usize)) {
    let packing = Packing::new(rows, 9, inner);
    let weights = numbers::<T>(packing.len(), 1);
    let x = numbers::<T>(inner * taps.positions() * T::LANES, 2);
    let shift = numbers::<T>(rows, 3);
    let residual = numbers::<T>(rows * taps.positions() * T::LANES, 4);
    let expected = naive(&packing, &weights, taps, &x);
    let image = taps.image().expect("an image");
    let mut left = Vec::new();
    let mut y = residual.clone();
    convolve(isa, &packing, &weights, image, &x, &Finish::Add, &mut y, &mut left);
    let row = taps.positions() * T::LANES;
    for (place, &sum) in expected.iter().enumerate() {
        assert_eq!(y[place], residual[place] + sum, "{isa:?} {image:?} {rows}x{inner}");
    }
    let finish = Finish::Store {
        scale: None,
        shift: Some(&shift),
        residual: Some(&residual),
        relu: Rectify::Relu,
    };
    convolve(isa, &packing, &weights, image, &x, &finish, &mut y, &mut left);
    for (place, &sum) in expected.iter().enumerate() {
        let value = (sum + shift[place / row] + residual[place]).maximum(T::ZERO);
        assert_eq!(y[place], value, "{isa:?} {image:?} {rows}x{inner}");
    }
    assert!(left.is_empty());
}

fn images_agree<T: Real>() {
    for isa in Isa::available() {
        for (height, width) in [(1, 1), (1, 4), (2, 2), (3, 5), (6, 4), (9, 9)] {
            let taps = convolution(height, width, 1, 1);
            for shape in [(1, 1), (2, 3), (7, 2), (13, 9), (16, 5)] {
                agrees::<T>(isa, &taps, shape);
                agrees::<T>(isa, &taps.reversed(), shape);
            }
        }
    }
}

#[test]
fn a_convolution_is_its_sums() {
    images_agree::<f32>();
    images_agree::<f64>();
}

#[test]
fn other_taps_are_no_images() {
    for taps in [convolution(5, 5, 2, 1), convolution(5, 5, 1, 0), Taps::identity()] {
        assert_eq!(taps.image(), None);
    }
    assert!(convolution(3, 3, 1, 1).image().is_some());
}

#[test]
fn it_is_taken_where_there_is_less_to_do() {
    let pays = |rows: usize, inner: usize, size: usize| {
        let taps = convolution(size, size, 1, 1);
        pays(&Packing::new(rows, 9, inner), &taps, taps.image().expect("an image"))
    };
    assert!(pays(16, 16, 32));
    assert!(pays(64, 64, 8));
    assert!(!pays(16, 1, 32), "a single channel");
    assert!(!pays(64, 64, 1), "a single position");
}

/// Positions far from what is not finite are as they would be without it, and all are what the sums
/// say.
#[test]
fn what_is_not_finite_stays_where_it_is() {
    let (taps, packing) = (convolution(16, 16, 1, 1), Packing::new(32, 9, 32));
    assert!(pays(&packing, &taps, taps.image().expect("an image")));
    let weights = numbers::<f64>(packing.len(), 1);
    for isa in Isa::available() {
        for strange in [f64::INFINITY, f64::NAN, 1e200] {
            let mut x = numbers::<f64>(32 * 256 * f64::LANES, 2);
            x[(3 * 256 + 40) * f64::LANES + 1] = strange;
            let expected = naive(&packing, &weights, &taps, &x);
            let mut y = vec![0.0; expected.len()];
            product(isa, &packing, &weights, &taps, &x, &Finish::PLAIN, &mut y);
            for (&found, &sum) in y.iter().zip(&expected) {
                let near = (found - sum).abs() <= 1e-12 * sum.abs();
                assert!(found == sum || near || (found.is_nan() && sum.is_nan()), "{found} {sum}");
            }
            let mut huge = weights.clone();
            huge[100] = strange;
            let expected = naive(&packing, &huge, &taps, &x);
            product(isa, &packing, &huge, &taps, &x, &Finish::PLAIN, &mut y);
            let alike = |(a, b): (&f64, &f64)| {
                a == b || (a - b).abs() <= 1e-12 * b.abs() || a.is_nan() & b.is_nan()
            };
            assert!(y.iter().zip(&expected).all(alike), "{isa:?} {strange}");
        }
    }
}
