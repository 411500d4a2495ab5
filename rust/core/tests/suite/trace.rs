//! Traces, moments and diagonals of matrices with known spectra, rotated so that no entry is
//! special: exactness, precision, and how often intervals contain the truth.

use landscape_core::spectrum::{
    Density, Diagonal, Mean, Precision, QuadraticForm, Trace, TraceOptions, XTrace,
};
use landscape_core::{
    Cancel, Dense, Error, Gaussian, LinearOperator, Resumable, Scalar, Solver, Status,
    orthogonalise,
};

/// Q diag(values) Qᵀ with a random orthonormal Q.
fn rotated(values: &[f64]) -> Dense {
    let dim = values.len();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for i in 0..dim {
        let mut row = vec![0.0; dim];
        Gaussian::new(11, i as u64).fill(0, &mut row);
        let against: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let row = orthogonalise(&row, &against).expect("one length");
        let size = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        rows.push(row.iter().map(|x| x / size).collect());
    }
    let mut entries = vec![0.0; dim * dim];
    for i in 0..dim {
        for j in 0..=i {
            let sum = rows.iter().zip(values).map(|(q, value)| value * q[i] * q[j]).sum();
            (entries[i * dim + j], entries[j * dim + i]) = (sum, sum);
        }
    }
    Dense::new(entries, dim).expect("symmetric")
}

fn flat(dim: usize) -> Vec<f64> {
    (0..dim).map(|i| 0.5 + i as f64 / dim as f64).collect()
}

/// A few outliers above a bulk around 0, as loss functions have.
fn spiked(dim: usize) -> Vec<f64> {
    let outliers = [30.0, 22.0, 15.0, 9.0, 6.0, -3.0];
    let bulk = (outliers.len()..dim).map(|i| 0.4 * (i as f64 / dim as f64 - 0.3));
    outliers.into_iter().chain(bulk).collect()
}

fn precision(relative: f64) -> Precision {
    Precision { relative, absolute: 0.0, max_products: 20_000, level: 0.95 }
}

fn options(dim: usize, relative: f64, rows: usize, seed: u64) -> TraceOptions {
    let (form, precision) = (QuadraticForm::Powers(1), precision(relative));
    TraceOptions { dim, form, target: 0, precision, rows, block: 8, seed }
}

fn done<S, T>(mut iteration: T, matrix: &dyn LinearOperator<S>) -> T
where
    S: Scalar,
    T: for<'a> Solver<Scalar = S, Problem<'a> = dyn LinearOperator<S> + 'a>,
{
    assert!(iteration.run(matrix, &Cancel::new(), |_| Ok(true)).expect("products"));
    iteration
}

fn trace(matrix: &Dense, options: TraceOptions) -> Trace<f64> {
    done(Trace::new(options).expect("valid"), matrix)
}

/// The share of seeds whose interval contains the truth.
fn coverage(truth: f64, interval: impl Fn(u64) -> Mean) -> f64 {
    const SEEDS: u64 = 1000;
    let holds = |seed: &u64| {
        let [low, high] = interval(*seed).interval;
        low <= truth && truth <= high
    };
    (0..SEEDS).filter(holds).count() as f64 / SEEDS as f64
}

fn assert_covers(share: f64) {
    assert!((0.93..=0.98).contains(&share), "95% intervals contain the truth in {share} of runs");
}

#[test]
fn intervals_of_the_trace_contain_it_at_the_default_rule() {
    for values in [flat(120), spiked(300)] {
        let (matrix, truth) = (rotated(&values), values.iter().sum());
        let rows = values.len();
        assert_covers(coverage(truth, |seed| {
            trace(&matrix, options(rows, 0.01, rows, seed)).means()[0]
        }));
    }
}

#[test]
fn intervals_of_hutchinsons_estimate_follow_its_skewness() {
    // One eigenvalue carries the variance: the forms are as skew as χ² with one degree of freedom.
    let mut values = vec![0.05; 150];
    values[0] = 10.0;
    let (matrix, truth) = (rotated(&values), values.iter().sum());
    assert_covers(coverage(truth, |seed| trace(&matrix, options(150, 0.12, 0, seed)).means()[0]));
}

