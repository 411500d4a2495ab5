//! Lanczos on diagonal matrices: every answer is known, and rotations change nothing but the start.

use std::cell::Cell;

use landscape_core::spectrum::{
    Basis, Lanczos, LanczosOptions, PowerIteration, PowerOptions, RelativeTo, Which,
};
use landscape_core::{Cancel, Error, Gaussian, LinearOperator, Scalar, Solver, Status, dot, norm};

/// diag(values), which fails at one call where it is told to.
struct Diagonal {
    values: Vec<f64>,
    calls: Cell<usize>,
    fails_at: usize,
}

impl Diagonal {
    fn new(values: impl IntoIterator<Item = f64>) -> Self {
        Self { values: values.into_iter().collect(), calls: Cell::new(0), fails_at: usize::MAX }
    }
}

impl<S: Scalar> LinearOperator<S> for Diagonal {
    fn dim(&self) -> usize {
        self.values.len()
    }

    fn apply(&self, block: &[S], out: &mut [S], _: &Cancel) -> Result<(), Error> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.fails_at {
            return Err(Error::supplier("no product today"));
        }
        for (vector, image) in
            block.chunks(self.values.len()).zip(out.chunks_mut(self.values.len()))
        {
            for ((y, x), value) in image.iter_mut().zip(vector).zip(&self.values) {
                *y = S::narrow(value * x.widen());
            }
        }
        Ok(())
    }
}

fn options(dim: usize, count: usize, which: Which) -> LanczosOptions {
    let (tolerance, basis) = (1e-8, dim.min(40));
    let relative_to = RelativeTo::Norm;
    LanczosOptions { dim, count, which, tolerance, relative_to, basis, max_products: 5000, seed: 5 }
}

fn solved<S: Scalar>(matrix: &Diagonal, options: LanczosOptions) -> Lanczos<S> {
    let mut lanczos = Lanczos::new(options, None, &[]).expect("valid");
    assert!(lanczos.run(matrix, &Cancel::new(), |_| Ok(true)).expect("products"));
    lanczos
}

fn assert_near(found: &[f64], expected: &[f64], error: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= error, "{found:?} is not {expected:?}");
    }
}

fn bulk(outliers: &[f64], dim: usize) -> Diagonal {
    let rest = dim - outliers.len();
    let bulk = (0..rest).map(|i| i as f64 / rest as f64 - 0.5);
    Diagonal::new(outliers.iter().copied().chain(bulk))
}

/// The largest eigenvalue is 1, beside −10⁶ at the other end.
#[test]
fn residuals_are_relative_to_the_requested_end() {
    let values = || (1..500).map(|i| f64::from(i) / 499.0).chain([-1e6]);
    let matrix = Diagonal::new(values());
    let end = LanczosOptions {
        tolerance: 1e-3,
        relative_to: RelativeTo::End,
        ..options(500, 1, Which::Largest)
    };
    let lanczos = solved::<f64>(&matrix, end);
    assert_near(&lanczos.values(), &[1.0], 1e-3);
    assert_eq!(lanczos.status(), Status::Converged);
    assert!((lanczos.scale() - 1.0).abs() < 1e-3 && lanczos.norm() > 9e5);
    let both = LanczosOptions { which: Which::Both, ..end };
    let lanczos = solved::<f64>(&matrix, both);
    assert_near(&lanczos.values(), &[1.0, -1e6], 1e-3);
    let norm = LanczosOptions { relative_to: RelativeTo::Norm, ..end };
    let lanczos = solved::<f64>(&matrix, norm);
    assert!(lanczos.products() < 10 && lanczos.scale() == lanczos.norm());
}

#[test]
fn an_end_at_zero_converges_to_rounding() {
    let matrix = Diagonal::new((0..300).map(f64::from));
    let end = LanczosOptions {
        tolerance: 1e-3,
        relative_to: RelativeTo::End,
        basis: 300,
        ..options(300, 1, Which::Smallest)
    };
    let lanczos = solved::<f32>(&matrix, end);
    assert_ne!(lanczos.status(), Status::MaxProducts);
    assert!(lanczos.values()[0].abs() < 1e-3, "{:?}", lanczos.values());
}

