//! Langevin sampling of posteriors whose means are known.

use landscape_core::analytic::ClosedForm;
use landscape_core::sampling::{GradientData, Langevin, LangevinOptions, Noise, Preconditioner};
use landscape_core::{
    BatchedObjective, Cancel, Error, LinearOperator, Objective, Resumable, Solver, Status, Subspace,
};

const NBETA: f64 = 10.0;
const GAMMA: f64 = 5.0;
const CURVATURES: [f64; 5] = [0.0, 0.5, 1.0, 3.0, 10.0];
const RMSPROP: Preconditioner = Preconditioner::Rmsprop { decay: 0.99, damping: 1.0 };

/// Σ hᵢ xᵢ²/2.
struct Diagonal;

impl ClosedForm for Diagonal {
    fn dim(&self) -> usize {
        5
    }

    fn value(&self, x: &[f64]) -> f64 {
        CURVATURES.iter().zip(x).map(|(h, x)| h * x * x / 2.0).sum()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        CURVATURES.iter().zip(x).map(|(h, x)| h * x).collect()
    }

    fn second_derivative(&self, _: &[f64], i: usize, j: usize) -> f64 {
        if i == j { CURVATURES[i] } else { 0.0 }
    }
}

/// x⁴.
struct Quartic;

impl ClosedForm for Quartic {
    fn dim(&self) -> usize {
        1
    }

    fn value(&self, x: &[f64]) -> f64 {
        x[0].powi(4)
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        vec![4.0 * x[0].powi(3)]
    }

    fn second_derivative(&self, x: &[f64], _: usize, _: usize) -> f64 {
        12.0 * x[0] * x[0]
    }
}

fn options(noise: Noise, preconditioner: Preconditioner, step: f64) -> LangevinOptions {
    LangevinOptions {
        chains: 16,
        step,
        nbeta: NBETA,
        localisation: GAMMA,
        burn_in: 100,
        draws: 1500,
        thinning: 1,
        seed: 2,
        preconditioner,
        noise,
        data: GradientData::All,
    }
}

fn finished(objective: &dyn BatchedObjective<f64>, options: LangevinOptions) -> Langevin<f64> {
    let centre = vec![0.0; objective.dim()];
    let mut sampler = Langevin::new(objective, centre, options).expect("options fit");
    sampler.run(objective, &Cancel::new(), |_| Ok(true)).expect("finite");
    sampler
}

/// nβ E[L − L₀] with its standard error, from the means of chains.
fn mean_excess(sampler: &Langevin<f64>) -> (f64, f64) {
    let chains = sampler.options().chains;
    let mut means = vec![0.0; chains];
    for (index, (loss, reference)) in sampler.losses().iter().zip(sampler.references()).enumerate()
    {
        means[index % chains] += NBETA * (loss - reference) / sampler.draws() as f64;
    }
    let mean = means.iter().sum::<f64>() / chains as f64;
    let variance: f64 = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (chains - 1) as f64;
    (mean, (variance / chains as f64).sqrt())
}

/// nβ E[L − L₀] of the chain, with the factor by which a direction's variance is wrong.
fn expected(bias: impl Fn(f64) -> f64) -> f64 {
    let term = |h: f64| NBETA * h / (2.0 * (NBETA * h + GAMMA)) * bias(NBETA * h + GAMMA);
    CURVATURES.iter().map(|&h| term(h)).sum()
}

#[test]
fn averaged_noise_has_no_bias_on_quadratics_and_that_of_euler_is_known() {
    // 3/4 of the largest stable step, 4/(nβ h + γ).
    let step = 3.0 / (NBETA * 10.0 + GAMMA);
    let (mean, error) =
        mean_excess(&finished(&Diagonal, options(Noise::Averaged, Preconditioner::None, step)));
    let exact = expected(|_| 1.0);
    assert!((mean - exact).abs() < 4.0 * error && error < 0.02 * exact, "{mean} {error} {exact}");
    let (mean, error) =
        mean_excess(&finished(&Diagonal, options(Noise::Euler, Preconditioner::None, step)));
    let biased = expected(|curvature| 1.0 / (1.0 - step * curvature / 4.0));
    assert!((mean - biased).abs() < 4.0 * error, "{mean} {error} {biased}");
    assert!((biased - exact) > 20.0 * error, "the bias is seen");
}

