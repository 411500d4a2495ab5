//! Networks that the core evaluates itself: a graph of layers, its loss, and their derivatives.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `kernel` | matrix products and element-wise functions for the instruction set at hand |
//! | `head` | losses of network outputs |
//! | `shape` | the shape of one sample's values |
//! | `parameters` | where layers read their numbers |
//! | `layer` | what a layer must know |
//! | `layers` | the kinds of layers |
//! | `graph` | a network as it is read |
//! | `data` | samples in panels |
//! | `tape` | values and derivatives of a block, node by node |
//! | `program` | the forward pass in as few steps as can be |

mod data;
mod graph;
pub mod head;
pub mod kernel;
mod layer;
mod layers;
mod parameters;
mod program;
mod shape;
mod tape;

pub use graph::Network;
pub use shape::Shape;
