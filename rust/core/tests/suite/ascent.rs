//! Ascents in a neighbourhood, on losses whose maxima are known.

use landscape_core::analytic::{ClosedForm, Rosenbrock};
use landscape_core::ascent::{Ascent, AscentMethod, AscentOptions, Constraint, Neighbourhood};
use landscape_core::spectrum::eigh;
use landscape_core::{Cancel, Error, Gaussian, Resumable, Solver, Status, norm};

const LBFGS: AscentMethod = AscentMethod::Lbfgs { tolerance: 1e-7 };
const PROJECTED: AscentMethod = AscentMethod::Projected { step: None };
const METHODS: [AscentMethod; 3] = [PROJECTED, AscentMethod::AutoPgd, LBFGS];

/// g'x + x'Hx/2.
struct Polynomial {
    g: Vec<f64>,
    h: Vec<Vec<f64>>,
}

impl Polynomial {
    /// Normal numbers, with H = sign A A'/d (sign other than 0) or a symmetric A.
    fn random(dim: usize, sign: f64, seed: u64) -> Self {
        let (mut g, mut a) = (vec![0.0; dim], vec![0.0; dim * dim]);
        Gaussian::new(seed, 0).fill(0, &mut g);
        Gaussian::new(seed, 1).fill(0, &mut a);
        let rows: Vec<_> = a.chunks(dim).collect();
        let entry = |i: usize, j: usize| {
            let product = rows[i].iter().zip(rows[j]).map(|(x, y)| x * y).sum::<f64>();
            let symmetric = f64::midpoint(rows[i][j], rows[j][i]);
            if sign == 0.0 { symmetric } else { sign * product / dim as f64 }
        };
        let h = (0..dim).map(|i| (0..dim).map(|j| entry(i, j)).collect()).collect();
        Self { g, h }
    }

    /// The maximum over ‖x‖ ≤ r: (λ − H) x = g with the least λ ≥ 0 for which λ − H ≥ 0 and ‖x‖ ≤ r
    /// (Moré and Sorensen 1983), by bisection.
    fn max_in_ball(&self, radius: f64) -> f64 {
        let pairs = eigh(&self.h);
        let dot = |v: &Vec<f64>| v.iter().zip(&self.g).map(|(a, b)| a * b).sum::<f64>();
        let g: Vec<_> = pairs.vectors.iter().map(dot).collect();
        let x = |multiplier: f64| -> Vec<f64> {
            g.iter().zip(&pairs.values).map(|(g, value)| g / (multiplier - value)).collect()
        };
        let top = pairs.values.iter().copied().fold(0.0, f64::max);
        let (mut low, mut high) = (top, top + norm(&g) / radius + 1.0);
        for _ in 0..200 {
            let middle = low.midpoint(high);
            if norm(&x(middle)) > radius { low = middle } else { high = middle }
        }
        let point = x(high);
        let term = |((x, g), value): ((&f64, &f64), &f64)| g * x + value * x * x / 2.0;
        point.iter().zip(&g).zip(&pairs.values).map(term).sum()
    }

    /// The maximum over the vertices of |xᵢ| ≤ r, which is that of the box where H ≥ 0.
    fn max_of_vertices(&self, radius: f64) -> f64 {
        let dim = self.g.len();
        let vertex = |bits: usize| -> Vec<f64> {
            (0..dim).map(|i| if bits >> i & 1 == 1 { radius } else { -radius }).collect()
        };
        (0..1 << dim).map(|bits| self.value(&vertex(bits))).fold(f64::NEG_INFINITY, f64::max)
    }
}

impl ClosedForm for Polynomial {
    fn dim(&self) -> usize {
        self.g.len()
    }

    fn value(&self, x: &[f64]) -> f64 {
        let image = self.gradient(x);
        x.iter().zip(&image).zip(&self.g).map(|((x, image), g)| x * (image + g) / 2.0).sum()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let row =
            |(row, g): (&Vec<f64>, &f64)| g + row.iter().zip(x).map(|(h, x)| h * x).sum::<f64>();
        self.h.iter().zip(&self.g).map(row).collect()
    }

