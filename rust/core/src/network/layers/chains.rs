//! Random chains of layers of many kinds: a layer's output must be a valid input of the next one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::{Sketch, check_block};
use crate::network::pass::Moments;

/// A layer to append: its kind, and two numbers that determine its options.
type Step = (usize, usize, usize);

/// The largest number of features, to keep the cases quick.
const MAX_FEATURES: usize = 72;

const FUNCTIONS: [(&str, Value); 6] = [
    ("relu", Value::Null),
    ("tanh", Value::Null),
    ("silu", Value::Null),
    ("sigmoid", Value::Null),
    ("relu", Value::Null),
    ("tanh", Value::Null),
];

/// Appends a layer to the last value, if one of this kind fits.
fn append_layer(sketch: Sketch, step: Step) -> Sketch {
    let (kind, a, b) = step;
    match kind {
        0 | 1 => convolution(sketch, a, b),
        2 | 3 => function(sketch, a),
        4 => pooling(sketch, a, b),
        5 | 6 => normalisation(sketch, a),
        7 => sum(sketch, a, b),
        8 => concatenation(sketch, a),
        9 => padding(sketch, a, b),
        10 => slice(sketch, a, b),
        11 => constant(sketch),
        _ => flat(sketch, a),
    }
}

fn image(sketch: &Sketch) -> [usize; 3] {
    match *sketch.shape(sketch.last()) {
        [channels, height, width] => [channels, height, width],
        [channels] => [channels, 1, 1],
        ref other => unreachable!("{other:?}"),
    }
}

fn convolution(mut sketch: Sketch, a: usize, b: usize) -> Sketch {
    let [channels, height, width] = image(&sketch);
    let groups = if channels.is_multiple_of(2) { 1 + a % 2 } else { 1 };
    let rows = groups * (1 + b % 3);
    let (kernel, padding, stride) = (1 + a % 3, b % 2, 1 + (a / 3) % 2);
    let kernel = kernel.min(height.min(width) + 2 * padding);
    let positions = |size: usize| (size + 2 * padding - kernel) / stride + 1;
    let shape = [rows, positions(height), positions(width)];
    if shape.iter().product::<usize>() > MAX_FEATURES {
        return sketch;
    }
    let weight = sketch.add_varied(&[rows, channels / groups, kernel, kernel]);
    let bias = (a.is_multiple_of(2)).then(|| sketch.add_varied(&[rows]));
    let options = json!({"stride": [stride, stride], "padding": [padding, padding],
                         "dilation": [1, 1], "groups": groups});
    let last = sketch.last();
    sketch.add_node("conv2d", &[last], &[Some(weight), bias], options, &shape);
    sketch
}

fn function(sketch: Sketch, a: usize) -> Sketch {
    let shape = image(&sketch);
    let (kind, options) = match a % 10 {
        6 => ("gelu", json!({"approximate": "none"})),
        7 => ("elu", json!({"alpha": 1.0})),
        8 => ("softplus", json!({"beta": 1.0, "threshold": 20.0})),
        9 => ("affine", json!({"scale": -0.7, "shift": 0.2})),
        plain => FUNCTIONS[plain].clone(),
    };
    sketch.then(kind, options, &shape)
}

fn pooling(sketch: Sketch, a: usize, b: usize) -> Sketch {
    let [channels, height, width] = image(&sketch);
    if b.is_multiple_of(4) {
        return sketch.then("global_avg_pool", Value::Null, &[channels, 1, 1]);
    }
    let (padding, stride) = (a % 2, 1 + a / 2 % 2);
    if height.min(width) + 2 * padding < 2 {
        return sketch;
    }
    let positions = |size: usize| (size + 2 * padding - 2) / stride + 1;
    let shape = [channels, positions(height), positions(width)];
    if shape.iter().product::<usize>() > MAX_FEATURES {
        return sketch;
    }
    let (kernel, stride, padding) = ([2, 2], [stride, stride], [padding, padding]);
    let common = json!({"kernel": kernel, "stride": stride, "padding": padding});
    let (kind, name, option) = match b % 2 {
        0 => ("max_pool2d", "dilation", json!([1, 1])),
        _ => ("avg_pool2d", "count_include_pad", json!(a.is_multiple_of(3))),
    };
    let mut options = common;
    options[name] = option;
    sketch.then(kind, options, &shape)
}

fn normalisation(mut sketch: Sketch, a: usize) -> Sketch {
    let shape = image(&sketch);
    let (last, channels) = (sketch.last(), &shape[..1]);
    let numbers = if a % 3 == 2 { &shape[..] } else { channels };
    let mut parameters = vec![Some(sketch.add_varied(numbers)), Some(sketch.add_varied(numbers))];
    let (kind, options) = match a % 3 {
        0 => {
            parameters
                .extend([Some(sketch.add_frozen(channels)), Some(sketch.add_frozen(channels))]);
            ("batch_norm", json!({"eps": 0.1}))
        }
        1 => ("group_norm", json!({"eps": 0.1, "groups": 1})),
        _ => ("layer_norm", json!({"eps": 0.1})),
    };
    sketch.add_node(kind, &[last], &parameters, options, &shape);
    sketch
}

fn sum(mut sketch: Sketch, a: usize, b: usize) -> Sketch {
    let (last, shape) = (sketch.last(), image(&sketch));
    let compatible: Vec<_> = (0..=last).filter(|&value| sketch.shape(value) == shape).collect();
    if compatible.is_empty() {
        return sketch;
    }
    let other = compatible[a % compatible.len()];
    let inputs = if b.is_multiple_of(2) { [last, other] } else { [other, last] };
    let alpha = if b.is_multiple_of(3) { -0.5 } else { 1.0 };
    sketch.add_node("add", &inputs, &[], json!({"alpha": alpha}), &shape);
    sketch
}

