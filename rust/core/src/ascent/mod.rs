//! The highest loss in a neighbourhood of a point: sharpness in the worst case.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `constraint` | a ball and a box: projections and steepest ascent |
//! | `neighbourhood` | scaled coordinates about a point, and the points that they stand for |
//! | `options` | options of an ascent |
//! | `rule` | the interface of rules: from an evaluation to the next point |
//! | `projected` | projected gradient ascent |
//! | `auto_pgd` | Auto-PGD |
//! | `curvature_pairs` | the inverse Hessian of L-BFGS on a subset of coordinates |
//! | `lbfgs` | projected L-BFGS with a line search |
//! | `row` | one ascent: its rule, its best point and how it ended |
//! | `solver` | the solver: all ascents together |

mod auto_pgd;
mod constraint;
mod curvature_pairs;
mod lbfgs;
mod neighbourhood;
mod options;
mod projected;
mod row;
mod rule;
mod solver;

pub use constraint::Constraint;
pub use neighbourhood::Neighbourhood;
pub use options::{AscentMethod, AscentOptions};
pub use solver::Ascent;