#[test]
fn intervals_of_xtrace_are_at_least_as_wide_as_they_say() {
    for values in [flat(200), spiked(200)] {
        let (matrix, truth) = (rotated(&values), values.iter().sum());
        let share = coverage(truth, |seed| {
            done(XTrace::<f64>::new(200, precision(0.02), 200, 8, seed).expect("valid"), &matrix)
                .mean()
        });
        assert!(share >= 0.93, "95% intervals contain the truth in {share} of runs");
    }
}

#[test]
fn estimates_have_no_bias() {
    let values = spiked(100);
    let (matrix, truth) = (rotated(&values), values.iter().sum::<f64>());
    let estimates: Vec<f64> = (0..2000)
        .map(|seed| trace(&matrix, options(100, 0.05, 100, seed)).means()[0].value)
        .collect();
    let found = Mean::from_samples(&estimates, 0.999);
    assert!(found.interval[0] <= truth && truth <= found.interval[1], "{truth}: {found:?}");
}

#[test]
fn a_sketch_saves_three_quarters_of_the_products() {
    let values = spiked(4000);
    let matrix = Known(values);
    let found = |rows: usize| {
        let options = options(4000, 0.01, rows, 3);
        done::<f32, _>(Trace::new(options).expect("valid"), &matrix).products()
    };
    let (with, without) = (found(1000), found(0));
    assert!(4 * with <= without, "{with} products with a sketch, {without} without");
}

#[test]
fn multiples_of_the_identity_and_low_ranks_are_exact() {
    let identity = trace(&rotated(&[2.0; 80]), options(80, 0.01, 0, 1));
    assert_eq!((identity.probes(), identity.status()), (32, Status::Converged));
    assert!((identity.means()[0].value - 160.0).abs() < 1e-11);
    let mut values = vec![0.0; 90];
    (values[3], values[50]) = (4.0, -1.0);
    let matrix = rotated(&values);
    let low = trace(&matrix, options(90, 1e-9, 90, 1));
    assert!((low.means()[0].value - 3.0).abs() < 1e-12, "{:?}", low.means());
    let exchanged =
        done(XTrace::<f64>::new(90, precision(1e-9), 90, 8, 1).expect("valid"), &matrix);
    assert_eq!((exchanged.products(), exchanged.status()), (10, Status::Exhausted));
    assert!((exchanged.mean().value - 3.0).abs() < 1e-12, "{:?}", exchanged.mean());
    let zero = trace(&rotated(&[0.0; 40]), options(40, 0.01, 40, 1));
    assert_eq!(zero.means()[0].value, 0.0);
    assert_eq!(zero.status(), Status::Converged);
}

#[test]
fn few_rows_are_summed_one_by_one() {
    let values = flat(20);
    let found = trace(&rotated(&values), options(20, 1e-6, 20, 1));
    assert_eq!((found.products(), found.status()), (20, Status::Exhausted));
    assert!((found.means()[0].value - values.iter().sum::<f64>()).abs() < 1e-12);
    // So are many, where a precision asks for still more random vectors.
    let values = spiked(300);
    let found = trace(&rotated(&values), options(300, 1e-7, 0, 1));
    assert_eq!(found.status(), Status::Exhausted);
    assert!((found.means()[0].value - values.iter().sum::<f64>()).abs() < 1e-10);
}

#[test]
fn moments_are_those_of_the_eigenvalues() {
    let values = spiked(200);
    let matrix = rotated(&values);
    let options = TraceOptions { form: QuadraticForm::Powers(5), ..options(200, 0.02, 100, 9) };
    for (order, found) in (1..).zip(trace(&matrix, options).means()) {
        let truth: f64 = values.iter().map(|x| x.powi(order)).sum();
        assert!((found.value - truth).abs() < 0.1 * truth.abs(), "{order}: {truth} {found:?}");
        assert!(found.standard_error <= 0.02 * found.value.abs());
    }
}

