//! GELU: y = x Φ(x) with the normal distribution's Φ, or with a hyperbolic tangent close to it.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use serde::Deserialize;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::{self, Real};
use crate::network::layers::activation::{At, Function, PARTS, build_activation, map, map_with};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approximation {
    None,
    Tanh,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    approximate: Approximation,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { approximate } = spec.options()?;
    match approximate {
        Approximation::None => build_activation(spec, Normal),
        Approximation::Tanh => build_activation(spec, Tanh),
    }
}

/// x Φ(x), where Φ(x) = (1 + erf(x/√2)) / 2 and Φ′ = φ.
struct Normal;

/// Φ.
fn distribution<T: Real>(isa: Isa) -> impl Fn(&mut [T]) {
    let (half, root) = (T::narrow(0.5), T::narrow(FRAC_1_SQRT_2));
    move |x| {
        map(isa, x, |x| x * root);
        kernel::erf(isa, x);
        map(isa, x, |erf| half * (T::ONE + erf));
    }
}

/// φ(x) = e^{−x²/2} / √(2π).
fn density<T: Real>(isa: Isa) -> impl Fn(&mut [T]) {
    let (half, factor) = (T::narrow(0.5), T::narrow(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2));
    move |x| {
        map(isa, x, |x| -(x * x * half));
        kernel::exp(isa, x);
        map(isa, x, |e| e * factor);
    }
}

impl<T: Real> Function<T> for Normal {
    fn value(&self, isa: Isa, x: &mut [T]) {
        map_with(isa, x, distribution(isa), |x, phi| x * phi);
    }

    /// Φ and φ.
    fn prepare(&self, isa: Isa, x: &[T], [cdf, pdf]: [&mut [T]; PARTS]) {
        cdf.copy_from_slice(x);
        distribution(isa)(cdf);
        pdf.copy_from_slice(x);
        density(isa)(pdf);
    }

    /// Φ + x φ.
    #[inline(always)]
    fn derivative(&self, At { x, parts: [cdf, pdf], .. }: At<T>) -> T {
        x * pdf + cdf
    }

    /// φ (2 − x²).
    #[inline(always)]
    fn second_derivative(&self, At { x, parts: [_, pdf], .. }: At<T>) -> T {
        pdf * (T::ONE + T::ONE - x * x)
    }
}

/// x (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³).
struct Tanh;

const CUBE: f64 = 0.044_715;
/// √(2/π).
const SCALE: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

/// tanh u.
fn tanh<T: Real>(isa: Isa) -> impl Fn(&mut [T]) {
    let (cube, scale) = (T::narrow(CUBE), T::narrow(SCALE));
    move |x| {
        map(isa, x, |x| scale * (x + cube * x * x * x));
        kernel::tanh(isa, x);
    }
}

/// u′.
#[inline(always)]
fn inner<T: Real>(x: T) -> T {
    T::narrow(SCALE) * (T::ONE + T::narrow(3.0 * CUBE) * x * x)
}

impl<T: Real> Function<T> for Tanh {
    fn value(&self, isa: Isa, x: &mut [T]) {
        let half = T::narrow(0.5);
        map_with(isa, x, tanh(isa), |x, t| half * x * (T::ONE + t));
    }

    /// tanh u.
    fn prepare(&self, isa: Isa, x: &[T], [t, _]: [&mut [T]; PARTS]) {
        t.copy_from_slice(x);
        tanh(isa)(t);
    }

    /// (1 + t)/2 + x (1 − t²) u′ / 2.
    #[inline(always)]
    fn derivative(&self, At { x, parts: [t, _], .. }: At<T>) -> T {
        let half = T::narrow(0.5);
        half * (T::ONE + t) + half * x * (T::ONE - t * t) * inner(x)
    }

    /// (1 − t²) (u′ + x (u″/2 − t u′²)).
    #[inline(always)]
    fn second_derivative(&self, At { x, parts: [t, _], .. }: At<T>) -> T {
        let (rest, inner) = (T::ONE - t * t, inner(x));
        let factor = inner + x * (T::narrow(3.0 * SCALE * CUBE) * x - t * inner * inner);
        // where tanh is ±1, the powers of x may have overflowed
        if rest == T::ZERO { T::ZERO } else { rest * factor }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    #[test]
    fn gelu_is_x_times_a_distribution_function() {
        let x = [2.0, -1e-9, -1.5, 0.0, -10.0, 1e4];
        let gelu = |name| Sketch::new(&[1]).then("gelu", json!({"approximate": name}), &[1]);
        let root = (2.0 / std::f64::consts::PI).sqrt();
        let normal = x.map(|x: f64| x * 0.5 * (1.0 + libm::erf(x / 2.0_f64.sqrt())));
        let tanh = x.map(|x: f64| 0.5 * x * (1.0 + libm::tanh(root * (x + 0.044_715 * x.powi(3)))));
        close("gelu", "output", &gelu("none").outputs(&x), &normal, 1e-14);
        close("gelu tanh", "output", &gelu("tanh").outputs(&x), &tanh, 1e-14);
        assert!(gelu("other").refusal().contains("got the options"));
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for name in ["none", "tanh"] {
            // more features than one chunk has numbers
            check(&Sketch::moving(&[40]).then("gelu", json!({"approximate": name}), &[40]));
        }
    }
}
