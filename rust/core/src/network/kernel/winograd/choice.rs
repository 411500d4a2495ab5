//! The tile size of a Winograd convolution: the one with the least work.

use super::filters::Filters;
use super::tile::{Four, Two};
use crate::isa::Isa;
use crate::network::kernel::gather_table::{GatherTable, Image};
use crate::network::kernel::packing::Packing;
use crate::network::kernel::real::Real;

/// Outputs of a tile per side.
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

    /// Inputs of a tile.
    pub fn entries(self) -> usize {
        (self.outputs() + 2).pow(2)
    }

    /// The measured cost of transforming a tile for each channel and for each row, in multiply-adds
    /// of a column.
    fn transforms(self) -> [usize; 2] {
        match self {
            Self::Two => [60, 75],
            Self::Four => [160, 200],
        }
    }
}

/// The position of a tile's first output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TileOrigin {
    pub panel: usize,
    pub top: usize,
    pub left: usize,
}

/// Images cut into tiles of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Choice {
    pub(super) image: Image,
    pub(super) size: Size,
}

impl Choice {
    /// The tile size with the least work; None where direct summation is cheaper.
    pub fn new(packing: &Packing, table: &GatherTable, image: Image) -> Option<Self> {
        let (rows, inner) = (packing.rows(), packing.inner());
        let cost = |choice: &Self| {
            let [channel, row] = choice.size.transforms();
            // The products of tiles are shorter than those of direct summation, and a little slower.
            let products = choice.size.entries() * rows * inner * 9 / 8;
            choice.tiles() * (products + channel * inner + row * rows)
        };
        let choices = [Size::Two, Size::Four].map(|size| Self { image, size });
        let best = choices.into_iter().min_by_key(cost)?;
        (cost(&best) < table.connections() * rows * inner).then_some(best)
    }

    /// The number of tiles of an image.
    pub(super) fn tiles(&self) -> usize {
        let side = self.size.outputs();
        self.image.height.div_ceil(side) * self.image.width.div_ceil(side)
    }

    /// The position of a tile, counted over all panels.
    pub(super) fn origin(&self, tile: usize) -> TileOrigin {
        let tiles = self.tiles();
        let (panel, tile) = (tile / tiles, tile % tiles);
        let side = self.size.outputs();
        let across = self.image.width.div_ceil(side);
        TileOrigin { panel, top: tile / across * side, left: tile % across * side }
    }

    /// The columns of a tile's outputs, pooled or not, counted over all panels.
    pub(super) fn outputs(&self, origin: &TileOrigin, pooled: bool) -> impl Iterator<Item = usize> {
        let shrink = if pooled { 2 } else { 1 };
        let side = self.size.outputs() / shrink;
        let (down, across) = (self.image.height / shrink, self.image.width / shrink);
        let TileOrigin { panel, top, left } = *origin;
        let (top, left) = (top / shrink, left / shrink);
        let rows = top..down.min(top + side);
        rows.flat_map(move |row| {
            let first = (panel * down + row) * across;
            (left..across.min(left + side)).map(move |column| first + column)
        })
    }

    /// The length of the transformed filters with their sum of squares.
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
