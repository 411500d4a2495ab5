//! A builder of test graphs with random parameters.

use serde_json::{Value, json};

use crate::error::Error;
use crate::network::Network;
use crate::network::kernel::Real;
use crate::network::layers::check::outcome;
use crate::network::pass::Moments;
use crate::random::Gaussian;
use crate::scalar::Scalar;

/// A graph, and a point. All numbers are exact in f32, so that both precisions see the same.
#[derive(Clone, Debug)]
pub(in crate::network::layers) struct Sketch {
    parameters: Vec<Value>,
    nodes: Vec<Value>,
    shapes: Vec<Vec<usize>>,
    pub theta: Vec<f64>,
    pub frozen: Vec<f64>,
    seed: u64,
}

impl Sketch {
    /// A graph of the input alone.
    pub fn new(input: &[usize]) -> Self {
        Self {
            parameters: Vec::new(),
            nodes: Vec::new(),
            shapes: vec![input.to_vec()],
            theta: Vec::new(),
            frozen: Vec::new(),
            seed: 1,
        }
    }

    /// A linear layer of three inputs, so that the last value has this shape and depends on θ.
    pub fn moving(shape: &[usize]) -> Self {
        let mut sketch = Self::new(&[3]);
        let features = shape.iter().product();
        let weight = sketch.add_varied(&[features, 3]);
        let bias = sketch.add_varied(&[features]);
        sketch.add_node("linear", &[0], &[Some(weight), Some(bias)], json!({}), &[features]);
        sketch.add_node("reshape", &[1], &[], json!({}), shape);
        sketch
    }

    /// Sets another seed for the numbers that are drawn next.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The last value.
    pub fn last(&self) -> usize {
        self.nodes.len()
    }

    /// The shape of a value.
    pub fn shape(&self, value: usize) -> &[usize] {
        &self.shapes[value]
    }

    /// A parameter of θ.
    pub fn add_varied(&mut self, shape: &[usize]) -> usize {
        let count: usize = shape.iter().product();
        let fan = (count / shape[0]).max(1) as f64;
        let offset = self.theta.len();
        let numbers = self.numbers(100 + offset as u64, count);
        self.theta.extend(numbers.iter().map(|x| single(x / fan.sqrt())));
        self.parameters.push(json!({"shape": shape, "offset": offset, "held": false}));
        self.parameters.len() - 1
    }

    /// A frozen parameter: positive numbers, which may be variances.
    pub fn add_frozen(&mut self, shape: &[usize]) -> usize {
        let offset = self.frozen.len();
        let numbers = self.numbers(200 + offset as u64, shape.iter().product());
        self.frozen.extend(numbers.iter().map(|x| single(0.5 + x.abs())));
        self.parameters.push(json!({"shape": shape, "offset": offset, "held": true}));
        self.parameters.len() - 1
    }

    /// A layer; returns its value.
    #[expect(clippy::needless_pass_by_value, reason = "options are written in place")]
    pub fn add_node(
        &mut self,
        kind: &str,
        inputs: &[usize],
        parameters: &[Option<usize>],
        options: Value,
        shape: &[usize],
    ) -> usize {
        self.nodes.push(json!({
            "kind": kind, "inputs": inputs, "parameters": parameters, "options": options,
            "shape": shape,
        }));
        self.shapes.push(shape.to_vec());
        self.nodes.len()
    }

    /// A layer without parameters on the last value.
    pub fn then(mut self, kind: &str, options: Value, shape: &[usize]) -> Self {
        self.add_node(kind, &[self.last()], &[], options, shape);
        self
    }

    pub fn network<T: Real>(&self) -> Result<Network<T>, Error> {
        let graph = json!({
            "version": 1, "input": self.shapes[0], "parameters": self.parameters,
            "nodes": self.nodes, "output": self.last(),
        });
        let frozen = self.frozen.iter().map(|&x| T::narrow(x)).collect();
        Network::from_json(&graph.to_string(), self.theta.len(), frozen)
    }

    /// The error with which the graph is rejected.
    pub fn refusal(&self) -> String {
        self.network::<f32>().err().expect("a graph that is none").to_string()
    }

    /// The outputs at these inputs, sample by sample, under running statistics.
    pub fn outputs(&self, inputs: &[f64]) -> Vec<f64> {
        let network = self.network::<f64>().expect("a graph");
        let samples = inputs.len() / network.input().features();
        let zero_direction = vec![0.0; self.theta.len()];
        let (theta, frozen) = (&self.theta, &self.frozen);
        outcome(&network, Moments::Stored, theta, frozen, &zero_direction, inputs, samples).outputs
    }

    /// Standard normals of this graph.
    pub fn numbers(&self, stream: u64, count: usize) -> Vec<f64> {
        Self::normals(stream + 1000 * self.seed, count)
    }

    /// Standard normals, exact in f32.
    pub fn normals(stream: u64, count: usize) -> Vec<f64> {
        let mut numbers = vec![0.0_f32; count];
        Gaussian::new(stream, 0).fill(0, &mut numbers);
        numbers.into_iter().map(f64::from).collect()
    }
}

/// The nearest f32.
fn single(x: f64) -> f64 {
    f32::narrow(x).widen()
}
