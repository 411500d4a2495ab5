//! Convolution of images, and of sequences as images of height 1.

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layers::product::Product;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::layers::windows::Window;
use crate::network::shape::Shape;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { stride, padding, dilation, groups } = spec.options()?;
    let [image] = spec.inputs()?;
    let [weight, bias] = spec.tensors()?;
    let Some(weight) = weight else {
        return Err(Error::Invalid("got no weight; a convolution needs one".into()));
    };
    let [rows, inner, height, width] = weight.shape[..] else {
        return Err(Error::Invalid(format!(
            "got a weight of shape {:?}; pass (out, in / groups, height, width)",
            weight.shape
        )));
    };
    require!(
        groups > 0 && image.channels.is_multiple_of(groups) && rows.is_multiple_of(groups),
        "got {groups} groups for {} channels in and {rows} out; pass a divisor of both",
        image.channels
    );
    require!(
        inner == image.channels / groups,
        "got a weight of shape {:?} for {} channels in {groups} groups; pass {} in axis 1",
        weight.shape,
        image.channels,
        image.channels / groups
    );
    if let Some(bias) = &bias {
        bias.expect("bias", &[rows])?;
    }
    let window = Window { kernel: [height, width], stride, padding, dilation };
    let (taps, [height, width]) = window.gather_table(image)?;
    let shape = Shape::new(rows, height, width)?;
    let layer = Product::new(spec, &weight, bias.as_ref(), taps, groups)?;
    Ok(BuiltLayer { layer: Box::new(layer), shape })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::network::layers::check::{Sketch, check, close};

    /// Stride, padding and dilation by axis, and groups.
    struct Case {
        input: [usize; 3],
        weight: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
        groups: usize,
        output: [usize; 3],
    }

    const CASES: [Case; 5] = [
        Case {
            input: [3, 4, 5],
            weight: [4, 3, 3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
            output: [4, 4, 5],
        },
        Case {
            input: [4, 6, 5],
            weight: [6, 2, 3, 2],
            stride: [2, 1],
            padding: [1, 0],
            dilation: [1, 2],
            groups: 2,
            output: [6, 3, 3],
        },
        Case {
            input: [3, 3, 3],
            weight: [6, 1, 2, 2],
            stride: [1, 1],
            padding: [0, 1],
            dilation: [1, 1],
            groups: 3,
            output: [6, 2, 4],
        },
        Case {
            input: [2, 1, 7],
            weight: [3, 2, 1, 3],
            stride: [1, 2],
            padding: [0, 2],
            dilation: [1, 2],
            groups: 1,
            output: [3, 1, 4],
        },
        // Whole windows within the padding.
        Case {
            input: [1, 1, 1],
            weight: [2, 1, 2, 2],
            stride: [1, 1],
            padding: [3, 2],
            dilation: [1, 1],
            groups: 1,
            output: [2, 6, 4],
        },
    ];

    impl Case {
        fn options(&self) -> Value {
            json!({
                "stride": self.stride, "padding": self.padding, "dilation": self.dilation,
                "groups": self.groups,
            })
        }

        fn on(&self, mut sketch: Sketch, bias: bool) -> Sketch {
            let weight = sketch.add_varied(&self.weight);
            let bias = bias.then(|| sketch.add_varied(&self.weight[..1]));
            let last = sketch.last();
            let parameters = [Some(weight), bias];
            sketch.add_node("conv2d", &[last], &parameters, self.options(), &self.output);
            sketch
        }

        /// The definition, with indices that may be negative.
        fn naive(&self, weight: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
            let signed = |n: usize| i64::try_from(n).expect("small");
            let [_, height, width] = self.input;
            let [rows, inner, kernel_height, kernel_width] = self.weight;
            let [_, out_height, out_width] = self.output;
            let mut y = Vec::new();
            for (o, i, j) in triples(rows, out_height, out_width) {
                let mut sum = bias[o];
                for (c, a, b) in triples(inner, kernel_height, kernel_width) {
                    let row =
                        signed(i * self.stride[0] + a * self.dilation[0]) - signed(self.padding[0]);
                    let column =
                        signed(j * self.stride[1] + b * self.dilation[1]) - signed(self.padding[1]);
                    if (0..signed(height)).contains(&row) && (0..signed(width)).contains(&column) {
                        let channel = o / (rows / self.groups) * inner + c;
                        let source = (signed(channel * height) + row) * signed(width) + column;
                        let index = ((o * inner + c) * kernel_height + a) * kernel_width + b;
                        sum += weight[index] * x[usize::try_from(source).expect("inside")];
                    }
                }
                y.push(sum);
            }
            y
        }
    }

    fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..a * b * c).map(move |index| (index / (b * c), index / c % b, index % c))
    }

    #[test]
    fn convolution_agrees_with_its_definition() {
        for case in CASES {
            let sketch = case.on(Sketch::new(&case.input), true);
            let (weight, bias) = sketch.theta.split_at(case.weight.iter().product());
            let features = case.input.iter().product();
            let inputs = sketch.numbers(1, 3 * features);
            let expected: Vec<f64> =
                inputs.chunks(features).flat_map(|x| case.naive(weight, bias, x)).collect();
            close("conv2d", "output", &sketch.outputs(&inputs), &expected, 1e-13);
        }
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for case in CASES {
            check(&case.on(Sketch::moving(&case.input), true));
            check(&case.on(Sketch::moving(&case.input), false).then(
                "tanh",
                json!({}),
                &case.output,
            ));
        }
    }

    #[test]
    fn malformed_convolutions_are_refused() {
        let refusal = |weight: &[usize], options: Value, shape: &[usize]| {
            let mut sketch = Sketch::new(&[4, 5, 5]);
            let weight = sketch.add_varied(weight);
            sketch.add_node("conv2d", &[0], &[Some(weight), None], options, shape);
            sketch.refusal()
        };
        let options = |stride: usize, padding: usize, dilation: usize, groups: usize| {
            json!({"stride": [stride, 1], "padding": [padding, 0], "dilation": [dilation, 1],
                   "groups": groups})
        };
        let weight = [2, 4, 3, 3];
        let said = |options: Value| refusal(&weight, options, &[2, 3, 3]);
        assert!(said(options(0, 0, 1, 1)).contains("a stride of 0"));
        assert!(said(options(1, 0, 0, 1)).contains("a dilation of 0"));
        assert!(said(options(1, 0, 3, 1)).contains("covers 7 of 5"));
        assert!(said(options(1, 0, usize::MAX, 1)).contains("pass smaller numbers"));
        assert!(said(options(1, usize::MAX, 1, 1)).contains("pass smaller numbers"));
        assert!(said(options(1, 1 << 40, 1, 1)).contains("fewer than 16777216 entries"));
        assert!(said(options(1, 0, 1, 0)).contains("0 groups"));
        assert!(said(options(1, 0, 1, 3)).contains("3 groups for 4 channels in and 2 out"));
        assert!(said(options(1, 0, 1, 2)).contains("pass 2 in axis 1"));
        assert!(said(json!({"stride": [1]})).contains("got the options"));
        assert!(refusal(&weight, options(1, 0, 1, 1), &[2, 3, 4]).contains("but the graph says"));
        assert!(refusal(&[2, 4, 3], options(1, 0, 1, 1), &[2, 3]).contains("pass (out, in"));
    }
}