#[test]
fn five_outliers_take_few_products() {
    let matrix = bulk(&[20.0, 14.0, 10.0, 7.0, 5.0], 5000);
    let lanczos = solved::<f32>(
        &matrix,
        LanczosOptions { tolerance: 1e-3, ..options(5000, 5, Which::Largest) },
    );
    assert_near(&lanczos.values(), &[20.0, 14.0, 10.0, 7.0, 5.0], 1e-3);
    assert!(lanczos.products() <= 16, "{} products", lanczos.products());
}

/// The spectrum of a trained network: residuals of what is seen are small before all is seen.
#[test]
fn pairs_that_show_late_are_not_passed_over() {
    let top = [
        26.18, 18.55, 14.90, 10.81, 6.39, 2.05, 1.40, 1.22, 1.018, 0.976, 0.893, 0.864, 0.757,
        0.648,
    ];
    let bulk = (0..2000).map(|i| 0.6 * (f64::from(i) / 2000.0).powi(8));
    let matrix = Diagonal::new(top.into_iter().chain(bulk));
    let passed_over = (0..100).filter(|&seed| {
        let wanted =
            LanczosOptions { tolerance: 1e-3, basis: 80, ..options(2014, 10, Which::Largest) };
        let found = solved::<f32>(&matrix, LanczosOptions { seed, ..wanted });
        found.values().iter().zip(top).any(|(value, exact)| (value - exact).abs() > 0.026)
    });
    assert!(passed_over.count() <= 3);
}

#[test]
fn a_good_guess_saves_products() {
    let matrix = bulk(&[3.0, -2.0], 500);
    let wanted = options(500, 1, Which::Both);
    let cold = solved::<f64>(&matrix, wanted);
    let mut guess = vec![1e-3; 500];
    (guess[0], guess[1]) = (1.0, 1.0);
    let mut warm =
        Lanczos::new(wanted, None, &[]).and_then(|l| l.with_start(&guess)).expect("valid");
    assert!(warm.run(&matrix, &Cancel::new(), |_| Ok(true)).expect("products"));
    assert_near(&warm.values(), &cold.values(), 1e-7);
    assert!(warm.products() < cold.products(), "{} {}", warm.products(), cold.products());
    let again = Lanczos::<f64>::new(wanted, None, &[]).expect("valid");
    assert!(again.with_start(&[0.0; 500]).is_err());
}

#[test]
fn clusters_pairs_of_signs_and_conditions_are_resolved() {
    let close =
        solved::<f64>(&bulk(&[3.0, 3.0 - 1e-4, 3.0 - 2e-4], 400), options(400, 3, Which::Largest));
    assert_near(&close.values(), &[3.0, 3.0 - 1e-4, 3.0 - 2e-4], 1e-9);
    let signs = solved::<f64>(&bulk(&[4.0, -4.0, 2.0, -2.0], 300), options(300, 2, Which::Both));
    assert_near(&signs.values(), &[4.0, 2.0, -2.0, -4.0], 1e-9);
    let magnitudes =
        solved::<f64>(&bulk(&[4.0, -4.5, 2.0], 300), options(300, 3, Which::Magnitude));
    assert_near(&magnitudes.values(), &[-4.5, 4.0, 2.0], 1e-9);
    let wide = Diagonal::new((0..60).map(|i| 10_f64.powf(-8.0 * f64::from(i) / 59.0)));
    let wide = solved::<f64>(&wide, options(60, 2, Which::Largest));
    assert_near(&wide.values(), &[1.0, 10_f64.powf(-8.0 / 59.0)], 1e-9);
}

#[test]
fn a_small_basis_restarts_to_the_same_values() {
    let matrix = Diagonal::new((0..500).map(|i| f64::from(i).sqrt()));
    let small =
        solved::<f64>(&matrix, LanczosOptions { basis: 12, ..options(500, 3, Which::Largest) });
    let large =
        solved::<f64>(&matrix, LanczosOptions { basis: 300, ..options(500, 3, Which::Largest) });
    assert_eq!((small.status(), large.status()), (Status::Converged, Status::Converged));
    assert_near(&small.values(), &large.values(), 1e-6);
    assert!(small.products() > 12);
}

