//! Samples of a local posterior distribution by Langevin dynamics.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | options of a sampler |
//! | `noise` | the random displacement of each step |
//! | `preconditioner` | the diagonal matrix that scales steps |
//! | `chains` | the points of all chains, and their steps |
//! | `state` | counters, references and the fate of each chain |
//! | `langevin` | the solver: Langevin dynamics of many chains |

mod chains;
mod langevin;
mod noise;
mod options;
mod preconditioner;
mod state;

pub use langevin::Langevin;
pub use options::{GradientData, LangevinOptions, Noise, Preconditioner};
