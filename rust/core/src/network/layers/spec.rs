//! The specification that a layer is built from: shapes, tensors and options.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, require};
use crate::network::layer::Layer;
use crate::network::parameters::{Gather, Tensor};
use crate::network::shape::Shape;

/// A layer, and the shape of its output.
pub(crate) struct BuiltLayer<T> {
    pub layer: Box<dyn Layer<T>>,
    pub shape: Shape,
}

/// The specification of a layer: its node of the graph, and the layouts where it registers parameters.
pub(crate) struct LayerSpec<'a> {
    /// The shapes of its inputs.
    pub shapes: &'a [Shape],
    /// Its parameter tensors; None for an optional one that is absent.
    pub parameters: &'a [Option<Tensor>],
    /// Its options as JSON.
    pub options: &'a Value,
    /// The layout that its forward rules read.
    pub forward: &'a mut Gather,
    /// The layout that its adjoint rules read.
    pub backward: &'a mut Gather,
}

impl LayerSpec<'_> {
    /// The shapes of exactly N inputs.
    pub fn inputs<const N: usize>(&self) -> Result<[Shape; N], Error> {
        let shapes = <[Shape; N]>::try_from(self.shapes);
        require!(shapes.is_ok(), "got {} inputs; pass {N}", self.shapes.len());
        shapes.map_err(|_| unreachable!())
    }

    /// Exactly N tensors, absent ones included.
    pub fn tensors<const N: usize>(&self) -> Result<[Option<Tensor>; N], Error> {
        let tensors = <[Option<Tensor>; N]>::try_from(self.parameters.to_vec());
        tensors.map_err(|parameters| {
            Error::Invalid(format!(
                "got {} parameters; pass {N}, null where absent",
                parameters.len()
            ))
        })
    }

    /// The options; unknown ones are an error.
    pub fn options<O: DeserializeOwned>(&self) -> Result<O, Error> {
        serde_json::from_value(self.options.clone())
            .map_err(|cause| Error::Invalid(format!("got the options {}: {cause}", self.options)))
    }

    /// Checks that there are no options.
    pub fn no_options(&self) -> Result<(), Error> {
        let none = self.options.is_null() || self.options.as_object().is_some_and(Map::is_empty);
        require!(none, "got the options {}; this layer has none", self.options);
        Ok(())
    }
}
