//! y = tanh x.

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, built};
use crate::network::layers::{Built, Plan};

struct Tanh;

pub(super) fn build<T: Real>(plan: &mut Plan<'_>) -> Result<Built<T>, Error> {
    plan.no_options()?;
    built(plan, Tanh)
}

impl<T: Real> Function<T> for Tanh {
    fn value(&self, isa: Isa, x: &mut [T]) {
        kernel::tanh(isa, x);
    }

    /// tanh′ = 1 − tanh².
    #[inline(always)]
    fn slope(&self, At { y, .. }: At<T>) -> T {
        T::ONE - y * y
    }

    /// tanh″ = −2 tanh (1 − tanh²).
    #[inline(always)]
    fn curvature(&self, At { y, .. }: At<T>) -> T {
        -(y + y) * (T::ONE - y * y)
    }

    fn is_tanh(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn its_rules_are_those_of_differences() {
        check(&Sketch::moving(&[5]).then("tanh", json!({}), &[5]));
    }
}
