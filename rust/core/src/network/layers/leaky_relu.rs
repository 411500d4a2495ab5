//! Leaky ReLU: y = x where x > 0, α x elsewhere.

use serde::Deserialize;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::Real;
use crate::network::layers::activation::{At, Function, build_activation, map};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(rename = "slope")]
    negative_slope: f64,
}

struct LeakyRelu<T> {
    negative_slope: T,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { negative_slope } = spec.options()?;
    build_activation(spec, LeakyRelu { negative_slope: T::narrow(negative_slope) })
}

impl<T: Real> Function<T> for LeakyRelu<T> {
    fn value(&self, isa: Isa, x: &mut [T]) {
        map(isa, x, |x| if x > T::ZERO { x } else { x * self.negative_slope });
    }

    #[inline(always)]
    fn derivative(&self, At { x, .. }: At<T>) -> T {
        if x > T::ZERO { T::ONE } else { self.negative_slope }
    }

    #[inline(always)]
    fn second_derivative(&self, _: At<T>) -> T {
        T::ZERO
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn leaky_relu_scales_negative_inputs() {
        let options = json!({"slope": 0.25});
        let sketch = Sketch::new(&[4]).then("leaky_relu", options.clone(), &[4]);
        assert_eq!(sketch.outputs(&[2.0, -2.0, 0.0, -8.0]), [2.0, -0.5, 0.0, -2.0]);
        assert!(sketch.outputs(&[f64::NAN; 4])[0].is_nan());
        check(&Sketch::moving(&[5]).then("leaky_relu", options, &[5]).then(
            "tanh",
            json!({}),
            &[5],
        ));
    }
}
