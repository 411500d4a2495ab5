//! Panels of outputs, and blocks of their lanes.

use std::array::from_fn;

use crate::isa::Isa;

/// Lanes that are worked on at once: one or two registers, and a divisor of any panel's.
pub(super) const WIDTH: usize = 8;

/// A number for each lane of a block.
pub(super) type Lanes = [f64; WIDTH];

/// Zeros.
pub(super) const NOTHING: Lanes = [0.0; WIDTH];

/// A panel of a network's outputs.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    /// The instruction set to work with.
    pub isa: Isa,
    /// The outputs z as `[channel][position][lane]`.
    pub values: &'a [f64],
    /// How many lanes there are: a multiple of eight.
    pub lanes: usize,
    /// Which sample each lane holds, from the first lane on; lanes beyond hold none.
    pub samples: &'a [usize],
}

/// Workspace to work in, kept from call to call so that none but the first allocates.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    rows: Vec<Lanes>,
}

impl Scratch {
    /// Rows of anything.
    pub(super) fn rows(&mut self, count: usize) -> &mut [Lanes] {
        if self.rows.len() < count {
            self.rows.resize(count, NOTHING);
        }
        &mut self.rows[..count]
    }
}

/// Neighbouring lanes of a panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// The first lane.
    first: usize,
    /// The samples of its lanes, from the first on: at most [`WIDTH`].
    pub samples: &'a [usize],
}

impl<'a> Outputs<'a> {
    /// The blocks of all lanes.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let samples = self.samples;
        (0..self.lanes).step_by(WIDTH).map(move |first| {
            let held = samples.get(first..).unwrap_or_default();
            Block { first, samples: &held[..held.len().min(WIDTH)] }
        })
    }

    /// Insists that the panel has this many outputs a lane, and `out` as many.
    pub(super) fn check_all(&self, features: usize, out: &[f64]) {
        assert_eq!(self.values.len(), features * self.lanes, "a panel of other outputs");
        self.check(out);
    }

    /// Insists that the panel has this many outputs a lane, and `out` one number.
    pub(super) fn check_lanes(&self, features: usize, out: &[f64]) {
        self.check_all(features, self.values);
        assert_eq!(out.len(), self.lanes, "one number a lane");
    }

    /// Insists that numbers are as many as the outputs.
    pub(super) fn check(&self, numbers: &[f64]) {
        assert_eq!(numbers.len(), self.values.len(), "one number an output");
        assert!(self.lanes > 0 && self.lanes.is_multiple_of(WIDTH), "got {} lanes", self.lanes);
        assert!(self.samples.len() <= self.lanes, "more samples than lanes");
    }
}

impl Block<'_> {
    /// Which lane of the panel the block's own lane is.
    #[inline(always)]
    pub fn lane(&self, own: usize) -> usize {
        self.first + own
    }

    /// The block's part of a row of lanes that starts at `row`.
    #[inline(always)]
    pub fn read(&self, values: &[f64], row: usize) -> Lanes {
        let mut lanes = NOTHING;
        lanes.copy_from_slice(&values[row + self.first..][..WIDTH]);
        lanes
    }

    /// Writes the block's part of a row: 0 to lanes that hold no sample.
    #[inline(always)]
    pub fn write(&self, values: &mut [f64], row: usize, lanes: Lanes) {
        let held = self.samples.len();
        let masked: Lanes = from_fn(|i| if i < held { lanes[i] } else { 0.0 });
        values[row + self.first..][..WIDTH].copy_from_slice(&masked);
    }
}
