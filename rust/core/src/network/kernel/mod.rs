//! What the hot loops are made of: matrix products and element-wise functions on panels of samples.
//!
//! A panel is [`Real::LANES`] samples side by side. A value of C channels and P positions lies in it
//! as `[channel][position][lane]`, contiguous, so that a vector register holds the same number of
//! several samples, and no kernel ever mixes samples.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `real` | f32 and f64 as networks compute with them |
//! | `vector` | what kernels ask of a vector register |
//! | `simd` | the registers, which the compiler does not check |
//! | `math` | element-wise functions |
//! | `aligned` | numbers from the beginning of a cache line on |
//! | `packing` | the order of weights in memory |
//! | `taps` | which position of the input feeds which of the output |
//! | `pool` | squares of an image, of which the largest number is kept |
//! | `columns` | which columns of a product are made together, and what they read |
//! | `places` | where sums that are in registers together lie in memory |
//! | `finish` | what becomes of sums before they reach memory |
//! | `terms` | weights times a panel, term by term |
//! | `winograd` | the same of images, by fewer multiplications |
//! | `contraction` | weights times panels, in the better of both ways |
//! | `combine` | vectors that are known, combined |
//! | `largest` | the largest of windows |
//! | `reduce` | the gradient of that product by its weights |
//! | `totals` | the sums of rows |

#![allow(clippy::inline_always, reason = "registers must not pass through calls")]

mod aligned;
mod columns;
mod combine;
mod contraction;
mod finish;
mod largest;
mod math;
mod packing;
mod places;
mod pool;
mod real;
mod reduce;
mod simd;
mod taps;
mod terms;
#[cfg(test)]
mod tests;
mod totals;
mod vector;
mod winograd;

pub use aligned::Lines;
pub use combine::{Last, combine};
pub use contraction::Contraction;
pub use finish::{Finish, Rectify, Store};
pub use largest::largest;
pub use math::{erf, exp, expm1, ln, sigmoid, softplus, tanh};
pub use packing::{Packing, Weights};
pub use pool::Pool;
pub use real::Real;
pub use reduce::{Panels, reduce};
pub use taps::Taps;
pub use totals::totals;
