//! (z − t)².

use std::array::from_fn;

use crate::network::head::elements::{Noise, Rule};
use crate::network::head::panel::{Lanes, NOTHING, WIDTH};
use crate::network::kernel::Isa;

pub(super) struct Mse;

impl Rule for Mse {
    const NAME: &'static str = "MSE";
    const HAS_LIKELIHOOD: bool = true;

    #[inline]
    fn losses(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| (z[i] - t[i]) * (z[i] - t[i]))
    }

    #[inline]
    fn slopes(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| 2.0 * (z[i] - t[i]))
    }

    #[inline]
    fn hessians(&self, _isa: Isa, _element: usize, _z: &Lanes, _t: &Lanes) -> Lanes {
        [2.0; WIDTH]
    }

    /// The slope 2 (z − t), where t has mean z and variance ½.
    #[inline]
    fn noise(&self, _isa: Isa, _element: usize, _z: &Lanes) -> Noise {
        Noise { mean: NOTHING, variance: [2.0; WIDTH] }
    }
}
