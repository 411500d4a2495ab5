//! Networks that the core evaluates itself: a graph of layers, its loss, and their derivatives.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `kernel` | matrix products and element-wise functions for the instruction set at hand |
//! | `shape` | the shape of one sample's values |
//! | `head` | losses of network outputs |
//! | `parameters` | where layers read their numbers |
//! | `layer`, `layers` | what a layer must know, and the kinds of layers |
//! | `graph` | a network as it is read |
//! | `data` | samples in panels |
//! | `tape` | values and derivatives of a block, node by node |
//! | `program` | the forward pass in as few steps as can be |
//! | `threads` | who works |
//! | `room` | what one thread needs |
//! | `loss` | a network with its data and its loss |
//! | `points` | parameter vectors, packed |
//! | `recalibrate` | running statistics re-estimated at a point |
//! | `table` | numbers of panels at points |
//! | `evaluate` | every panel at every point |
//! | `measure` | what is made of a panel's outputs |
//! | `sums` | losses at points |
//! | `plane` | losses on a subspace |
//! | `derivatives` | sums of vectors over blocks of samples |
//! | `gradients` | gradients at points |
//! | `curvature` | products with second derivatives |
//! | `objective` | L behind the interface of drivers |

mod curvature;
mod data;
mod derivatives;
mod evaluate;
mod gradients;
mod graph;
pub mod head;
pub mod kernel;
mod layer;
mod layers;
mod loss;
mod measure;
mod objective;
mod parameters;
mod plane;
mod points;
mod program;
mod recalibrate;
mod room;
mod shape;
mod sums;
mod table;
mod tape;
mod threads;

pub use curvature::{NetworkCurvature, Request};
pub use gradients::Scope;
pub use graph::Network;
pub use head::Curvature;
pub use loss::{NetworkLoss, Samples, Statistics};
pub use measure::Column;
pub use objective::NetworkObjective;
pub use plane::NetworkPlane;
pub use shape::Shape;
pub use threads::{set_threads, threads};
