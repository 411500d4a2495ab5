//! Slices of channels, rows and columns with a step.

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layers::rearrange::{Axis, Rearrangement};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    channels: [usize; 3],
    height: [usize; 3],
    width: [usize; 3],
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { channels, height, width } = spec.options()?;
    let [input] = spec.inputs()?;
    let [] = spec.tensors()?;
    let layer = Rearrangement {
        input,
        channels: axis(channels, input.channels)?,
        height: axis(height, input.height)?,
        width: axis(width, input.width)?,
        padding: T::ZERO,
    };
    let shape = layer.shape()?;
    Ok(BuiltLayer { layer: Box::new(layer), shape })
}

fn axis([start, stop, step]: [usize; 3], size: usize) -> Result<Axis, Error> {
    require!(
        start < stop && stop <= size && step > 0,
        "got the slice {start}:{stop}:{step} of {size}; pass start < stop <= {size} and step > 0"
    );
    let count = (stop - start).div_ceil(step);
    Ok(Axis { before: 0, start, step, count, after: 0 })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::network::layers::check::{Sketch, check};

    fn options(channels: [usize; 3], height: [usize; 3], width: [usize; 3]) -> Value {
        json!({"channels": channels, "height": height, "width": width})
    }

    #[test]
    fn slices_take_every_step() {
        let x: Vec<f64> = (0..24).map(f64::from).collect();
        let sliced = |slices: Value, shape: &[usize]| {
            Sketch::new(&[2, 3, 4]).then("slice", slices, shape).outputs(&x)
        };
        assert_eq!(
            sliced(options([1, 2, 1], [0, 3, 2], [1, 4, 2]), &[1, 2, 2]),
            [13., 15., 21., 23.]
        );
        assert_eq!(sliced(options([0, 2, 9], [1, 2, 1], [0, 4, 3]), &[1, 1, 2]), [4., 7.]);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let slices = options([0, 3, 2], [1, 3, 1], [0, 4, 3]);
        let sketch = Sketch::moving(&[3, 3, 4]).then("slice", slices, &[2, 2, 2]);
        check(&sketch.then("tanh", json!({}), &[2, 2, 2]));
    }

    #[test]
    fn slices_outside_the_input_are_errors() {
        for channels in [[0, 3, 1], [1, 1, 1], [0, 2, 0], [usize::MAX, 1, 1]] {
            let slices = options(channels, [0, 1, 1], [0, 1, 1]);
            let refusal = Sketch::new(&[2, 1, 1]).then("slice", slices, &[2, 1, 1]).refusal();
            assert!(refusal.contains("got the slice"), "{refusal}");
        }
    }
}
