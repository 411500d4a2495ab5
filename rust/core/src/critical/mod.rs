//! Solvers for critical points, where ∇L = 0: Newton-MR, which any critical point attracts, and
//! saddle-free Newton, which saddles repel.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `point` | a point with its loss and gradient |
//! | `options` | options and the result of a step |
//! | `krylov_subproblems` | least squares and absolute values of a matrix projected on a Krylov space |
//! | `krylov_growth` | the Krylov space of a gradient, grown until the Newton equation is solved |
//! | `newton_mr` | a step that decreases the norm of the gradient |
//! | `saddle_free` | a step that decreases the loss, repelled by saddles |
//! | `search` | the solver: steps until a point is critical |

mod krylov_growth;
mod krylov_subproblems;
mod newton_mr;
mod options;
mod point;
mod saddle_free;
mod search;

pub use options::{Method, SearchOptions, Step};
pub use point::Point;
pub use search::Search;
