//! |z − t|.

use std::array::from_fn;

use crate::network::head::elements::Rule;
use crate::network::head::panel::{Lanes, NOTHING};
use crate::network::kernel::Isa;

pub(super) struct L1;

impl Rule for L1 {
    const NAME: &'static str = "L1";

    #[inline]
    fn losses(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        from_fn(|i| (z[i] - t[i]).abs())
    }

    /// The sign, which is 0 at 0 and, as PyTorch has it, at NaN.
    #[inline]
    fn slopes(&self, _isa: Isa, _element: usize, z: &Lanes, t: &Lanes) -> Lanes {
        let one_if = |is: bool| if is { 1.0 } else { 0.0 };
        from_fn(|i| one_if(z[i] - t[i] > 0.0) - one_if(z[i] - t[i] < 0.0))
    }

    #[inline]
    fn hessians(&self, _isa: Isa, _element: usize, _z: &Lanes, _t: &Lanes) -> Lanes {
        NOTHING
    }
}
