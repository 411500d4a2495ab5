//! Absolute error: |z − t|.

use std::array::from_fn;

use crate::isa::Isa;
use crate::network::loss::elements::Rule;
use crate::network::loss::panel::{Lanes, ZEROS};

pub(super) struct L1;

impl Rule for L1 {
    const NAME: &'static str = "L1";

    #[inline(always)]
    fn losses(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| (z[i] - t[i]).abs())
    }

    /// The sign, which is 0 at 0 and, as in PyTorch, at NaN.
    #[inline(always)]
    fn gradients(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let one_if = |is: bool| if is { 1.0 } else { 0.0 };
        from_fn(|i| one_if(z[i] - t[i] > 0.0) - one_if(z[i] - t[i] < 0.0))
    }

    #[inline(always)]
    fn hessians(&self, _isa: Isa, _element: usize, _z: &Lanes, _t: &Lanes) -> Lanes {
        ZEROS
    }
}

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, dense};

    #[test]
    fn l1_is_the_sum_of_distances() {
        let case = Case::new(r#"{"kind":"l1"}"#, 4, 1, dense(&[1.0, -2.0, 0.0, 5.0], 4));
        assert_eq!(case.loss(0, &[3.0, -3.0, 0.0, 5.0]), 3.0);
        assert_eq!(case.gradient(0, &[3.0, -3.0, f64::NAN, 5.0]), [1.0, -1.0, 0.0, 0.0]);
        assert_eq!(case.loss(0, &[f64::NEG_INFINITY, 0.0, 0.0, 0.0]), f64::INFINITY);
        assert!(case.loss(0, &[f64::NAN; 4]).is_nan());
        assert!(case.loss.check_curvature(Curvature::Fisher).is_err());
    }
}
