//! The native network: a graph of layers on data with a loss, its values and its derivatives.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `kernel` | matrix products and element-wise functions, by instruction set |
//! | `shape` | the shape of one sample's values |
//! | `loss` | loss functions of network outputs |
//! | `parameters` | the layout of parameters, and how a point is packed for the kernels |
//! | `pass` | the arguments of a layer's rules |
//! | `fusion` | the role of a layer in a fused forward pass |
//! | `layer` | the interface of a layer: its four rules |
//! | `layers` | the kinds of layers |
//! | `graph` | a network read from JSON |
//! | `data` | samples arranged in panels |
//! | `tape` | forward, tangent, reverse and second-order passes |
//! | `fused_forward` | the forward pass with fused layers and shared buffers |
//! | `workspace` | the buffers of one thread |
//! | `dataset_loss` | the loss of a network on a data set |
//! | `packed_points` | parameter vectors, packed for the kernels |
//! | `recalibrate` | batch-norm statistics re-estimated at a point |
//! | `partial_sums` | results by point and panel, summed in a fixed order |
//! | `evaluate` | the forward pass of all panels at all points, in parallel |
//! | `reductions` | sums, losses and derivatives computed from a panel's outputs |
//! | `sums` | sums over samples, at points |
//! | `affine_subspace` | the loss on an affine subspace, with cached products |
//! | `derivatives` | blocks of samples, and reproducible sums of vectors over them |
//! | `gradients` | gradients at points |
//! | `curvature` | Hessian and Gauss-Newton products |
//! | `objective` | the network as an `Objective` |

mod affine_subspace;
mod curvature;
mod data;
mod dataset_loss;
mod derivatives;
mod evaluate;
mod fused_forward;
mod fusion;
mod gradients;
mod graph;
pub mod kernel;
mod layer;
mod layers;
pub mod loss;
mod objective;
mod packed_points;
mod parameters;
mod partial_sums;
mod pass;
mod recalibrate;
mod reductions;
mod shape;
mod sums;
mod tape;
mod workspace;

pub use affine_subspace::NetworkSubspace;
pub use curvature::{CurvatureOptions, NetworkCurvature};
pub use dataset_loss::{DatasetLoss, Samples, Statistics};
pub use gradients::GradientOptions;
pub use graph::Network;
pub use loss::Curvature;
pub use objective::{NetworkObjective, ObjectiveOptions};
pub use reductions::SampleSum;
pub use shape::Shape;
