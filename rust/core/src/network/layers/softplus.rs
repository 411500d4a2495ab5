//! Softplus: y = log(1 + e^{βx}) / β, and x where βx is above a threshold.

use serde::Deserialize;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, PARTS, build_activation, map, map_with};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    beta: f64,
    threshold: f64,
}

struct Softplus<T> {
    beta: T,
    threshold: T,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { beta, threshold } = spec.options()?;
    let beta = T::narrow(beta);
    require!(beta != T::ZERO, "got beta = 0; pass another number");
    build_activation(spec, Softplus { beta, threshold: T::narrow(threshold) })
}

impl<T: Real> Softplus<T> {
    /// f(βx).
    fn with_scaled_input(&self, isa: Isa, f: fn(Isa, &mut [T])) -> impl Fn(&mut [T]) {
        move |x| {
            map(isa, x, |x| x * self.beta);
            f(isa, x);
        }
    }

    #[inline(always)]
    fn is_linear(&self, x: T) -> bool {
        x * self.beta > self.threshold
    }
}

impl<T: Real> Function<T> for Softplus<T> {
    fn value(&self, isa: Isa, x: &mut [T]) {
        let value = |x, soft| if self.is_linear(x) { x } else { soft / self.beta };
        map_with(isa, x, self.with_scaled_input(isa, kernel::softplus), value);
    }

    /// σ(βx).
    fn prepare(&self, isa: Isa, x: &[T], [s, _]: [&mut [T]; PARTS]) {
        s.copy_from_slice(x);
        self.with_scaled_input(isa, kernel::sigmoid)(s);
    }

    /// σ(βx).
    #[inline(always)]
    fn derivative(&self, At { x, parts: [s, _], .. }: At<T>) -> T {
        if self.is_linear(x) { T::ONE } else { s }
    }

    /// β σ(βx) (1 − σ(βx)).
    #[inline(always)]
    fn second_derivative(&self, At { x, parts: [s, _], .. }: At<T>) -> T {
        if self.is_linear(x) { T::ZERO } else { self.beta * s * (T::ONE - s) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    #[test]
    fn softplus_is_linear_above_the_threshold() {
        let options = json!({"beta": 2.0, "threshold": 3.0});
        let sketch = Sketch::new(&[1]).then("softplus", options.clone(), &[1]);
        let x = [1.6, 1.4, -1e-9, -1.5, 0.0, -1e4, 1e4];
        let soft = |x: f64| libm::log1p(libm::exp(2.0 * x)) / 2.0;
        let expected = x.map(|x| if 2.0 * x > 3.0 { x } else { soft(x) });
        close("softplus", "output", &sketch.outputs(&x), &expected, 1e-14);
        check(&Sketch::moving(&[5]).then("softplus", options, &[5]));
        check(&Sketch::moving(&[5]).then(
            "softplus",
            json!({"beta": 0.5, "threshold": 20.0}),
            &[5],
        ));
    }

    #[test]
    fn beta_must_not_be_zero() {
        let options = json!({"beta": 0.0, "threshold": 3.0});
        assert!(Sketch::new(&[1]).then("softplus", options, &[1]).refusal().contains("beta = 0"));
    }
}
