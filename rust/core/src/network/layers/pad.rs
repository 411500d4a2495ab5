//! Padding with a constant.

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layers::rearrange::{Axis, Rearrangement};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    channels: [usize; 2],
    height: [usize; 2],
    width: [usize; 2],
    value: f64,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { channels, height, width, value } = spec.options()?;
    let [input] = spec.inputs()?;
    let [] = spec.tensors()?;
    let layer = Rearrangement {
        input,
        channels: axis(channels, input.channels)?,
        height: axis(height, input.height)?,
        width: axis(width, input.width)?,
        padding: T::narrow(value),
    };
    let shape = layer.shape()?;
    Ok(BuiltLayer { layer: Box::new(layer), shape })
}

fn axis([before, after]: [usize; 2], count: usize) -> Result<Axis, Error> {
    let length = before.checked_add(after).and_then(|padding| padding.checked_add(count));
    require!(length.is_some(), "got a padding of {before} and {after}; pass smaller numbers");
    Ok(Axis { before, start: 0, step: 1, count, after })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::network::layers::check::{Sketch, check};

    fn options(channels: [usize; 2], height: [usize; 2], width: [usize; 2]) -> Value {
        json!({"channels": channels, "height": height, "width": width, "value": 9.0})
    }

    #[test]
    fn padding_surrounds_the_input() {
        let padded = |options: Value, shape: &[usize]| {
            Sketch::new(&[1, 1, 2]).then("pad", options, shape).outputs(&[1.0, 2.0])
        };
        assert_eq!(padded(options([0, 0], [0, 0], [1, 2]), &[1, 1, 5]), [9., 1., 2., 9., 9.]);
        assert_eq!(padded(options([0, 0], [1, 0], [0, 0]), &[1, 2, 2]), [9., 9., 1., 2.]);
        assert_eq!(padded(options([0, 1], [0, 0], [0, 0]), &[2, 1, 2]), [1., 2., 9., 9.]);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let padding = options([1, 0], [0, 2], [1, 1]);
        let sketch = Sketch::moving(&[2, 2, 3]).then("pad", padding, &[3, 4, 5]);
        check(&sketch.then("affine", json!({"scale": 0.1, "shift": 0.0}), &[3, 4, 5]).then(
            "tanh",
            json!({}),
            &[3, 4, 5],
        ));
    }

    #[test]
    fn huge_padding_is_refused() {
        let refusal = |width| {
            let padding = options([0, 0], [0, 0], width);
            Sketch::new(&[1, 1, 2]).then("pad", padding, &[1, 1, 2]).refusal()
        };
        assert!(refusal([usize::MAX, 1]).contains("pass smaller numbers"));
        assert!(refusal([1 << 40, 1]).contains("positive axes of at most"));
    }
}
