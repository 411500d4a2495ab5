//! Eigenvalues and traces of symmetric operators of which only products can be had.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `products` | products of an operator, counted and checked |

mod products;

pub use products::Products;
