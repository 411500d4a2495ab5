//! Affine function with constants: y = s x + t with constants s and t.

use serde::Deserialize;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::Real;
use crate::network::layers::activation::{At, Function, build_activation, map};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    scale: f64,
    shift: f64,
}

struct Affine<T> {
    scale: T,
    shift: T,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { scale, shift } = spec.options()?;
    build_activation(spec, Affine { scale: T::narrow(scale), shift: T::narrow(shift) })
}

impl<T: Real> Function<T> for Affine<T> {
    fn value(&self, isa: Isa, x: &mut [T]) {
        map(isa, x, |x| self.scale * x + self.shift);
    }

    #[inline(always)]
    fn derivative(&self, _: At<T>) -> T {
        self.scale
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
    fn affine_scales_and_shifts() {
        let options = json!({"scale": -2.0, "shift": 0.5});
        let outputs = Sketch::new(&[2]).then("affine", options.clone(), &[2]).outputs(&[1.0, -3.0]);
        assert_eq!(outputs, [-1.5, 6.5]);
        check(&Sketch::moving(&[3]).then("affine", options, &[3]).then("tanh", json!({}), &[3]));
    }
}
