//! Micro-kernel tiles: output positions that are computed together, and the inputs that they share.

use std::array::from_fn;
use std::sync::LazyLock;

use super::gather_table::GatherTable;
use super::pool2x2::Pool2x2;

/// Positions of a tile, whose sums are in registers at once.
pub(super) const TILE_POSITIONS: usize = 4;

/// The sources that some positions of a tile read through one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TapRead {
    pub tap: usize,
    /// Bit p is set if position p of the tile reads.
    pub readers: usize,
    /// The source of each reader; the other entries repeat one of these.
    pub sources: [usize; TILE_POSITIONS],
}

/// The positions of a tile and all that they read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MicroTile {
    /// The output column: the pooling window, or the first position.
    pub column: usize,
    pub positions: [usize; TILE_POSITIONS],
    pub reads: Vec<TapRead>,
}

/// The sets of readers that the micro-kernel is instantiated for: all, two neighbours along either
/// side of a window, each single.
const READERS: [usize; 9] =
    [0b1111, 0b0011, 0b1100, 0b0101, 0b1010, 0b0001, 0b0010, 0b0100, 0b1000];

impl MicroTile {
    /// The tile of these positions.
    fn new(table: &GatherTable, column: usize, positions: [usize; TILE_POSITIONS]) -> Self {
        let mut reads = Vec::new();
        for tap in 0..table.taps() {
            let sources = positions.map(|position| table.source(position, tap));
            let readers_of_tap = (0..TILE_POSITIONS).filter(|&p| sources[p].is_some());
            let mut remaining: usize = readers_of_tap.map(|p| 1 << p).sum();
            for readers in READERS {
                if remaining & readers != readers {
                    continue;
                }
                remaining -= readers;
                let default = sources[readers.trailing_zeros() as usize].unwrap_or_default();
                let read =
                    |p: usize| sources[p].filter(|_| readers >> p & 1 == 1).unwrap_or(default);
                reads.push(TapRead { tap, readers, sources: from_fn(read) });
            }
        }
        Self { column, positions, reads }
    }
}

/// The columns of a product, cut into tiles.
#[derive(Clone, Debug)]
pub(super) struct MicroTiles {
    /// Tiles of four positions.
    pub tiles: Vec<MicroTile>,
    /// Positions that are computed one by one.
    pub single: Vec<usize>,
}

impl MicroTiles {
    /// All positions.
    pub fn positions(table: &GatherTable) -> Self {
        let count = table.positions();
        let end = count / TILE_POSITIONS * TILE_POSITIONS;
        let starts = (0..end).step_by(TILE_POSITIONS);
        let tiles = starts.map(|start| MicroTile::new(table, start, from_fn(|p| start + p)));
        Self { tiles: tiles.collect(), single: (end..count).collect() }
    }

    /// All pooling windows.
    pub fn windows(table: &GatherTable, pool: Pool2x2) -> Self {
        Self::subset(table, Some(pool), (0..pool.windows()).collect())
    }

    /// Some columns, which are windows where there is a pool.
    pub fn subset(table: &GatherTable, pool: Option<Pool2x2>, columns: Vec<usize>) -> Self {
        let Some(pool) = pool else { return Self { tiles: Vec::new(), single: columns } };
        let tile = |window| MicroTile::new(table, window, pool.window(window));
        Self { tiles: columns.into_iter().map(tile).collect(), single: Vec::new() }
    }
}

/// The largest number of positions of [`pointwise`].
pub(super) const MAX_POINTWISE: usize = 16;

/// The table and the tiles of so many positions that each read themselves.
pub(super) fn pointwise(positions: usize) -> (&'static GatherTable, &'static MicroTiles) {
    static ALL: LazyLock<Vec<(GatherTable, MicroTiles)>> = LazyLock::new(|| {
        let tables = (0..=MAX_POINTWISE).map(GatherTable::pointwise);
        tables.map(|table| (table.clone(), MicroTiles::positions(&table))).collect()
    });
    let (table, columns) = &ALL[positions];
    (table, columns)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MicroTile, MicroTiles, READERS, TILE_POSITIONS};
    use crate::network::kernel::GatherTable;
    use crate::network::kernel::pool2x2::Pool2x2;
    use crate::network::kernel::tests::{convolution, tables};

    fn assert_reads_match_table(
        table: &GatherTable,
        MicroTile { positions, reads, .. }: &MicroTile,
    ) {
        for (p, &position) in positions.iter().enumerate() {
            let reads_of_position = reads.iter().filter(|read| read.readers >> p & 1 == 1);
            let actual: Vec<_> =
                reads_of_position.map(|read| (read.tap, read.sources[p])).collect();
            let expected: Vec<_> = (0..table.taps())
                .filter_map(|tap| Some((tap, table.source(position, tap)?)))
                .collect();
            assert_eq!(actual, expected, "{table:?}");
        }
        for read in reads {
            assert!(READERS.contains(&read.readers));
            let readers = (0..TILE_POSITIONS).filter(|p| read.readers >> p & 1 == 1);
            let sources: BTreeSet<_> = readers.map(|p| read.sources[p]).collect();
            assert!(read.sources.iter().all(|source| sources.contains(source)));
        }
    }

    #[test]
    fn every_position_reads_the_sources_of_the_table() {
        for table in tables() {
            let MicroTiles { tiles, single } = MicroTiles::positions(&table);
            let positions = tiles.iter().flat_map(|reads| reads.positions).chain(single);
            assert!(positions.eq(0..table.positions()));
            let last = table.positions() - 1;
            let any = MicroTile::new(&table, 0, [last, 0, last / 2, last / 3]);
            tiles.iter().chain([&any]).for_each(|reads| assert_reads_match_table(&table, reads));
        }
    }

    #[test]
    fn shared_sources_of_a_window_are_read_once() {
        let (table, pool) = (convolution(4, 6, 1, 1), Pool2x2::new(4, 6));
        let MicroTiles { tiles, single } = MicroTiles::windows(&table, pool);
        assert_eq!((tiles.len(), single.len()), (6, 0));
        let readers = |square: usize| -> Vec<usize> {
            tiles[square].reads.iter().map(|read| read.readers).collect()
        };
        assert_eq!(readers(0), [8, 12, 12, 10, 15, 15, 10, 15, 15]);
        assert_eq!(readers(1), [12, 12, 12, 15, 15, 15, 15, 15, 15]);
        let some = MicroTiles::subset(&table, Some(pool), vec![4, 1]);
        assert_eq!(some.tiles, [tiles[4].clone(), tiles[1].clone()]);
        assert_eq!(MicroTiles::subset(&table, None, vec![7, 2]).single, [7, 2]);
    }
}
