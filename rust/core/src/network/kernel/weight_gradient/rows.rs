//! Channels of a value over several panels, as strided rows of lanes.

use crate::network::kernel::real::Real;

/// A range of a value's channels in several panels.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a, T> {
    /// `[channel][position][lane]`, from the first channel of the range in the first panel on.
    pub values: &'a [T],
    /// Channels of the range.
    pub channels: usize,
    /// The stride between panels.
    pub stride: usize,
}

impl<T: Real> Panels<'_, T> {
    /// Checks that the values of all panels are present.
    pub(super) fn check(&self, panels: usize, positions: usize) {
        let size = (panels - 1) * self.stride + self.channels * positions * T::LANES;
        assert!(self.values.len() >= size, "values of {panels} panels");
    }
}

/// The channels of a value in several panels as rows, in strides of columns.
pub(super) struct Rows<'a, T> {
    pub values: &'a [T],
    /// The number of rows.
    pub count: usize,
    /// The stride between rows.
    pub row: usize,
    /// The stride between panels.
    pub panel: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// The rows in place; where a row is a single column, a copy with the panels of a row next to each
    /// other, since at strides of a power of two they would evict each other from the cache.
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
        let offsets = (0..count).flat_map(|row| (0..panels).map(move |panel| (row, panel)));
        for ((row, panel), column) in offsets.zip(scratch.chunks_exact_mut(T::LANES)) {
            let offset = panel * value.stride + row * T::LANES;
            column.copy_from_slice(&values[offset..offset + T::LANES]);
        }
        Self { values: scratch, count, row: panels, panel: 1 }
    }

    /// The rows from a panel on.
    pub fn from(&self, panel: usize) -> Self {
        Self { values: &self.values[panel * self.panel * T::LANES..], ..*self }
    }
}
