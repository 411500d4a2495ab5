//! The kinds of layers: one file each, and one line in [`builder`].
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `spec` | the specification that a layer is built from |
//! | `windows` | sliding windows of convolutions and pooling |
//! | `moments` | sums over a batch, for normalisation by the batch |
//! | `normalise` | normalisation of a slice by its own mean and variance |
//! | `rearrange` | layers that copy entries to other positions |
//! | `activation` | element-wise functions |
//! | `product` | matrix products: linear layers and convolutions |
//! | `sample_norm` | normalisation of each sample by itself |
//! | `add` | sums of two inputs |
//! | `affine`, `avg_pool2d`, `batch_norm`, `concat`, `conv2d`, `elu`, `gelu`, `global_avg_pool` | kinds of layers |
//! | `group_norm`, `layer_norm`, `leaky_relu`, `linear`, `max_pool2d`, `multiply`, `pad` | kinds of layers |
//! | `relu`, `sigmoid`, `silu`, `slice`, `softplus`, `tanh` | kinds of layers |

#![allow(clippy::inline_always, reason = "loops are compiled for the caller's instruction set")]

mod activation;
mod add;
mod affine;
mod avg_pool2d;
mod batch_norm;
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
mod product;
mod rearrange;
mod relu;
mod sample_norm;
mod sigmoid;
mod silu;
mod slice;
mod softplus;
mod spec;
mod tanh;
mod windows;

use crate::error::Error;
use crate::network::kernel::Real;

pub(crate) use spec::{BuiltLayer, LayerSpec};

/// Builds a layer from its part of a graph.
pub(crate) type Builder<T> = fn(&mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error>;

/// The builder of the kind with this name.
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
