//! Panels of outputs, and blocks of their lanes.

use std::array::from_fn;

use crate::isa::Isa;

/// Lanes of a block: one or two registers, and a divisor of any panel's lanes.
pub(super) const WIDTH: usize = 8;

/// A number for each lane of a block.
pub(super) type Lanes = [f64; WIDTH];

/// Zeros.
pub(super) const ZEROS: Lanes = [0.0; WIDTH];

/// A panel of a network's outputs.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    /// The instruction set to work with.
    pub isa: Isa,
    /// The outputs z as `[channel][position][lane]`.
    pub values: &'a [f64],
    /// The number of lanes: a multiple of eight.
    pub lanes: usize,
    /// The samples of the lanes, from the first lane on; further lanes are empty.
    pub samples: &'a [usize],
}

/// Scratch memory that is reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    rows: Vec<Lanes>,
}

impl Scratch {
    /// Rows of unspecified numbers.
    pub(super) fn rows(&mut self, count: usize) -> &mut [Lanes] {
        if self.rows.len() < count {
            self.rows.resize(count, ZEROS);
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
            let samples = samples.get(first..).unwrap_or_default();
            Block { first, samples: &samples[..samples.len().min(WIDTH)] }
        })
    }

    /// Checks that the panel has this many outputs for each lane, and `out` as many.
    pub(super) fn check_all(&self, features: usize, out: &[f64]) {
        assert_eq!(self.values.len(), features * self.lanes, "a panel of other outputs");
        self.check(out);
    }

    /// Checks that the panel has this many outputs for each lane, and `out` one number.
    pub(super) fn check_lanes(&self, features: usize, out: &[f64]) {
        self.check_all(features, self.values);
        assert_eq!(out.len(), self.lanes, "one number a lane");
    }

    /// Checks that there are as many numbers as outputs.
    pub(super) fn check(&self, numbers: &[f64]) {
        assert_eq!(numbers.len(), self.values.len(), "one number an output");
        assert!(self.lanes > 0 && self.lanes.is_multiple_of(WIDTH), "got {} lanes", self.lanes);
        assert!(self.samples.len() <= self.lanes, "more samples than lanes");
    }
}

impl Block<'_> {
    /// The index in the panel of a lane of the block.
    #[inline(always)]
    pub fn lane(&self, index: usize) -> usize {
        self.first + index
    }

    /// Loads the block's part of a row of lanes that starts at `row`.
    #[inline(always)]
    pub fn read(&self, values: &[f64], row: usize) -> Lanes {
        let mut lanes = ZEROS;
        lanes.copy_from_slice(&values[row + self.first..][..WIDTH]);
        lanes
    }

    /// Stores the block's part of a row, with 0 in lanes that hold no sample.
    #[inline(always)]
    pub fn write(&self, values: &mut [f64], row: usize, lanes: Lanes) {
        let used = self.samples.len();
        let masked: Lanes = from_fn(|i| if i < used { lanes[i] } else { 0.0 });
        values[row + self.first..][..WIDTH].copy_from_slice(&masked);
    }
}
