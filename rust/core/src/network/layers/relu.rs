//! ReLU: y = max(0, x).
//!
//! A derivative passes where x > 0, and where x is NaN, as in PyTorch. It is selected, not
//! multiplied by 0 or 1: where x ≤ 0 even an infinite derivative becomes 0.

use crate::error::Error;
use crate::network::fusion::Fusion;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::pass::{Pass, Primal};

struct Relu;

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    let [shape] = spec.inputs()?;
    let [] = spec.tensors()?;
    Ok(BuiltLayer { layer: Box::new(Relu), shape })
}

/// The derivative by x, from the output and the derivative by it.
#[inline]
fn select_derivative<T: Real>(y: T, derivative: T) -> T {
    if y <= T::ZERO { T::ZERO } else { derivative }
}

impl<T: Real> Layer<T> for Relu {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x[0]) {
                    *y = x.maximum(T::ZERO);
                }
            },
        );
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        _: &[&[T]],
        y: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let Some(x_dot) = x_dot[0] else { return y_dot.fill(T::ZERO) };
        pass.isa.run(
            #[inline(always)]
            || {
                for ((out, &y), &dx) in y_dot.iter_mut().zip(y).zip(x_dot) {
                    *out = select_derivative(y, dx);
                }
            },
        );
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || {
                for ((out, &y), &bar) in x_bar.iter_mut().zip(primal.y).zip(primal.y_bar) {
                    *out += select_derivative(y, bar);
                }
            },
        );
    }

    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::Relu
    }

    fn runs_in_place(&self) -> bool {
        true
    }

    fn in_place(&self, pass: &Pass<'_, T>, values: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || {
                for value in values {
                    *value = value.maximum(T::ZERO);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Relu;
    use crate::isa::Isa;
    use crate::network::layer::Layer;
    use crate::network::layers::check::{Sketch, check};
    use crate::network::pass::{Moments, Packed, Pass, Primal};

    #[test]
    fn derivatives_agree_with_finite_differences() {
        check(&Sketch::moving(&[5]).then("relu", json!({}), &[5]));
        check(&Sketch::moving(&[2, 3]).then("relu", json!({}), &[2, 3]).then(
            "tanh",
            json!({}),
            &[2, 3],
        ));
    }

    #[test]
    fn derivatives_are_zero_where_relu_is_off_and_nan_stays() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let x = [-1.0, 0.0, -0.0, 2.0, -inf, inf, nan, -3.0];
        let mut y = [1.0; 8];
        let point = Packed::default();
        let moments = Moments::Stored;
        let isa = Isa::detect();
        let pass = Pass { isa, point: &point, direction: None, panels: 1, samples: 8, moments };
        Relu.forward(&pass, &[&x], &mut y);
        assert_eq!(y[..6], [0.0, 0.0, 0.0, 2.0, 0.0, inf]);
        assert!(y[6].is_nan());
        let y_bar = [inf, nan, inf, 3.0, nan, inf, 4.0, -inf];
        let mut x_bar = [0.0; 8];
        Relu.adjoint(&pass, 0, &Primal { x: &[&x], y: &y, y_bar: &y_bar }, &mut x_bar);
        assert_eq!(x_bar, [0.0, 0.0, 0.0, 3.0, 0.0, inf, 4.0, 0.0]);
    }
}
