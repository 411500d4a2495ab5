//! Where a loss has no slope: ways to such points, and away from those that are not minima.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `point` | a point with its loss and gradient |
//! | `outcome` | what a search is asked for, what its steps bring, how it ends |
//! | `small` | least squares and absolute values in a Krylov space |
//! | `space` | the Krylov space of a gradient, grown as far as a step needs it |
//! | `newton` | a step that lowers the gradient's norm |
//! | `saddle_free` | a step that lowers the loss, repelled by saddles |
//! | `search` | steps until a point is critical |

mod newton;
mod outcome;
mod point;
mod saddle_free;
mod search;
mod small;
mod space;

pub use outcome::{Ending, Method, SearchOptions, Step};
pub use point::Point;
pub use search::Search;
