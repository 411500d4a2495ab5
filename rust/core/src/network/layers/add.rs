//! Sum of two inputs: y = x₀ + α x₁.

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::fusion::Fusion;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::pass::{Pass, Primal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    alpha: f64,
}

struct Sum<T> {
    alpha: T,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { alpha } = spec.options()?;
    let [first, second] = spec.inputs()?;
    let [] = spec.tensors()?;
    require!(first == second, "got inputs of shapes {first:?} and {second:?}; pass equal ones");
    Ok(BuiltLayer { layer: Box::new(Sum { alpha: T::narrow(alpha) }), shape: first })
}

impl<T: Real> Sum<T> {
    fn factor(&self, which: usize) -> T {
        if which == 0 { T::ONE } else { self.alpha }
    }
}

impl<T: Real> Layer<T> for Sum<T> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || {
                for ((y, &first), &second) in y.iter_mut().zip(x[0]).zip(x[1]) {
                    *y = first + self.alpha * second;
                }
            },
        );
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        _: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        y_dot.fill(T::ZERO);
        for (which, x_dot) in x_dot.iter().enumerate() {
            if let Some(x_dot) = x_dot {
                add(pass, self.factor(which), x_dot, y_dot);
            }
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, which: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        add(pass, self.factor(which), primal.y_bar, x_bar);
    }

    fn fusion(&self) -> Fusion<'_, T> {
        if self.alpha == T::ONE { Fusion::Sum } else { Fusion::None }
    }
}

/// y += factor · x.
pub(super) fn add<T: Real>(pass: &Pass<'_, T>, factor: T, x: &[T], y: &mut [T]) {
    pass.isa.run(
        #[inline(always)]
        || {
            for (y, &x) in y.iter_mut().zip(x) {
                *y += factor * x;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for alpha in [1.0, -0.5] {
            let mut sketch = Sketch::moving(&[2, 3]).then("tanh", json!({}), &[2, 3]);
            sketch.add_node("add", &[2, 3], &[], json!({"alpha": alpha}), &[2, 3]);
            sketch.add_node("add", &[4, 4], &[], json!({"alpha": alpha}), &[2, 3]);
            check(&sketch.then("tanh", json!({}), &[2, 3]));
        }
    }

    /// Sums that are fused to a product: with a value, with its own input, with the data; and the
    /// sum of a product with itself, which cannot be fused.
    #[test]
    fn sums_after_a_product_are_fused() {
        let mut sketch = Sketch::new(&[3]);
        let weights = |sketch: &mut Sketch| [Some(sketch.add_varied(&[3, 3])), None];
        let sum = json!({"alpha": 1.0});
        for (first, second) in [(0, 1), (3, 2), (5, 5)] {
            let (last, parameters) = (sketch.last(), weights(&mut sketch));
            sketch.add_node("linear", &[last], &parameters, json!({}), &[3]);
            sketch.add_node("add", &[first, second], &[], sum.clone(), &[3]);
        }
        check(&sketch.then("relu", json!({}), &[3]));
    }

    #[test]
    fn shapes_must_be_equal() {
        let mut sketch = Sketch::new(&[4]).then("reshape", json!({}), &[2, 2]);
        sketch.add_node("add", &[0, 1], &[], json!({"alpha": 1.0}), &[4]);
        assert!(sketch.refusal().contains("pass equal ones"));
    }
}