    fn second_derivative(&self, _: &[f64], i: usize, j: usize) -> f64 {
        self.h[i][j]
    }
}

fn options(method: AscentMethod, constraint: Constraint, steps: usize) -> AscentOptions {
    AscentOptions { method, constraint, radius: 1.0, steps }
}

/// Normal starts in a ball of half the radius, which is inside the box too.
fn starts(count: usize, dim: usize, seed: u64) -> Vec<f64> {
    let mut starts = vec![0.0; count * dim];
    Gaussian::new(seed, 9).fill(0, &mut starts);
    for row in starts.chunks_mut(dim) {
        let size = norm(row);
        for entry in row {
            *entry *= 0.5 / size;
        }
    }
    starts
}

/// A finished ascent about the origin, with scales of 1.
fn finished<F: ClosedForm>(function: &F, starts: &[f64], options: AscentOptions) -> Ascent<f64> {
    let dim = function.dim();
    let place = Neighbourhood::new(vec![0.0; dim], vec![1.0; dim], None).expect("fits");
    let mut ascent = Ascent::new(function, place, starts, None, options).expect("inside");
    ascent.run(function, &Cancel::new(), |_| Ok(true)).expect("no failure");
    for row in ascent.displacements().chunks(dim) {
        let size = match options.constraint {
            Constraint::Ball => norm(row),
            Constraint::Box => row.iter().fold(0.0, |most: f64, entry| entry.abs().max(most)),
        };
        assert!(size <= options.radius * (1.0 + 1e-12), "outside: {size}");
    }
    ascent
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn quadratics_in_the_ball_reach_the_maximum_of_the_secular_equation() {
    for (sign, seed) in [(1.0, 1), (0.0, 2), (-1.0, 3), (-1.0, 4)] {
        // -20 A A'/d has its maximum inside the ball.
        let factor = if seed == 4 { 20.0 } else { 1.0 };
        let mut function = Polynomial::random(8, sign, seed);
        function.h.iter_mut().flatten().for_each(|entry| *entry *= factor);
        let exact = function.max_in_ball(1.0);
        let options = options(LBFGS, Constraint::Ball, 300);
        let ascent = finished(&function, &starts(10, 8, seed), options);
        let close = |loss: &f64| (loss - exact).abs() <= 1e-10 * exact.abs();
        assert!(ascent.losses().iter().filter(|loss| close(loss)).count() >= 8, "{sign} {exact}");
        assert!(ascent.max_loss() <= exact * (1.0 + 1e-12));
        let good = [Status::Converged, Status::Stalled];
        assert!(good.contains(&ascent.status()), "{:?}", ascent.statuses());
        let budget = AscentOptions { method: AscentMethod::AutoPgd, steps: 200, ..options };
        let adaptive = finished(&function, &starts(10, 8, seed), budget).max_loss();
        assert!((adaptive - exact).abs() <= 1e-3 * exact.abs(), "{adaptive} {exact}");
    }
}

#[test]
fn convex_quadratics_in_the_box_reach_the_best_vertex() {
    for seed in 0..4 {
        let function = Polynomial::random(7, 1.0, seed);
        let exact = function.max_of_vertices(1.0);
        let corners: Vec<_> = starts(64, 7, seed).iter().map(|entry| entry.signum()).collect();
        let result = |method| {
            let options = options(method, Constraint::Box, 40);
            finished(&function, &corners, options).max_loss()
        };
        assert!((result(LBFGS) - exact).abs() <= 1e-12 * exact, "{seed}");
        // The long first steps of Auto-PGD leave the basins of some vertices.
        let adaptive = result(AscentMethod::AutoPgd);
        assert!((0.95..=1.0 + 1e-12).contains(&(adaptive / exact)), "{seed} {adaptive} {exact}");
    }
}

#[test]
fn separable_quadratics_in_the_box_have_free_coordinates() {
    // Coordinate by coordinate: the maximum of g x − c x²/2 is at g/c, or at a bound.
    let (g, c) = ([3.0, 0.5, -0.2, 1e-3, 0.9], [1.0, 2.0, 4.0, 50.0, 1.0]);
    let h = (0..5).map(|i| (0..5).map(|j| if i == j { -c[i] } else { 0.0 }).collect()).collect();
    let function = Polynomial { g: g.to_vec(), h };
    let best: Vec<f64> = g.iter().zip(&c).map(|(g, c)| (g / c).clamp(-1.0, 1.0)).collect();
    let ascent = finished(&function, &starts(4, 5, 3), options(LBFGS, Constraint::Box, 200));
    for (row, loss) in ascent.displacements().chunks(5).zip(ascent.losses()) {
        assert!(row.iter().zip(&best).all(|(a, b)| (a - b).abs() < 1e-5), "{row:?}");
        assert!((loss - function.value(&best)).abs() < 1e-12);
    }
}

#[test]
fn linear_functions_are_exact_after_one_step() {
    let function = Polynomial { g: vec![3.0, -4.0, 0.0], h: vec![vec![0.0; 3]; 3] };
    for method in [AscentMethod::Projected { step: Some(1.0) }, AscentMethod::AutoPgd, LBFGS] {
        let ball = finished(&function, &[0.0; 3], options(method, Constraint::Ball, 1));
        assert!((ball.max_loss() - 5.0).abs() < 1e-15, "{method:?}");
        let cube = finished(&function, &[0.0; 3], options(method, Constraint::Box, 1));
        assert_eq!((cube.max_loss(), cube.displacements()), (7.0, vec![1.0, -1.0, 0.0]));
        assert_eq!((cube.steps(), cube.gradients()), (1, 2));
    }
    let ascent = finished(&function, &starts(5, 3, 1), options(LBFGS, Constraint::Ball, 50));
    assert_eq!(ascent.status(), Status::Converged);
    assert!(ascent.losses().iter().all(|loss| (loss - 5.0).abs() < 1e-12));
}

#[test]
fn one_step_of_the_radius_is_the_perturbation_of_sam() {
    let (theta, radius) = (vec![0.5, -1.5, 2.0, 0.0], 0.1);
    let function = Polynomial::random(4, 0.0, 5);
    let g = function.gradient(&theta);
    for scale in [vec![1.0; 4], theta.iter().map(|entry: &f64| entry.abs()).collect()] {
        let scaled: Vec<f64> = scale.iter().zip(&g).map(|(s, g)| s * g).collect();
        for constraint in [Constraint::Ball, Constraint::Box] {
            let method = AscentMethod::Projected { step: Some(1.0) };
            let options = AscentOptions { method, constraint, radius, steps: 1 };
            let place = Neighbourhood::new(theta.clone(), scale.clone(), None).expect("fits");
            let mut ascent =
                Ascent::new(&function, place, &[0.0; 4], None, options).expect("inside");
            ascent.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
            let size = norm(&scaled);
            let expected = scale.iter().zip(&scaled).map(|(s, h)| match constraint {
                Constraint::Ball => radius * s * h / size,
                Constraint::Box if *h == 0.0 => 0.0,
                Constraint::Box => radius * s * h.signum(),
            });
            let found = ascent.displacements();
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-16),
                "{found:?} {constraint:?}"
            );
            let moved: Vec<_> = theta.iter().zip(&found).map(|(a, b)| a + b).collect();
            assert_eq!(ascent.max_loss(), function.value(&moved));
        }
    }
}

