//! Compute kernels of the native network: matrix products, gradients of weights, pooling and
//! element-wise functions on panels of samples.
//!
//! A panel is [`Number::LANES`] samples side by side. A value of C channels and P positions is stored
//! as `[channel][position][lane]`, contiguous: a vector register holds the same entry of several
//! samples, and no kernel mixes samples.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `constants` | mathematical constants and polynomial coefficients of f32 and f64 |
//! | `scratch` | one reusable vector per thread |
//! | `number` | arithmetic of f32 and f64, and the lanes of a panel |
//! | `simd` | SIMD registers, and the dispatch to an instruction set |
//! | `real` | the scalar type of a network: a number with dispatch |
//! | `math` | element-wise functions |
//! | `aligned` | vectors that start at a cache line |
//! | `packing` | the layout of weights in memory |
//! | `gather_table` | the input position that each kernel tap reads |
//! | `pool2x2` | the windows of 2 × 2 max-pooling |
//! | `micro_tile` | micro-kernel tiles: output positions computed together |
//! | `tile_layout` | where the entries of a tile in registers are stored |
//! | `epilogue` | scale, shift, residual, ReLU and pooling, fused to a product |
//! | `direct` | products by direct summation |
//! | `winograd` | 3 × 3 convolutions by minimal filtering |
//! | `contraction` | a product by whichever of the two is cheaper |
//! | `linear_combination` | a linear combination of cached products |
//! | `max_pool` | max-pooling over any windows |
//! | `weight_gradient` | the gradient of a product by its weights |
//! | `row_sums` | sums of rows: the gradient of a bias |

#![allow(clippy::inline_always, reason = "registers must not pass through calls")]

mod aligned;
mod constants;
mod contraction;
mod direct;
mod epilogue;
mod gather_table;
mod linear_combination;
mod math;
mod max_pool;
mod micro_tile;
mod number;
mod packing;
mod pool2x2;
mod real;
mod row_sums;
mod scratch;
mod simd;
#[cfg(test)]
mod tests;
mod tile_layout;
mod weight_gradient;
mod winograd;

pub use aligned::AlignedVec;
pub use contraction::Contraction;
pub use epilogue::{Epilogue, EpilogueSteps, Rectify};
pub use gather_table::GatherTable;
pub use linear_combination::{FinalActivation, linear_combination};
pub use math::{erf, exp, expm1, ln, sigmoid, softplus, tanh};
pub use max_pool::max_pool;
pub use number::Number;
pub use packing::{Packing, Weights};
pub use pool2x2::Pool2x2;
pub use real::Real;
pub use row_sums::add_row_sums;
pub use weight_gradient::{Panels, add_weight_gradient};
