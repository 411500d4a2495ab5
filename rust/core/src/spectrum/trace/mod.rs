//! Traces, moments and diagonals from random vectors, with standard errors.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `mean` | what independent samples say of their mean |
//! | `precision` | when an estimate is good enough |
//! | `forms` | quadratic forms of powers and functions of an operator |
//! | `probes` | random directions orthogonal to a basis |
//! | `sketch` | the subspace that is summed exactly |
//! | `estimator` | traces of forms: Hutchinson and Hutch++ |
//! | `diagonal` | every diagonal entry |
//! | `xtrace` | the trace from exchangeable vectors |

mod diagonal;
mod estimator;
mod forms;
mod mean;
mod precision;
mod probes;
mod sketch;
mod xtrace;

pub use diagonal::Diagonal;
pub use estimator::{Trace, TraceArrays, TraceOptions};
pub use forms::Form;
pub use mean::{Mean, student_quantile};
pub use precision::Precision;
pub(super) use probes::sphere;
pub use xtrace::XTrace;

/// Independent random vectors that every estimate rests on, at least: with fewer a standard error is
/// itself too uncertain for the interval that is made of it.
const FEWEST: usize = 30;
