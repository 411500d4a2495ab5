//! Channels of a value over several panels, as strided rows of lanes.

use crate::network::kernel::real::Real;

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
    pub(super) fn check(&self, panels: usize, positions: usize) {
        let size = (panels - 1) * self.stride + self.channels * positions * T::LANES;
        assert!(self.values.len() >= size, "values of {panels} panels");
    }
}

/// A value's channels in some panels, as rows of a panel's columns.
pub(super) struct Rows<'a, T> {
    pub values: &'a [T],
    /// How many rows there are.
    pub count: usize,
    /// How far it is from a row to the next.
    pub row: usize,
    /// How far it is from a panel to the next.
    pub panel: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// The rows as they lie, or, where a row is a single column, next to those of the other panels:
    /// as they lie, a power of two apart, they would evict each other from the cache.
    pub fn new(
        value: &Panels<'a, T>,
        positions: usize,
        panels: usize,
        scratch: &'a mut [T],
    ) -> Self {
        let (count, values) = (value.channels, value.values);
        if positions > 1 || panels == 1 {
            return Self { values, count, row: positions, panel: value.stride / T::LANES };
        }
        let places = (0..count).flat_map(|row| (0..panels).map(move |panel| (row, panel)));
        for ((row, panel), column) in places.zip(scratch.chunks_exact_mut(T::LANES)) {
            let place = panel * value.stride + row * T::LANES;
            column.copy_from_slice(&values[place..place + T::LANES]);
        }
        Self { values: scratch, count, row: panels, panel: 1 }
    }

    /// Those of this panel and the ones after it.
    pub fn from(&self, panel: usize) -> Self {
        Self { values: &self.values[panel * self.panel * T::LANES..], ..*self }
    }
}
