//! SiLU: y = x σ(x).

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, PARTS, build_activation, map_with};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

struct Silu;

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    build_activation(spec, Silu)
}

impl<T: Real> Function<T> for Silu {
    fn value(&self, isa: Isa, x: &mut [T]) {
        map_with(isa, x, |x| kernel::sigmoid(isa, x), |x, s| x * s);
    }

    /// σ.
    fn prepare(&self, isa: Isa, x: &[T], [s, _]: [&mut [T]; PARTS]) {
        s.copy_from_slice(x);
        kernel::sigmoid(isa, s);
    }

    /// σ (1 + x (1 − σ)).
    #[inline(always)]
    fn derivative(&self, At { x, parts: [s, _], .. }: At<T>) -> T {
        s * (T::ONE + x * (T::ONE - s))
    }

    /// σ (1 − σ) (2 + x (1 − 2σ)).
    #[inline(always)]
    fn second_derivative(&self, At { x, parts: [s, _], .. }: At<T>) -> T {
        let two = T::ONE + T::ONE;
        s * (T::ONE - s) * (two + x * (T::ONE - two * s))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    #[test]
    fn silu_is_x_times_its_sigmoid() {
        let sketch = Sketch::new(&[1]).then("silu", json!({}), &[1]);
        let x = [2.0, -1e-9, -1.5, 0.0, -1e4, 1e4];
        let expected = x.map(|x: f64| x / (1.0 + libm::exp(-x)));
        close("silu", "output", &sketch.outputs(&x), &expected, 1e-14);
        check(&Sketch::moving(&[5]).then("silu", json!({}), &[5]));
    }
}
