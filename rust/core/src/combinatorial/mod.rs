//! Combinatorial optimisation: the linear assignment problem and the minimum spanning tree.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `assignment` | the linear assignment problem, by shortest augmenting paths |
//! | `spanning_tree` | the minimum spanning tree, by Kruskal's algorithm |

mod assignment;
mod spanning_tree;

pub use assignment::solve_assignment;
pub use spanning_tree::minimum_spanning_tree;
