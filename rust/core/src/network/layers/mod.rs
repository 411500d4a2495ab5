//! The kinds of layers: one file each, and one line in the table below.

#![allow(clippy::inline_always, reason = "loops are compiled for the caller's instruction set")]

mod activation;
mod add;
mod affine;
mod avg_pool2d;
pub(crate) mod batch_norm;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod check;
mod concat;
mod conv2d;
mod elu;
mod gelu;
mod global_avg_pool;
mod group_norm;
mod layer_norm;
mod leaky_relu;
mod linear;
mod max_pool2d;
mod moments;
mod multiply;
mod normalise;
mod pad;
pub(crate) mod product;
mod rearrange;
mod relu;
mod sample_norm;
mod sigmoid;
mod silu;
mod slice;
mod softplus;
mod tanh;
mod windows;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::parameters::{Gather, Tensor};
use crate::network::shape::Shape;

/// How a kind of layer is made from its part of a graph.
pub(crate) type Builder<T> = fn(&mut Plan<'_>) -> Result<Built<T>, Error>;

/// The kind of this name.
pub(crate) fn builder<T: Real>(kind: &str) -> Option<Builder<T>> {
    Some(match kind {
        "add" => add::build,
        "affine" => affine::build,
        "avg_pool2d" => avg_pool2d::build,
        "batch_norm" => batch_norm::build,
        "concat" => concat::build,
        "conv2d" => conv2d::build,
        "elu" => elu::build,
        "gelu" => gelu::build,
        "global_avg_pool" => global_avg_pool::build,
        "group_norm" => group_norm::build,
        "layer_norm" => layer_norm::build,
        "leaky_relu" => leaky_relu::build,
        "linear" => linear::build,
        "max_pool2d" => max_pool2d::build,
        "multiply" => multiply::build,
        "pad" => pad::build,
        "relu" => relu::build,
        "sigmoid" => sigmoid::build,
        "silu" => silu::build,
        "slice" => slice::build,
        "softplus" => softplus::build,
        "tanh" => tanh::build,
        _ => return None,
    })
}

/// A layer, and the shape of what it makes.
pub(crate) struct Built<T> {
    pub layer: Box<dyn Layer<T>>,
    pub shape: Shape,
}

/// What a layer is made from.
pub(crate) struct Plan<'a> {
    /// The shapes of its inputs.
    pub shapes: &'a [Shape],
    /// Its tensors, where it has them.
    pub parameters: &'a [Option<Tensor>],
    /// Its options, as the graph has them.
    pub options: &'a Value,
    /// Where it registers the numbers that its forward rules read.
    pub forward: &'a mut Gather,
    /// Where it registers those of its adjoint rules.
    pub backward: &'a mut Gather,
}

impl Plan<'_> {
    /// The shapes of exactly N inputs.
    pub fn inputs<const N: usize>(&self) -> Result<[Shape; N], Error> {
        let shapes = <[Shape; N]>::try_from(self.shapes);
        require!(shapes.is_ok(), "got {} inputs; pass {N}", self.shapes.len());
        shapes.map_err(|_| unreachable!())
    }

    /// Exactly N tensors, those that may be absent included.
    pub fn tensors<const N: usize>(&self) -> Result<[Option<Tensor>; N], Error> {
        let tensors = <[Option<Tensor>; N]>::try_from(self.parameters.to_vec());
        tensors.map_err(|given| {
            Error::Invalid(format!("got {} parameters; pass {N}, null where absent", given.len()))
        })
    }

    /// The options, all of which must be known.
    pub fn options<O: DeserializeOwned>(&self) -> Result<O, Error> {
        serde_json::from_value(self.options.clone())
            .map_err(|cause| Error::Invalid(format!("got the options {}: {cause}", self.options)))
    }

    /// Refuses options where there are none.
    pub fn no_options(&self) -> Result<(), Error> {
        let none = self.options.is_null() || self.options.as_object().is_some_and(Map::is_empty);
        require!(none, "got the options {}; this layer has none", self.options);
        Ok(())
    }
}