#[test]
fn a_learned_preconditioner_leaves_the_posterior_as_it_is() {
    let sampler = finished(&Diagonal, options(Noise::Averaged, RMSPROP, 0.03));
    let (mean, error) = mean_excess(&sampler);
    let exact = expected(|_| 1.0);
    assert!((mean - exact).abs() < 3.0 * error && error < 0.02 * exact, "{mean} {error} {exact}");
    let scales = sampler.preconditioner();
    assert_eq!(scales[0], 1.0, "no gradient: 1/λ");
    assert!(scales.windows(2).all(|pair| pair[0] > pair[1]), "{scales:?}");
    // √v is near the standard deviation h/√(nβ h + γ) of the gradient.
    let steep = 1.0 / (10.0 / 105.0_f64.sqrt() + 1.0);
    assert!((scales[4] - steep).abs() < 0.15 * steep, "{} {steep}", scales[4]);
}

#[test]
fn a_quartic_agrees_with_quadrature() {
    let density = |x: f64| (-NBETA * x.powi(4) - GAMMA * x * x / 2.0).exp();
    let grid: Vec<_> = (-4000..=4000).map(|i| f64::from(i) / 1000.0).collect();
    let total: f64 = grid.iter().map(|&x| density(x)).sum();
    let exact = grid.iter().map(|&x| NBETA * x.powi(4) * density(x)).sum::<f64>() / total;
    let sampler = finished(
        &Quartic,
        LangevinOptions { thinning: 3, ..options(Noise::Averaged, Preconditioner::None, 0.02) },
    );
    let (mean, error) = mean_excess(&sampler);
    assert!((mean - exact).abs() < 4.0 * error && error < 0.05 * exact, "{mean} {error} {exact}");
    assert_eq!((sampler.draws(), sampler.steps()), (1500, 4600));
}

/// Two batches, x²/2 + 1 and x²/2 + 5, that record which were evaluated at the centre.
struct Batches;

impl Objective<f64> for Batches {
    fn dim(&self) -> usize {
        1
    }

    fn losses(&self, points: &[f64], out: &mut [f64], _: &Cancel) -> Result<(), Error> {
        for (x, loss) in points.iter().zip(out) {
            *loss = x * x / 2.0 + 3.0;
        }
        Ok(())
    }

    fn gradients(
        &self,
        points: &[f64],
        losses: &mut [f64],
        gradients: &mut [f64],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        gradients.copy_from_slice(points);
        self.losses(points, losses, cancel)
    }

    fn curvature_at<'a>(&'a self, _: &[f64]) -> Result<Box<dyn LinearOperator<f64> + 'a>, Error> {
        unreachable!("no method needs it")
    }

    fn subspace<'a>(&'a self, _: &[f64], _: &[&[f64]]) -> Result<Box<dyn Subspace + 'a>, Error> {
        unreachable!("no method needs it")
    }
}

impl BatchedObjective<f64> for Batches {
    fn batches(&self) -> Result<usize, Error> {
        Ok(2)
    }

    fn gradients_on(
        &self,
        points: &[f64],
        batches: &[usize],
        losses: &mut [f64],
        gradients: &mut [f64],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.gradients(points, losses, gradients, cancel)?;
        for (loss, batch) in losses.iter_mut().zip(batches) {
            *loss += 4.0 * *batch as f64 - 2.0;
        }
        Ok(())
    }
}

