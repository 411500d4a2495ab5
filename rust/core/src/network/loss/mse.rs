//! Squared error: (z − t)².

use std::array::from_fn;

use crate::isa::Isa;
use crate::network::loss::elements::{Noise, Rule};
use crate::network::loss::panel::{Lanes, WIDTH, ZEROS};

pub(super) struct Mse;

impl Rule for Mse {
    const NAME: &'static str = "MSE";
    const HAS_LIKELIHOOD: bool = true;

    #[inline(always)]
    fn losses(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| (z[i] - t[i]) * (z[i] - t[i]))
    }

    #[inline(always)]
    fn gradients(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| 2.0 * (z[i] - t[i]))
    }

    #[inline(always)]
    fn hessians(&self, _isa: Isa, _element: usize, _z: &Lanes, _t: &Lanes) -> Lanes {
        [2.0; WIDTH]
    }

    /// The gradient 2 (z − t), where t has mean z and variance ½.
    #[inline(always)]
    fn noise(&self, _isa: Isa, _element: usize, _z: &Lanes) -> Noise {
        Noise { mean: ZEROS, variance: [2.0; WIDTH] }
    }
}

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, dense, near};

    fn of(target: &[f64]) -> Case {
        Case::new(r#"{"kind":"mse"}"#, target.len(), 1, dense(target, target.len()))
    }

    #[test]
    fn mse_is_the_sum_of_squares() {
        let case = of(&[1.0, -2.0]);
        assert_eq!(case.loss(0, &[3.0, 1.0]), 13.0);
        assert_eq!(case.gradient(0, &[3.0, 1.0]), [4.0, 6.0]);
        assert_eq!(case.loss(0, &[f64::NEG_INFINITY, 1.0]), f64::INFINITY);
        assert!(case.loss(0, &[f64::NAN, 1.0]).is_nan());
        assert_eq!(case.product(Curvature::Hessian, 0, &[f64::NAN, 1.0], &[1.0, 2.0]), [2.0, 4.0]);
        assert!(case.loss.hits().is_none());
    }

    /// Targets one deviation to either side have the second moments of normal ones.
    #[test]
    fn fisher_matrix_is_the_mean_outer_product_of_gradients() {
        let (z, step) = ([0.3, -1.0], 0.5_f64.sqrt());
        let mut expected = [0.0; 4];
        for (a, b) in [(step, step), (step, -step), (-step, step), (-step, -step)] {
            let gradient = of(&[z[0] + a, z[1] + b]).gradient(0, &z);
            for (index, entry) in expected.iter_mut().enumerate() {
                *entry += 0.25 * gradient[index / 2] * gradient[index % 2];
            }
        }
        near(&of(&z).matrix(Curvature::Fisher, 0, &z).concat(), &expected, 1e-14);
    }
}
