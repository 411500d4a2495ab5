//! How large tiles are.

use super::filters::Filters;
use super::tile::{Four, Two};
use crate::isa::Isa;
use crate::network::kernel::gather_table::{GatherTable, Image};
use crate::network::kernel::packing::Packing;
use crate::network::kernel::real::Real;

/// How many outputs a tile has on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Two,
    Four,
}

impl Size {
    pub fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Numbers of a tile's inputs.
    pub fn entries(self) -> usize {
        (self.outputs() + 2).pow(2)
    }

    /// What a tile costs for every channel and for every row, measured in multiply-adds of a column.
    fn transforms(self) -> [usize; 2] {
        match self {
            Self::Two => [60, 75],
            Self::Four => [160, 200],
        }
    }
}

/// Where a tile's first output is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub panel: usize,
    pub top: usize,
    pub left: usize,
}

/// Images in tiles of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Choice {
    pub(super) image: Image,
    pub(super) size: Size,
}

impl Choice {
    /// The size that leaves least to do; none where the sums as they stand do.
    pub fn new(packing: &Packing, table: &GatherTable, image: Image) -> Option<Self> {
        let (rows, inner) = (packing.rows(), packing.inner());
        let cost = |choice: &Self| {
            let [channel, row] = choice.size.transforms();
            // Products of a tile are shorter than those of taps, hence a little slower.
            let products = choice.size.entries() * rows * inner * 9 / 8;
            choice.tiles() * (products + channel * inner + row * rows)
        };
        let choices = [Size::Two, Size::Four].map(|size| Self { image, size });
        let best = choices.into_iter().min_by_key(cost)?;
        (cost(&best) < table.connections() * rows * inner).then_some(best)
    }

    /// How many tiles an image has.
    pub(super) fn tiles(&self) -> usize {
        let side = self.size.outputs();
        self.image.height.div_ceil(side) * self.image.width.div_ceil(side)
    }

    /// Where a tile is, of those of all panels.
    pub(super) fn place(&self, tile: usize) -> Place {
        let tiles = self.tiles();
        let (panel, tile) = (tile / tiles, tile % tiles);
        let side = self.size.outputs();
        let across = self.image.width.div_ceil(side);
        Place { panel, top: tile / across * side, left: tile % across * side }
    }

    /// The columns of a tile's outputs, pooled or not, among those of all panels.
    pub(super) fn outputs(&self, place: &Place, pooled: bool) -> impl Iterator<Item = usize> {
        let shrink = if pooled { 2 } else { 1 };
        let side = self.size.outputs() / shrink;
        let (down, across) = (self.image.height / shrink, self.image.width / shrink);
        let Place { panel, top, left } = *place;
        let (top, left) = (top / shrink, left / shrink);
        let rows = top..down.min(top + side);
        rows.flat_map(move |row| {
            let first = (panel * down + row) * across;
            (left..across.min(left + side)).map(move |column| first + column)
        })
    }

    /// Numbers of the transformed filters, and one more.
    pub fn prepared_len(&self, packing: &Packing) -> usize {
        self.size.entries() * packing.rows() * packing.inner() + 1
    }

    /// Transforms filters.
    pub fn prepare<T: Real>(&self, isa: Isa, packing: &Packing, packed: &[T], out: &mut [T]) {
        let mirrored = self.image.mirrored;
        match self.size {
            Size::Two => {
                T::dispatch(isa, Filters::<T, Two, 4, 2>::new(packing, packed, mirrored, out));
            }
            Size::Four => {
                T::dispatch(isa, Filters::<T, Four, 6, 4>::new(packing, packed, mirrored, out));
            }
        }
    }
}
