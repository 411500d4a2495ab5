//! Calibrated subsets: mean losses from a few weighted samples, with their error.
//!
//! At K pilot points every sample's loss ℓ_ki is known. A sample of m of the n samples, drawn with
//! probabilities proportional to their share of the losses, is reweighted so that it reproduces the
//! K mean losses; elsewhere the m weighted losses estimate the mean over all n.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `selection` | samples drawn without replacement, with unequal probabilities |
//! | `factor` | the Cholesky factor of a small matrix |
//! | `calibration` | weights that reproduce known totals, and estimates with standard errors |
//! | `validation` | the error of a calibration, by cross-validation over pilots |
//!
//! # Reference
//! Deville, Särndal (1992), *Calibration estimators in survey sampling*, J. Am. Stat. Assoc. 87.

mod calibration;
mod factor;
mod selection;
mod validation;

pub use calibration::{BOUNDS, Calibration, Estimate};
pub use selection::{Selection, select};
pub use validation::{Assessment, Pilots, assess};