fn concatenation(mut sketch: Sketch, a: usize) -> Sketch {
    let (last, [channels, height, width]) = (sketch.last(), image(&sketch));
    if 2 * channels * height * width > MAX_FEATURES {
        return sketch;
    }
    let compatible: Vec<_> =
        (0..=last).filter(|&v| sketch.shape(v) == [channels, height, width]).collect();
    let other = if compatible.is_empty() { last } else { compatible[a % compatible.len()] };
    let shape = [2 * channels, height, width];
    sketch.add_node("concat", &[other, last], &[], Value::Null, &shape);
    sketch
}

fn padding(sketch: Sketch, a: usize, b: usize) -> Sketch {
    let [channels, height, width] = image(&sketch);
    let (rows, columns) = ([a % 2, b % 2], [b % 3, a % 3 / 2]);
    let shape = [channels, height + rows[0] + rows[1], width + columns[0] + columns[1]];
    if shape.iter().product::<usize>() > MAX_FEATURES {
        return sketch;
    }
    let options = json!({"channels": [0, 0], "height": rows, "width": columns, "value": 0.25});
    sketch.then("pad", options, &shape)
}

fn slice(sketch: Sketch, a: usize, b: usize) -> Sketch {
    let part = |size: usize, a: usize| {
        let (start, step) = (a % size.min(2), 1 + a % 2);
        ([start, size, step], (size - start).div_ceil(step))
    };
    let [channels, height, width] = image(&sketch);
    let (channels, height, width) = (part(channels, a), part(height, b), part(width, a + b));
    let options = json!({"channels": channels.0, "height": height.0, "width": width.0});
    sketch.then("slice", options, &[channels.1, height.1, width.1])
}

fn constant(mut sketch: Sketch) -> Sketch {
    let (last, shape) = (sketch.last(), image(&sketch));
    let constant = sketch.add_frozen(&shape);
    sketch.add_node("multiply", &[last], &[Some(constant)], Value::Null, &shape);
    sketch
}

fn flat(sketch: Sketch, a: usize) -> Sketch {
    let features = image(&sketch).iter().product();
    let mut sketch = sketch.then("reshape", Value::Null, &[features]);
    let rows = 2 + a % 5;
    let (last, weight) = (sketch.last(), sketch.add_varied(&[rows, features]));
    let bias = (a.is_multiple_of(2)).then(|| sketch.add_varied(&[rows]));
    sketch.add_node("linear", &[last], &[Some(weight), bias], Value::Null, &[rows]);
    sketch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_chain_of_layers_obeys_the_rules(
        image in (1_usize..4, 1_usize..5, 1_usize..5),
        moves in proptest::bool::ANY,
        steps in proptest::collection::vec((0_usize..13, 0_usize..30, 0_usize..30), 1..9),
        samples in 2_usize..20,
        seed in 0_u64..1000,
    ) {
        let shape = [image.0, image.1, image.2];
        let start = if moves { Sketch::moving(&shape) } else { Sketch::new(&shape) };
        let sketch = steps.into_iter().fold(start.with_seed(seed), append_layer);
        // a parameter and a value at least
        let sketch = flat(sketch, 2);
        check_block(&sketch, Moments::Stored, samples);
        check_block(&sketch, Moments::Batch, samples);
    }
}

/// Sizes that a malformed graph may contain.
fn arbitrary_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        0_usize..5,
        Just(1 << 10),
        Just(1 << 31),
        Just(1 << 62),
        (usize::MAX - 2)..=usize::MAX,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn malformed_options_are_errors(
        n in proptest::collection::vec(arbitrary_size(), 9),
        kernel in (0_usize..6, 0_usize..6),
        shape in proptest::collection::vec(arbitrary_size(), 0..4),
    ) {
        let pairs = |i: usize| json!([n[i], n[i + 1]]);
        let triples = |i: usize| json!([n[i], n[i + 1], n[i + 2]]);
        let (stride, padding, dilation) = (pairs(0), pairs(2), pairs(4));
        let windows = json!({"kernel": pairs(6), "stride": stride, "padding": padding});
        let mut dilated = windows.clone();
        dilated["dilation"] = dilation.clone();
        let mut counted = windows;
        counted["count_include_pad"] = json!(true);
        let padding = json!({"stride": stride, "padding": padding, "dilation": dilation,
                             "groups": n[8]});
        let cases = [
            ("conv2d", padding),
            ("max_pool2d", dilated),
            ("avg_pool2d", counted),
            ("pad", json!({"channels": pairs(0), "height": pairs(2), "width": pairs(4), "value": 1})),
            ("slice", json!({"channels": triples(0), "height": triples(3), "width": triples(6)})),
            ("group_norm", json!({"groups": n[0], "eps": 0.1})),
            ("reshape", Value::Null),
            ("concat", Value::Null),
        ];
        for (kind, options) in cases {
            let mut sketch = Sketch::new(&[2, 3, 4]);
            let weight = sketch.add_varied(&[2, 2, 1 + kernel.0, 1 + kernel.1]);
            let parameters = match kind {
                "conv2d" => vec![Some(weight), None],
                "group_norm" => vec![None, None],
                _ => vec![],
            };
            sketch.add_node(kind, &[0], &parameters, options, &shape);
            let _ = sketch.network::<f32>();
        }
    }
}