#[test]
fn other_methods_are_not_below_projected_ascent_at_equal_evaluations() {
    for (sign, seed) in [(1.0, 0), (0.0, 1), (-1.0, 2), (1.0, 3), (0.0, 4), (-1.0, 5)] {
        let function = Polynomial::random(30, sign, seed);
        for constraint in [Constraint::Ball, Constraint::Box] {
            let result = |method| {
                let options = options(method, constraint, 20);
                let ascent = finished(&function, &starts(10, 30, seed), options);
                assert!(ascent.gradients() <= 210);
                median(ascent.losses())
            };
            let [baseline, adaptive, newton] = METHODS.map(result);
            let share = |loss: f64| (loss - baseline) / baseline.abs();
            // Vertices are local maxima of convex functions, so that the luck of a start counts.
            let luck: f64 = if constraint == Constraint::Box && sign >= 0.0 { -0.05 } else { 0.0 };
            assert!(
                share(adaptive) >= luck.min(-0.02),
                "{sign} {constraint:?} {adaptive} {baseline}"
            );
            assert!(share(newton) >= luck, "{sign} {constraint:?} {newton} {baseline}");
        }
    }
}

#[test]
fn a_basis_gives_the_ascent_of_the_restricted_function() {
    let (dim, size) = (6, 3);
    let function = Polynomial::random(dim, 0.0, 7);
    let mut basis = vec![0.0; size * dim];
    Gaussian::new(3, 3).fill(0, &mut basis);
    let rows: Vec<_> = basis.chunks(dim).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let image: Vec<Vec<_>> =
        rows.iter().map(|row| function.h.iter().map(|h| dot(h, row)).collect()).collect();
    let restricted = Polynomial {
        g: rows.iter().map(|row| dot(row, &function.g)).collect(),
        h: rows.iter().map(|row| image.iter().map(|image| dot(row, image)).collect()).collect(),
    };
    for method in METHODS {
        let options = options(method, Constraint::Ball, 15);
        let starts = starts(3, size, 1);
        let place = Neighbourhood::new(vec![0.0; dim], vec![1.0; size], Some(basis.clone()));
        let place = place.expect("fits");
        let mut ascent = Ascent::new(&function, place, &starts, None, options).expect("inside");
        ascent.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
        let twin = finished(&restricted, &starts, options);
        let pairs = ascent.losses().into_iter().zip(twin.losses());
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs()), "{method:?}");
    }
}

