//! Malformed graphs give errors: never a panic, and never more memory than the graph is worth.
//!
//! Valid graphs are broken at random, in one place or several: numbers become others (huge ones
//! too), values change their kind, fields vanish or are doubled, text is cut. Whatever still loads
//! must also evaluate.

use landscape_core::network::{
    DatasetLoss, Network, NetworkObjective, ObjectiveOptions, SampleSum, Samples, Statistics, loss,
};
use landscape_core::{Cancel, Error, Objective};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const DIM: usize = 400;
const HELD: usize = 40;
/// The largest number of features that is evaluated, to keep the cases quick.
const MAX_FEATURES: usize = 1 << 14;

fn tensor(shape: &[usize], offset: usize) -> Value {
    json!({"shape": shape, "offset": offset, "held": false})
}

fn held(shape: &[usize], offset: usize) -> Value {
    json!({"shape": shape, "offset": offset, "held": true})
}

fn convolutional() -> Value {
    json!({
        "version": 1, "input": [2, 5, 5], "output": 8,
        "parameters": [
            tensor(&[3, 2, 3, 3], 0), tensor(&[3], 54), tensor(&[3], 57), tensor(&[3], 60),
            held(&[3], 0), held(&[3], 3), tensor(&[4, 27], 63), tensor(&[4], 171),
            tensor(&[3, 3, 1, 1], 180),
        ],
        "nodes": [
            {"kind": "conv2d", "inputs": [0], "parameters": [0, 1], "shape": [3, 3, 3], "options":
                {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}},
            {"kind": "batch_norm", "inputs": [1], "parameters": [2, 3, 4, 5], "shape": [3, 3, 3],
                "options": {"eps": 1e-5}},
            {"kind": "relu", "inputs": [2], "shape": [3, 3, 3]},
            {"kind": "conv2d", "inputs": [3], "parameters": [8, null], "shape": [3, 3, 3],
                "options": {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}},
            {"kind": "add", "inputs": [4, 3], "shape": [3, 3, 3], "options": {"alpha": 1.0}},
            {"kind": "max_pool2d", "inputs": [5], "shape": [3, 3, 3], "options": {"kernel": [3, 3],
                "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]}},
            {"kind": "reshape", "inputs": [6], "shape": [27]},
            {"kind": "linear", "inputs": [7], "parameters": [6, 7], "shape": [4]},
        ],
    })
}

fn flat() -> Value {
    json!({
        "version": 1, "input": [6], "output": 3,
        "parameters": [tensor(&[5, 6], 0), tensor(&[5], 30), tensor(&[4, 5], 35)],
        "nodes": [
            {"kind": "linear", "inputs": [0], "parameters": [0, 1], "shape": [5]},
            {"kind": "tanh", "inputs": [1], "shape": [5]},
            {"kind": "linear", "inputs": [2], "parameters": [2, null], "shape": [4]},
        ],
    })
}

/// Every value of a graph, root first, as the path that leads there.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                paths(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                paths(field, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn broken_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..12).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-5_i64..0).prop_map(Value::from),
        (0_u32..40).prop_map(|power| Value::from(1_u64 << power)),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([1, 1])),
        Just(json!("relu")),
        proptest::sample::select(vec![
            "linear",
            "conv2d",
            "reshape",
            "add",
            "max_pool2d",
            "concat"
        ])
        .prop_map(Value::from),
    ]
}

fn broken(graph: Value) -> impl Strategy<Value = String> {
    let mut all = Vec::new();
    paths(&graph, "", &mut all);
    let change = (proptest::sample::select(all), broken_value());
    let changes = proptest::collection::vec(change, 1..4);
    (changes, prop_oneof![4 => Just(None), 1 => (0.0..1.0_f64).prop_map(Some)]).prop_map(
        move |(changes, cut)| {
            let mut graph = graph.clone();
            for (path, value) in changes {
                if let Some(place) = graph.pointer_mut(&path) {
                    *place = value;
                }
            }
            let mut text = graph.to_string();
            if let Some(cut) = cut {
                let end = (text.len() as f64 * cut).floor();
                text.truncate(serde_json::from_value::<usize>(json!(end)).unwrap_or(0));
            }
            text
        },
    )
}

/// Loads a graph and evaluates what loads: anything but a panic.
fn survive(text: &str) -> Result<bool, Error> {
    let network = Network::<f64>::from_json(text, DIM, vec![1.0; HELD])?;
    let (input, output) = (network.input().features(), network.output());
    if input > MAX_FEATURES || output.features() > MAX_FEATURES || network.widest() > MAX_FEATURES {
        return Ok(false);
    }
    let targets =
        loss::Targets::Dense { values: vec![0.5; 3 * output.features()], width: output.features() };
    let loss = loss::from_json(r#"{"kind": "mse"}"#, targets, output)?;
    let inputs = (0..3 * input).map(|index| (index as f64).sin()).collect();
    let samples = Samples { inputs, weights: vec![1.0; 3], split: Vec::new() };
    let loss = Arc::new(DatasetLoss::new(network, samples, loss)?);
    let point: Vec<f64> = (0..DIM).map(|index| (index as f64).cos() * 0.3).collect();
    let mut sums = [0.0];
    loss.sums(&point, &[SampleSum::Loss], Statistics::Batch, &Cancel::new(), &mut sums)?;
    let options = ObjectiveOptions {
        weight: 3.0,
        batch_weights: vec![3.0],
        statistics: Statistics::Stored,
        memory: 1 << 20,
    };
    let objective = NetworkObjective::new(loss, options)?;
    let (mut losses, mut gradient) = ([0.0], vec![0.0; DIM]);
    objective.gradients(&point, &mut losses, &mut gradient, &Cancel::new())?;
    let mut product = vec![0.0; DIM];
    objective.curvature_at(&point)?.apply(&gradient, &mut product, &Cancel::new())?;
    Ok(true)
}

#[test]
fn the_graphs_are_valid_before_they_are_broken() {
    for graph in [convolutional(), flat()] {
        assert!(survive(&graph.to_string()).expect("valid"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn broken_graphs_give_errors(text in prop_oneof![broken(convolutional()), broken(flat())]) {
        if let Err(error) = survive(&text) {
            prop_assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
    }

    #[test]
    fn noise_gives_errors(text in "\\PC{0,200}") {
        prop_assert!(Network::<f32>::from_json(&text, DIM, Vec::new()).is_err());
    }
}
