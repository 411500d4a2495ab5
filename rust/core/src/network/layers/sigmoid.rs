//! Sigmoid: y = σ(x) = 1 / (1 + e⁻ˣ).

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, build_activation};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

struct Sigmoid;

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    build_activation(spec, Sigmoid)
}

impl<T: Real> Function<T> for Sigmoid {
    fn value(&self, isa: Isa, x: &mut [T]) {
        kernel::sigmoid(isa, x);
    }

    /// σ′ = σ (1 − σ).
    #[inline(always)]
    fn derivative(&self, At { y, .. }: At<T>) -> T {
        y * (T::ONE - y)
    }

    /// σ″ = σ (1 − σ) (1 − 2σ).
    #[inline(always)]
    fn second_derivative(&self, At { y, .. }: At<T>) -> T {
        y * (T::ONE - y) * (T::ONE - (y + y))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    #[test]
    fn sigmoid_is_a_probability() {
        let sketch = Sketch::new(&[1]).then("sigmoid", json!({}), &[1]);
        let x = [2.0, -1e-9, -1.5, 0.0, -1e4, 1e4];
        let expected = x.map(|x: f64| 1.0 / (1.0 + libm::exp(-x)));
        close("sigmoid", "output", &sketch.outputs(&x), &expected, 1e-14);
        check(&Sketch::moving(&[5]).then("sigmoid", json!({}), &[5]));
    }
}