/// x₀ where x₀ < 1/2, and NaN beyond; with a plateau of gradient 0 where x₁ > 0.
struct Cliff;

impl ClosedForm for Cliff {
    fn dim(&self) -> usize {
        2
    }

    fn value(&self, x: &[f64]) -> f64 {
        if x[0] < 0.5 { x[0] } else { f64::NAN }
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        vec![if x[1] > 0.0 { 0.0 } else { 1.0 }, 0.0]
    }

    fn second_derivative(&self, _: &[f64], _: usize, _: usize) -> f64 {
        0.0
    }
}

#[test]
fn rows_that_ended_are_not_evaluated_and_keep_their_best_loss() {
    let starts = [-0.9, 0.0, 0.2, 0.1, 0.7, 0.0, 0.1, 0.0];
    for method in METHODS {
        let ascent = finished(&Cliff, &starts, options(method, Constraint::Ball, 50));
        let losses = ascent.losses();
        let ends = ascent.statuses();
        assert_eq!((ends[1], losses[1]), (Status::Converged, 0.2), "the plateau");
        assert_eq!(ends[2], Status::Diverged, "the start");
        assert!(losses[2].is_nan());
        assert_eq!([ends[0], ends[3]], [Status::Diverged; 2], "{method:?}");
        assert!(
            losses[0] >= -0.9
                && losses[3] >= 0.1
                && losses.iter().all(|loss| loss.is_nan() || *loss < 0.5)
        );
        assert_eq!(ascent.status(), Status::Converged, "of those that have not diverged");
        let evaluated = ascent.history().len() as u64 / 4;
        assert!(ascent.gradients() <= 2 + 2 * evaluated, "{method:?}");
    }
    let lost = finished(&Cliff, &[0.7, 0.0], options(LBFGS, Constraint::Ball, 5));
    assert_eq!((lost.status(), lost.steps()), (Status::Diverged, 0));
    assert!(lost.max_loss().is_nan());
}

