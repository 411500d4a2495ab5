//! Multiplication by a constant: y = c ⊙ x with a constant for each feature.

use std::ops::Range;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::pass::{Pass, Primal};

struct Multiply {
    constant: Range<usize>,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    let [shape] = spec.inputs()?;
    let [constant] = spec.tensors()?;
    let Some(constant) = constant else {
        return Err(Error::Invalid("got no constant; pass one number a feature".into()));
    };
    require!(!constant.varied, "got a constant that is varied; pass one that is frozen");
    require!(
        constant.len() == shape.features(),
        "got a constant of shape {:?} for {shape:?}; pass one number a feature",
        constant.shape
    );
    Ok(BuiltLayer {
        layer: Box::new(Multiply { constant: spec.forward.reserve_tensor(&constant)? }),
        shape,
    })
}

impl Multiply {
    /// Calls `combine` with y, x and the factor of x.
    fn each<T: Real>(
        &self,
        pass: &Pass<'_, T>,
        x: &[T],
        y: &mut [T],
        combine: impl Fn(&mut T, T, T),
    ) {
        let constant = &pass.point.forward[self.constant.clone()];
        let panel = constant.len() * T::LANES;
        pass.isa.run(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(panel).zip(y.chunks_exact_mut(panel)) {
                    let rows = x.chunks_exact(T::LANES).zip(y.chunks_exact_mut(T::LANES));
                    for ((x, y), &factor) in rows.zip(constant) {
                        for (y, &x) in y.iter_mut().zip(x) {
                            combine(y, x, factor);
                        }
                    }
                }
            },
        );
    }
}

impl<T: Real> Layer<T> for Multiply {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        self.each(pass, x[0], y, |y, x, factor| *y = x * factor);
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        _: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        match x_dot[0] {
            Some(x_dot) => self.each(pass, x_dot, y_dot, |y, x, factor| *y = x * factor),
            None => y_dot.fill(T::ZERO),
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        self.each(pass, primal.y_bar, x_bar, |x, y, factor| *x += y * factor);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn multiply_scales_each_feature() {
        let on = |mut sketch: Sketch| {
            let constant = sketch.add_frozen(&[2, 3]);
            let last = sketch.last();
            sketch.add_node("multiply", &[last], &[Some(constant)], json!({}), &[2, 3]);
            sketch
        };
        let sketch = on(Sketch::new(&[2, 3]));
        let inputs = sketch.numbers(1, 18);
        let expected: Vec<f64> =
            inputs.iter().zip(sketch.frozen.iter().cycle()).map(|(x, c)| x * c).collect();
        assert_eq!(sketch.outputs(&inputs), expected);
        check(&on(Sketch::moving(&[2, 3])).then("tanh", json!({}), &[2, 3]));
    }

    #[test]
    fn constants_are_frozen_and_have_a_number_for_each_feature() {
        let refusal = |frozen: bool, shape: &[usize]| {
            let mut sketch = Sketch::new(&[4]);
            let constant = if frozen { sketch.add_frozen(shape) } else { sketch.add_varied(shape) };
            sketch.add_node("multiply", &[0], &[Some(constant)], json!({}), &[4]);
            sketch.refusal()
        };
        assert!(refusal(true, &[3]).contains("pass one number a feature"));
        assert!(refusal(false, &[4]).contains("pass one that is frozen"));
    }
}