#[test]
fn residuals_are_the_true_ones_and_bounds_hold() {
    let matrix = bulk(&[9.0, 5.0], 800);
    let mut lanczos =
        Lanczos::<f64>::new(options(800, 2, Which::Largest), None, &[]).expect("valid");
    let mut checked = 0;
    let look = |lanczos: &Lanczos<f64>| {
        for (row, (value, residual)) in
            lanczos.vectors().chunks(800).zip(lanczos.values().iter().zip(lanczos.residuals()))
        {
            let rest: Vec<f64> =
                row.iter().zip(&matrix.values).map(|(x, a)| (a - value) * x).collect();
            assert!((norm(&rest) - residual).abs() <= 1e-6 * residual + 1e-13);
            checked += 1;
        }
        Ok(true)
    };
    lanczos.run(&matrix, &Cancel::new(), look).expect("products");
    assert!(checked > 10);
    for ((value, truth), bound) in lanczos.values().iter().zip([9.0, 5.0]).zip(lanczos.bounds()) {
        assert!((value - truth).abs() <= bound + 1e-14);
    }
}

#[test]
fn a_failing_product_changes_nothing_in_either_iteration() {
    let mut matrix = bulk(&[3.0, 2.0], 200);
    let whole = solved::<f32>(&matrix, options(200, 1, Which::Largest));
    (matrix.fails_at, matrix.calls) = (17, Cell::new(0));
    let mut part = Lanczos::<f32>::new(options(200, 1, Which::Largest), None, &[]).expect("valid");
    assert!(part.run(&matrix, &Cancel::new(), |_| Ok(true)).is_err());
    assert_eq!(part.products(), 16);
    part.run(&matrix, &Cancel::new(), |_| Ok(true)).expect("products");
    assert_eq!((part.values(), part.vectors()), (whole.values(), whole.vectors()));

    let LanczosOptions { dim, count, which, tolerance, max_products, seed, .. } =
        options(200, 1, Which::Smallest);
    let options = PowerOptions { dim, count, which, tolerance, max_products, seed };
    let mut power = [0; 2].map(|_| PowerIteration::<f64>::new(options).expect("valid"));
    power[0].run(&matrix, &Cancel::new(), |_| Ok(true)).expect("products");
    matrix.calls.set(0);
    assert!(power[1].run(&matrix, &Cancel::new(), |_| Ok(true)).is_err());
    power[1].run(&matrix, &Cancel::new(), |_| Ok(true)).expect("products");
    assert_eq!((power[0].values(), power[0].vectors()), (power[1].values(), power[1].vectors()));
}

#[test]
fn threads_and_files_change_no_bit() {
    let matrix = || bulk(&[6.0, -5.0, 4.0], 9001);
    let options = LanczosOptions { basis: 9, tolerance: 1e-4, ..options(9001, 1, Which::Both) };
    let results = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let lanczos = solved::<f32>(&matrix(), options);
            (lanczos.products(), lanczos.values(), lanczos.vectors())
        })
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    let file = std::env::temp_dir().join(format!("landscape-basis-{}", std::process::id()));
    let mut mapped = Lanczos::<f32>::new(options, Some(&file), &[]).expect("a file");
    mapped.run(&matrix(), &Cancel::new(), |_| Ok(true)).expect("products");
    assert_eq!(results[0], (mapped.products(), mapped.values(), mapped.vectors()));
    std::fs::remove_file(file).expect("the file was made");
}

#[test]
fn what_is_orthogonalised_is_orthogonal_and_adds_up() {
    let dim = 5000;
    let mut basis = Basis::<f64>::new(dim, 7, None).expect("memory");
    let mut w = vec![0.0; dim];
    for row in 0..7 {
        Gaussian::new(1, row).fill(0, &mut w);
        basis.orthogonalise(&mut w);
        basis.push(&w, 1.0 / norm(&w)).expect("memory");
    }
    Gaussian::new(1, 99).fill(0, &mut w);
    let before = w.clone();
    let taken = basis.orthogonalise(&mut w);
    let mut sum = w.clone();
    for (row, c) in taken.iter().enumerate() {
        assert!(dot(basis.row(row), &w).expect("one length").abs() < 1e-13);
        sum.iter_mut().zip(basis.row(row)).for_each(|(s, v)| *s += c * v);
    }
    assert_near(&sum, &before, 1e-12);
}
