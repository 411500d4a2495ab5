//! ELU: y = x where x > 0, α (eˣ − 1) elsewhere.

use serde::Deserialize;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, PARTS, build_activation, map_with};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    alpha: f64,
}

struct Elu<T> {
    alpha: T,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { alpha } = spec.options()?;
    build_activation(spec, Elu { alpha: T::narrow(alpha) })
}

impl<T: Real> Function<T> for Elu<T> {
    fn value(&self, isa: Isa, x: &mut [T]) {
        let expm1 = |x: &mut [T]| kernel::expm1(isa, x);
        map_with(isa, x, expm1, |x, e| if x > T::ZERO { x } else { self.alpha * e });
    }

    /// eˣ.
    fn prepare(&self, isa: Isa, x: &[T], [e, _]: [&mut [T]; PARTS]) {
        e.copy_from_slice(x);
        kernel::exp(isa, e);
    }

    #[inline(always)]
    fn derivative(&self, At { x, parts: [e, _], .. }: At<T>) -> T {
        if x > T::ZERO { T::ONE } else { self.alpha * e }
    }

    #[inline(always)]
    fn second_derivative(&self, At { x, parts: [e, _], .. }: At<T>) -> T {
        if x > T::ZERO { T::ZERO } else { self.alpha * e }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    #[test]
    fn elu_saturates_at_minus_alpha() {
        for alpha in [1.0, 0.5] {
            let options = json!({"alpha": alpha});
            let sketch = Sketch::new(&[1]).then("elu", options.clone(), &[1]);
            let x = [2.0, -1e-9, -1.5, 0.0, -1e4, 1e4];
            let expected = x.map(|x: f64| if x > 0.0 { x } else { alpha * libm::expm1(x) });
            close("elu", "output", &sketch.outputs(&x), &expected, 1e-14);
            check(&Sketch::moving(&[5]).then("elu", options, &[5]));
        }
    }
}
