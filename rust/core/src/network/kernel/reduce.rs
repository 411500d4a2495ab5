//! The gradient of a product by its weights.
//!
//! Where x has many channels its numbers are turned first, so that a register holds the same
//! sample's channels: sums over samples are then sums of registers, as in a product. Where it has
//! few, a register holds samples, and its lanes are added up in the end.

mod by_channels;
mod by_samples;
#[cfg(test)]
mod tests;

use super::real::Real;
use super::taps::Taps;
use crate::isa::Isa;

/// A value, or a range of its channels, in several panels.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a, T> {
    /// From the first channel of the range in the first panel on: `[channel][position][lane]`.
    pub values: &'a [T],
    /// How many channels the range has.
    pub channels: usize,
    /// How far it is from a panel to the next.
    pub stride: usize,
}

impl<T: Real> Panels<'_, T> {
    /// Insists that the values of so many panels are there.
    fn check(&self, panels: usize, positions: usize) {
        let size = (panels - 1) * self.stride + self.channels * positions * T::LANES;
        assert!(self.values.len() >= size, "values of {panels} panels");
    }
}

/// A value's channels in some panels, as rows of a panel's columns.
struct Rows<'a, T> {
    values: &'a [T],
    /// How many rows there are.
    count: usize,
    /// How far it is from a row to the next.
    row: usize,
    /// How far it is from a panel to the next.
    panel: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// The rows as they lie, or, where a row is a single column, next to those of the other panels:
    /// as they lie, a power of two apart, they would evict each other from the cache.
    fn new(value: &Panels<'a, T>, positions: usize, panels: usize, room: &'a mut [T]) -> Self {
        let (count, values) = (value.channels, value.values);
        if positions > 1 || panels == 1 {
            return Self { values, count, row: positions, panel: value.stride / T::LANES };
        }
        let places = (0..count).flat_map(|row| (0..panels).map(move |panel| (row, panel)));
        for ((row, panel), column) in places.zip(room.chunks_exact_mut(T::LANES)) {
            let place = panel * value.stride + row * T::LANES;
            column.copy_from_slice(&values[place..place + T::LANES]);
        }
        Self { values: room, count, row: panels, panel: 1 }
    }

    /// Those of this panel and the ones after it.
    fn from(&self, panel: usize) -> Self {
        Self { values: &self.values[panel * self.panel * T::LANES..], ..*self }
    }
}

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
///
/// `dy` has a channel for each row. Lanes that hold no sample must be 0 in `dy` and finite in `x`.
///
/// # Panics
/// When `out` is not as long as rows · channels · taps, or a value ends early.
pub fn reduce<T: Real>(
    isa: Isa,
    taps: &Taps,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    assert_eq!(out.len(), dy.channels * x.channels * taps.taps(), "out");
    if out.is_empty() || panels == 0 {
        return;
    }
    dy.check(panels, taps.positions());
    x.check(panels, taps.source_positions());
    if 2 * x.channels >= T::LANES && dy.channels > 1 {
        by_channels::reduce(isa, taps, panels, dy, x, out);
    } else {
        by_samples::reduce(isa, taps, panels, dy, x, out);
    }
}
