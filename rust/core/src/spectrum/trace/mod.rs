//! Traces, moments and diagonals from random vectors, with standard errors.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `mean` | the mean of independent samples, with a confidence interval |
//! | `precision` | the stopping criterion of an estimate |
//! | `quadratic_forms` | quadratic forms of powers and of the logarithm of an operator |
//! | `probes` | random vectors: on a sphere, of signs; unit vectors |
//! | `sketch` | a subspace with the large eigenvalues, on which an estimate is exact |
//! | `sketched_estimator` | the solver that traces and diagonals share: sketch, samples, sweep |
//! | `hutchinson` | traces of quadratic forms: Hutchinson's estimator and Hutch++ |
//! | `diagonal` | all diagonal entries |
//! | `xtrace` | XTrace: the trace from exchangeable vectors |

mod diagonal;
mod hutchinson;
mod mean;
mod precision;
mod probes;
mod quadratic_forms;
mod sketch;
mod sketched_estimator;
mod xtrace;

pub use diagonal::Diagonal;
pub use hutchinson::{Trace, TraceOptions};
pub use mean::{Mean, student_quantile};
pub use precision::Precision;
pub(super) use probes::fill_sphere;
pub use quadratic_forms::QuadraticForm;
pub use xtrace::XTrace;