#[test]
fn the_history_is_that_of_the_best_losses() {
    let function = Polynomial::random(9, 0.0, 1);
    for method in METHODS {
        let ascent = finished(&function, &starts(3, 9, 1), options(method, Constraint::Box, 12));
        let rows: Vec<_> = ascent.history().chunks(3).collect();
        assert_eq!(rows.len(), ascent.steps() + 1);
        assert_eq!(rows.last().expect("one"), &ascent.losses());
        assert!(rows.windows(2).all(|pair| (0..3).all(|row| pair[0][row] <= pair[1][row])));
    }
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    let function = Rosenbrock { dim: 4 };
    let start = starts(3, 4, 2);
    let place = || Neighbourhood::new(vec![1.0; 4], vec![0.5, 1.0, 2.0, 0.3], None).expect("fits");
    let start: Vec<_> = start.iter().map(|entry| 0.2 * entry).collect();
    for method in METHODS {
        for constraint in [Constraint::Ball, Constraint::Box] {
            let new = || {
                let options = options(method, constraint, 15);
                Ascent::new(&function, place(), &start, Some(vec![0; 3]), options).expect("inside")
            };
            let mut whole = new();
            whole.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
            for stop in [0, 1, 2, 5, 11, 15] {
                let mut ascent = new();
                for _ in 0..stop {
                    ascent.step(&function, &Cancel::new()).expect("finite");
                }
                let mut again = Ascent::resume(ascent.checkpoint()).expect("its own");
                again.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
                assert_eq!(again.checkpoint(), whole.checkpoint(), "{method:?} after {stop}");
            }
        }
    }
}

#[test]
fn single_precision_finds_the_same_maxima() {
    let function = Polynomial::random(8, 0.0, 2);
    let exact = function.max_in_ball(1.0);
    let place = Neighbourhood::new(vec![0.0_f32; 8], vec![1.0; 8], None).expect("fits");
    let starts: Vec<_> = starts(5, 8, 2).iter().map(|x| f32::from_f64(*x)).collect();
    let options = options(AscentMethod::Lbfgs { tolerance: 1e-3 }, Constraint::Ball, 200);
    let mut ascent = Ascent::new(&function, place, &starts, None, options).expect("inside");
    ascent.run(&function, &Cancel::new(), |_| Ok(true)).expect("finite");
    assert!((ascent.max_loss() - exact).abs() < 1e-5 * exact, "{} {exact}", ascent.max_loss());
    assert!(ascent.steps() < 200, "{:?}", ascent.statuses());
}

trait FromF64 {
    fn from_f64(value: f64) -> Self;
}

impl FromF64 for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to nearest is the purpose")]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let function = Polynomial::random(2, 1.0, 0);
    let good = options(LBFGS, Constraint::Ball, 5);
    let new = |starts: &[f64], batches, options| {
        let place = Neighbourhood::new(vec![0.0; 2], vec![1.0, 0.0], None).expect("fits");
        Ascent::new(&function, place, starts, batches, options).err()
    };
    assert!(new(&[0.5, 0.0], None, good).is_none());
    for (starts, batches, options) in [
        (&[1.1, 0.0][..], None, good),
        (&[0.0, 0.1], None, good),
        (&[0.0], None, good),
        (&[], None, good),
        (&[f64::NAN, 0.0], None, good),
        (&[0.0, 0.0], Some(vec![1]), good),
        (&[0.0, 0.0], Some(vec![0, 0]), good),
        (&[0.0, 0.0], None, AscentOptions { radius: 0.0, ..good }),
        (&[0.0, 0.0], None, AscentOptions { steps: 0, ..good }),
        (
            &[0.0, 0.0],
            None,
            options(AscentMethod::Projected { step: Some(0.0) }, good.constraint, 5),
        ),
        (&[0.0, 0.0], None, options(AscentMethod::Lbfgs { tolerance: 1.0 }, good.constraint, 5)),
    ] {
        let refused = new(starts, batches.clone(), options);
        assert!(matches!(refused, Some(Error::Invalid(_))), "{starts:?} {batches:?} {options:?}");
    }
}
