//! A network read from JSON: layers in order of evaluation, with all shapes checked.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, require};
use crate::network::fusion::{Fusion, MatrixProduct};
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::{BuiltLayer, LayerSpec, builder};
use crate::network::parameters::{Gather, Tensor};
use crate::network::shape::Shape;

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphText {
    version: u32,
    input: Vec<usize>,
    parameters: Vec<TensorText>,
    nodes: Vec<NodeText>,
    output: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorText {
    shape: Vec<usize>,
    offset: usize,
    #[serde(rename = "held")]
    frozen: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    kind: String,
    inputs: Vec<usize>,
    #[serde(default)]
    parameters: Vec<Option<usize>>,
    #[serde(default)]
    options: Value,
    shape: Vec<usize>,
}

/// A layer with its inputs.
pub(crate) struct Node<T> {
    /// The values that it reads.
    pub inputs: Vec<usize>,
    /// The layer.
    pub layer: Box<dyn Layer<T>>,
}

/// A network. Value 0 is the input, value i + 1 the output of node i.
pub struct Network<T> {
    pub(crate) nodes: Vec<Node<T>>,
    /// The shape of each value.
    pub(crate) shapes: Vec<Shape>,
    /// Whether a value depends on θ, or on the batch that it is normalised by.
    pub(crate) active: Vec<bool>,
    pub(crate) output: usize,
    pub(crate) forward: Gather,
    pub(crate) backward: Gather,
    pub(crate) frozen: Vec<T>,
    dim: usize,
    output_shape: Shape,
}

/// A value of the graph, viewed in a shape.
#[derive(Clone, Copy)]
struct ValueView {
    value: usize,
    shape: Shape,
}

impl<T: Real> Network<T> {
    /// Reads a graph from JSON whose parameters are θ, of length `dim`, and the frozen numbers.
    ///
    /// The text is `{"version": 1, "input": [axes], "parameters": [{"shape", "offset", "held"}],
    /// "nodes": [{"kind", "inputs", "parameters", "options", "shape"}], "output": value}`. Value 0 is
    /// the input and node i outputs value i + 1; shapes exclude the batch.
    ///
    /// # Errors
    /// [`Error::Invalid`] for text that is not a graph, and for layers whose shapes do not fit.
    pub fn from_json(text: &str, dim: usize, frozen: Vec<T>) -> Result<Self, Error> {
        let graph: GraphText = serde_json::from_str(text)
            .map_err(|cause| Error::Invalid(format!("got a graph that cannot be read: {cause}")))?;
        require!(graph.version == VERSION, "got graph version {}; pass {VERSION}", graph.version);
        let tensors = graph.parameters.iter().map(|text| read_tensor(text, dim, frozen.len()));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let input = Shape::from_axes(&graph.input)?;
        let mut values = vec![ValueView { value: 0, shape: input }];
        let mut network = Self {
            nodes: Vec::new(),
            shapes: vec![input],
            active: vec![false],
            output: 0,
            forward: Gather::default(),
            backward: Gather::default(),
            frozen,
            dim,
            output_shape: input,
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            let view = network.append(node, &values, &tensors).map_err(|error| match error {
                Error::Invalid(advice) => {
                    Error::Invalid(format!("node {index} ({}): {advice}", node.kind))
                }
                other => other,
            })?;
            values.push(view);
        }
        let Some(output) = values.get(graph.output) else {
            let (output, count) = (graph.output, values.len());
            return Err(Error::Invalid(format!("got the output {output} of {count} values")));
        };
        (network.output, network.output_shape) = (output.value, output.shape);
        Ok(network)
    }

    /// The number of varied parameters.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The shape of a sample.
    #[must_use]
    pub fn input(&self) -> Shape {
        self.shapes[0]
    }

    /// The shape of a sample's output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.output_shape
    }

    /// The largest number of features of any value.
    #[must_use]
    pub fn widest(&self) -> usize {
        self.shapes.iter().map(|shape| shape.features()).max().unwrap_or(0)
    }

    /// Multiply-adds of matrix products for one sample.
    #[must_use]
    pub fn operations(&self) -> usize {
        let products = self.nodes.iter().filter_map(|node| node.layer.fusion().product());
        products.map(MatrixProduct::operations).sum()
    }

    fn append(
        &mut self,
        node: &NodeText,
        values: &[ValueView],
        tensors: &[Tensor],
    ) -> Result<ValueView, Error> {
        let inputs: Vec<_> = get_all(&node.inputs, values, "value")?;
        require!(!inputs.is_empty(), "got no inputs; pass at least one");
        let declared = Shape::from_axes(&node.shape)?;
        if node.kind == "reshape" {
            return build_view(node, &inputs, declared);
        }
        let parameters = node.parameters.iter().map(|index| match index {
            Some(index) => Ok(get_all(&[*index], tensors, "parameter")?.pop()),
            None => Ok(None),
        });
        let parameters = parameters.collect::<Result<Vec<_>, Error>>()?;
        let Some(build) = builder::<T>(&node.kind) else {
            return Err(Error::Invalid("this kind of layer is unknown".into()));
        };
        let shapes: Vec<_> = inputs.iter().map(|view| view.shape).collect();
        let BuiltLayer { layer, shape } = build(&mut LayerSpec {
            shapes: &shapes,
            parameters: &parameters,
            options: &node.options,
            forward: &mut self.forward,
            backward: &mut self.backward,
        })?;
        require!(shape == declared, "makes {shape:?}, but the graph says {declared:?}");
        let varied = parameters.iter().flatten().any(|tensor| tensor.varied);
        let values: Vec<_> = inputs.iter().map(|view| view.value).collect();
        let depends_on_theta = values.iter().any(|&value| self.active[value]);
        self.active
            .push(varied || depends_on_theta || matches!(layer.fusion(), Fusion::Normalisation(_)));
        self.shapes.push(shape);
        self.nodes.push(Node { inputs: values, layer });
        Ok(ValueView { value: self.nodes.len(), shape })
    }
}

fn get_all<V: Clone>(indices: &[usize], among: &[V], what: &str) -> Result<Vec<V>, Error> {
    let values = indices.iter().map(|&index| {
        among.get(index).cloned().ok_or_else(|| {
            Error::Invalid(format!("got {what} {index}; there are {} before it", among.len()))
        })
    });
    values.collect()
}

fn build_view(node: &NodeText, inputs: &[ValueView], declared: Shape) -> Result<ValueView, Error> {
    let same = inputs.len() == 1 && inputs[0].shape.features() == declared.features();
    require!(
        same && node.parameters.is_empty(),
        "got {} inputs for the shape {declared:?}; pass one of as many numbers",
        inputs.len()
    );
    Ok(ValueView { value: inputs[0].value, shape: declared })
}

fn read_tensor(text: &TensorText, dim: usize, frozen: usize) -> Result<Tensor, Error> {
    let bound = if text.frozen { frozen } else { dim };
    let size = text.shape.iter().try_fold(1_usize, |size, &axis| size.checked_mul(axis));
    let end = size.and_then(|size| size.checked_add(text.offset));
    let fits = end.is_some_and(|end| end <= bound) && size > Some(0);
    require!(
        fits,
        "got a parameter of shape {:?} at {} of {bound} numbers; pass one that lies within",
        text.shape,
        text.offset
    );
    let start = text.offset + if text.frozen { dim } else { 0 };
    Ok(Tensor { shape: text.shape.clone(), start, varied: !text.frozen })
}
