//! Huber loss: ½ d² where |d| < δ, and δ (|d| − ½ δ) elsewhere, with d = z − t.

use std::array::from_fn;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::loss::elements::Rule;
use crate::network::loss::panel::Lanes;

pub(super) struct Huber {
    delta: f64,
}

impl Huber {
    /// # Errors
    /// [`Error::Invalid`] unless δ > 0.
    pub fn new(delta: f64) -> Result<Self, Error> {
        require!(
            delta > 0.0 && delta.is_finite(),
            "Huber got delta {delta}; pass a positive number"
        );
        Ok(Self { delta })
    }
}

impl Rule for Huber {
    const NAME: &'static str = "Huber";

    #[inline(always)]
    fn losses(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let delta = self.delta;
        from_fn(|i| {
            let d = (z[i] - t[i]).abs();
            if d < delta { 0.5 * d * d } else { delta * (d - 0.5 * delta) }
        })
    }

    /// d clamped to [−δ, δ]. NaN stays NaN, as in PyTorch.
    #[inline(always)]
    fn gradients(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let delta = self.delta;
        from_fn(|i| {
            let d = z[i] - t[i];
            let above = if d < -delta { -delta } else { d };
            if above > delta { delta } else { above }
        })
    }

    /// 1 where |d| < δ, 0 elsewhere.
    #[inline(always)]
    fn hessians(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| if (z[i] - t[i]).abs() < self.delta { 1.0 } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, dense, near};

    #[test]
    fn huber_is_a_parabola_between_lines() {
        let case = Case::new(r#"{"kind":"huber","delta":2.0}"#, 4, 1, dense(&[0.0; 4], 4));
        let z = [1.0, -3.0, 2.0, f64::NAN];
        near(&[case.loss(0, &[1.0, -3.0, 2.0, 0.0])], &[0.5 + 4.0 + 2.0], 1e-15);
        assert!(case.loss(0, &z).is_nan());
        assert_eq!(case.loss(0, &[f64::INFINITY, 0.0, 0.0, 0.0]), f64::INFINITY);
        let gradient = case.gradient(0, &z);
        assert_eq!(gradient[..3], [1.0, -2.0, 2.0]);
        assert!(gradient[3].is_nan());
        assert_eq!(case.product(Curvature::Hessian, 0, &z, &[1.0; 4]), [1.0, 0.0, 0.0, 0.0]);
    }
}
