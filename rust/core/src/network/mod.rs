//! Networks that the core evaluates itself: a graph of layers, its loss, and their derivatives.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `kernel` | matrix products and element-wise functions for the instruction set at hand |
//! | `head` | losses of network outputs |

pub mod head;
pub mod kernel;
