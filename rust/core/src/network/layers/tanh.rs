//! Hyperbolic tangent: y = tanh x.

use crate::error::Error;
use crate::isa::Isa;
use crate::network::fusion::Fusion;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, build_activation};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

struct Tanh;

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    build_activation(spec, Tanh)
}

impl<T: Real> Function<T> for Tanh {
    fn value(&self, isa: Isa, x: &mut [T]) {
        kernel::tanh(isa, x);
    }

    /// tanh′ = 1 − tanh².
    #[inline(always)]
    fn derivative(&self, At { y, .. }: At<T>) -> T {
        T::ONE - y * y
    }

    /// tanh″ = −2 tanh (1 − tanh²).
    #[inline(always)]
    fn second_derivative(&self, At { y, .. }: At<T>) -> T {
        -(y + y) * (T::ONE - y * y)
    }

    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::Tanh
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn derivatives_agree_with_finite_differences() {
        check(&Sketch::moving(&[5]).then("tanh", json!({}), &[5]));
    }
}