#[test]
fn logarithms_are_those_of_the_eigenvalues_and_need_positive_ones() {
    let values = spiked(150);
    let matrix = rotated(&values);
    let form = |shift: f64| QuadraticForm::Logarithm { shift, tolerance: 1e-4, steps: 150 };
    let options = |shift: f64| TraceOptions { form: form(shift), ..options(150, 0.01, 60, 2) };
    let found = trace(&matrix, options(4.0)).means()[0];
    let truth: f64 = values.iter().map(|x| (x + 4.0).ln()).sum();
    assert!((found.value - truth).abs() < 4.0 * found.standard_error + 1e-3, "{truth} {found:?}");
    let refused = Trace::<f64>::new(options(2.0))
        .expect("valid")
        .run(&matrix, &Cancel::new(), |_| Ok(true))
        .expect_err("an eigenvalue is −3");
    assert!(refused.to_string().contains("pass a shift above"), "{refused}");
}

#[test]
fn every_diagonal_entry_lies_within_its_error() {
    // Without a sketch flat spectra alone are cheaper to probe than to sum.
    for (values, error, rows) in [(flat(150), 0.04, 0), (spiked(150), 0.2, 100)] {
        let matrix = rotated(&values);
        let mut held = 0;
        for seed in 0..400 {
            let new = Diagonal::<f64>::new(150, precision(error), rows, 8, seed);
            let found = done(new.expect("valid"), &matrix);
            assert_eq!(found.status(), Status::Converged);
            let half = found.quantile();
            let errors = found.standard_errors();
            for (i, (value, error)) in found.values().iter().zip(errors).enumerate() {
                held += usize::from((value - matrix.entry(i, i)).abs() <= half * error);
            }
        }
        let share = held as f64 / (400.0 * 150.0);
        assert!((0.92..=0.98).contains(&share), "95% intervals hold for {share} of entries");
    }
    let matrix = rotated(&spiked(150));
    let exact = done(Diagonal::<f64>::new(150, precision(1e-9), 0, 8, 1).expect("valid"), &matrix);
    assert_eq!(exact.status(), Status::Exhausted);
    assert!((0..150).all(|i| exact.values()[i].to_bits() == matrix.entry(i, i).to_bits()));
}

#[test]
fn an_estimate_goes_on_with_the_same_bits() {
    let matrix = rotated(&spiked(200));
    let options = options(200, 0.004, 100, 4);
    let whole = trace(&matrix, options);
    let mut first = Trace::<f64>::new(options).expect("valid");
    let mut steps = 0;
    loop {
        let ended = first.run(&matrix, &Cancel::new(), |_| Ok(false)).expect("products");
        first = Trace::resume(options, first.checkpoint()).expect("its own state");
        steps += 1;
        if ended {
            break;
        }
    }
    assert!(steps > 5);
    assert_eq!(first.means(), whole.means());
    assert_eq!(first.products(), whole.products());
}

#[test]
fn quadratures_have_the_moments_of_their_vectors() {
    let values = spiked(120);
    let matrix = rotated(&values);
    let run = |block: usize| {
        done(Density::<f64>::new(120, (6, 20), block, 1, (Vec::new(), 0)).expect("valid"), &matrix)
    };
    let found = run(4);
    assert_eq!(found.products(), 120);
    assert_eq!(found.quadratures(), run(1).quadratures(), "blocks change nothing");
    for quadrature in found.quadratures() {
        assert!((quadrature.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(quadrature.nodes.is_sorted());
        assert!(quadrature.nodes.iter().all(|x| (-3.0 - 1e-9..=30.0 + 1e-9).contains(x)));
    }
    let whole = Density::<f64>::new(120, (2, 500), 2, 1, (Vec::new(), 0)).expect("valid");
    let nodes = done(whole, &matrix).quadratures()[0].nodes.clone();
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    assert!(nodes.iter().zip(&sorted).all(|(a, b)| (a - b).abs() < 1e-9));
}

/// diag(values).
struct Known(Vec<f64>);

impl<S: Scalar> LinearOperator<S> for Known {
    fn dim(&self) -> usize {
        self.0.len()
    }

    fn apply(&self, block: &[S], out: &mut [S], _: &Cancel) -> Result<(), Error> {
        let dim = self.0.len();
        for (vector, image) in block.chunks(dim).zip(out.chunks_mut(dim)) {
            for ((y, x), value) in image.iter_mut().zip(vector).zip(&self.0) {
                *y = S::narrow(value * x.widen());
            }
        }
        Ok(())
    }
}
