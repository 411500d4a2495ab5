//! Concatenation along channels.

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::pass::{Pass, Primal};
use crate::network::shape::Shape;

struct Concat {
    /// The offsets of the inputs' features in the output, and the total.
    starts: Vec<usize>,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    let [] = spec.tensors()?;
    let Some(&first) = spec.shapes.first() else {
        return Err(Error::Invalid("got no inputs; pass at least one".into()));
    };
    let (mut starts, mut channels) = (vec![0], 0_usize);
    for &shape in spec.shapes {
        require!(
            (shape.height, shape.width) == (first.height, first.width),
            "got inputs of shapes {first:?} and {shape:?}; pass images of one size"
        );
        // Both are at most 2^28, and each sum is compared with that.
        channels += shape.channels;
        starts.push(Shape::new(channels, first.height, first.width)?.features());
    }
    let shape = Shape::new(channels, first.height, first.width)?;
    Ok(BuiltLayer { layer: Box::new(Concat { starts }), shape })
}

impl Concat {
    /// Numbers of an input's panel, numbers of the output's panel, and the input's range in the latter.
    fn parts<T: Real>(&self, which: usize) -> (usize, usize, std::ops::Range<usize>) {
        let (start, end) = (self.starts[which] * T::LANES, self.starts[which + 1] * T::LANES);
        (end - start, self.starts[self.starts.len() - 1] * T::LANES, start..end)
    }
}

impl<T: Real> Layer<T> for Concat {
    fn forward(&self, _: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        for (which, x) in x.iter().enumerate() {
            let (size, total, span) = self.parts::<T>(which);
            for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(total)) {
                y[span.clone()].copy_from_slice(x);
            }
        }
    }

    fn tangent(
        &self,
        _: &Pass<'_, T>,
        _: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        for (which, x_dot) in x_dot.iter().enumerate() {
            let (size, total, span) = self.parts::<T>(which);
            for (panel, y_dot) in y_dot.chunks_exact_mut(total).enumerate() {
                let part = &mut y_dot[span.clone()];
                match x_dot {
                    Some(x_dot) => part.copy_from_slice(&x_dot[panel * size..][..size]),
                    None => part.fill(T::ZERO),
                }
            }
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, which: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        let (size, total, span) = self.parts::<T>(which);
        pass.isa.run(
            #[inline(always)]
            || {
                for (x, y) in x_bar.chunks_exact_mut(size).zip(primal.y_bar.chunks_exact(total)) {
                    for (x, &y) in x.iter_mut().zip(&y[span.clone()]) {
                        *x += y;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn channels_follow_one_another() {
        let mut sketch = Sketch::new(&[2, 2]);
        sketch.add_node("affine", &[0], &[], json!({"scale": -1.0, "shift": 0.0}), &[2, 2]);
        sketch.add_node("concat", &[0, 1, 0], &[], json!({}), &[6, 2]);
        let (x, minus) = ([1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]);
        assert_eq!(sketch.outputs(&x), [x, minus, x].concat());
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let mut sketch = Sketch::moving(&[3, 1, 1]).then("tanh", json!({}), &[3, 1, 1]);
        // The input itself does not depend on θ.
        sketch.add_node("concat", &[2, 0, 3, 2], &[], json!({}), &[12]);
        check(&sketch.then("tanh", json!({}), &[12]));
    }

    #[test]
    fn images_must_have_one_size() {
        let mut sketch = Sketch::new(&[4]).then("reshape", json!({}), &[2, 2]);
        sketch.add_node("concat", &[0, 1], &[], json!({}), &[6]);
        assert!(sketch.refusal().contains("pass images of one size"));
    }
}