#[test]
fn references_are_those_of_the_same_batch_and_computed_once() {
    let options = LangevinOptions {
        chains: 3,
        draws: 40,
        data: GradientData::MiniBatch,
        ..options(Noise::Averaged, Preconditioner::None, 0.1)
    };
    let sampler = finished(&Batches, options);
    assert_eq!(sampler.gradients(), 140 * 3 + 2);
    let excess: Vec<_> =
        sampler.losses().iter().zip(sampler.references()).map(|(a, b)| a - b).collect();
    assert!(excess.iter().all(|excess| (0.0..3.0).contains(excess)), "{excess:?}");
    let low = sampler.references().iter().filter(|reference| **reference == 1.0).count();
    assert_eq!(low, 60, "every epoch has both batches");
    // The points do not depend on the batch here: the control variate removes it altogether.
    let all = finished(&Batches, LangevinOptions { data: GradientData::All, ..options });
    assert_eq!(all.points(), sampler.points());
    let pairs = all.losses().iter().zip(&excess);
    assert!(pairs.into_iter().all(|(loss, excess)| (loss - 3.0 - excess).abs() < 1e-14));
}

#[test]
fn a_step_that_is_not_stable_ends_as_diverged_with_draws_of_nan() {
    let wild = options(Noise::Averaged, Preconditioner::None, 4.4 / (NBETA * 10.0 + GAMMA));
    let wild = LangevinOptions { burn_in: 0, ..wild };
    let sampler = finished(&Diagonal, wild);
    assert_eq!(sampler.status(), Status::Diverged);
    assert!(sampler.statuses().iter().all(|status| *status == Status::Diverged));
    assert!(sampler.points().iter().all(|entry| entry.is_finite()));
    assert!(sampler.losses().iter().rev().take(1).all(|loss| loss.is_nan()));
    assert!(!sampler.losses()[0].is_nan() && sampler.draws() < wild.draws);
    let stable = LangevinOptions { step: 3.9 / 105.0, ..wild };
    assert_eq!(finished(&Diagonal, stable).status(), Status::Complete);
}

#[test]
fn the_same_bits_after_a_resume_at_any_step() {
    for noise in [Noise::Euler, Noise::Averaged] {
        for preconditioner in [Preconditioner::None, RMSPROP] {
            let options = LangevinOptions {
                chains: 3,
                burn_in: 4,
                draws: 3,
                thinning: 2,
                data: GradientData::MiniBatch,
                ..options(noise, preconditioner, 0.02)
            };
            let whole = finished(&Diagonal, options);
            for stop in [0, 1, 3, 4, 5, 7, 10] {
                let mut sampler = Langevin::new(&Diagonal, vec![0.0; 5], options).expect("fits");
                for _ in 0..stop {
                    sampler.step(&Diagonal, &Cancel::new()).expect("finite");
                }
                let mut again = Langevin::resume(sampler.checkpoint()).expect("its own");
                again.run(&Diagonal, &Cancel::new(), |_| Ok(true)).expect("finite");
                assert_eq!(again.checkpoint(), whole.checkpoint(), "after {stop}");
            }
            let other = finished(&Diagonal, LangevinOptions { seed: 3, ..options });
            assert_ne!(other.points(), whole.points());
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let good = options(Noise::Averaged, RMSPROP, 0.1);
    for wrong in [
        LangevinOptions { chains: 0, ..good },
        LangevinOptions { step: 0.0, ..good },
        LangevinOptions { nbeta: f64::INFINITY, ..good },
        LangevinOptions { localisation: -1.0, ..good },
        LangevinOptions { burn_in: 0, ..good },
        LangevinOptions { draws: 0, ..good },
        LangevinOptions { thinning: 0, ..good },
        LangevinOptions { draws: usize::MAX, ..good },
        LangevinOptions {
            preconditioner: Preconditioner::Rmsprop { decay: 1.0, damping: 1.0 },
            ..good
        },
        LangevinOptions {
            preconditioner: Preconditioner::Rmsprop { decay: 0.9, damping: 0.0 },
            ..good
        },
    ] {
        let refused = Langevin::<f64>::new(&Diagonal, vec![0.0; 5], wrong).err();
        assert!(matches!(refused, Some(Error::Invalid(_))), "{wrong:?}");
    }
    assert!(Langevin::<f64>::new(&Diagonal, vec![0.0; 4], good).is_err());
    assert!(Langevin::<f64>::new(&Diagonal, vec![f64::NAN; 5], good).is_err());
}
