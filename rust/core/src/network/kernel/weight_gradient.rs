//! The gradient of a product by its weights.
//!
//! Where x has many channels it is transposed first, so that a register holds channels of one sample:
//! sums over samples are then sums of registers, as in a product. Where it has few, a register holds
//! samples, and its lanes are summed at the end.

mod by_channels;
mod by_samples;
mod rows;
#[cfg(test)]
mod tests;

use super::gather_table::GatherTable;
use super::real::Real;
use crate::isa::Isa;
pub use rows::Panels;

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
///
/// `dy` has a channel for each row. Lanes that hold no sample must be 0 in `dy` and finite in `x`.
///
/// # Panics
/// When the length of `out` is not rows · channels · taps, or a value is too short.
pub fn add_weight_gradient<T: Real>(
    isa: Isa,
    table: &GatherTable,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    assert_eq!(out.len(), dy.channels * x.channels * table.taps(), "out");
    if out.is_empty() || panels == 0 {
        return;
    }
    dy.check(panels, table.positions());
    x.check(panels, table.source_positions());
    if 2 * x.channels >= T::LANES && dy.channels > 1 {
        by_channels::add_weight_gradient(isa, table, panels, dy, x, out);
    } else {
        by_samples::add_weight_gradient(isa, table, panels, dy, x, out);
    }
}
