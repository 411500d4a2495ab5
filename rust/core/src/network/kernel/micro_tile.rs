//! Which columns of a product are made together, and what they read.

use std::array::from_fn;
use std::sync::LazyLock;

use super::gather_table::GatherTable;
use super::pool2x2::Pool2x2;

/// Positions whose sums are in registers at once.
pub(super) const TILE_POSITIONS: usize = 4;

/// What some of the positions read through a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TapRead {
    pub tap: usize,
    /// Which positions do: number p where bit p is set.
    pub readers: usize,
    /// What each of them reads, and for the others what one of these does.
    pub sources: [usize; TILE_POSITIONS],
}

/// All that some positions read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MicroTile {
    /// The square that they are, or the first of them.
    pub column: usize,
    pub positions: [usize; TILE_POSITIONS],
    pub parts: Vec<TapRead>,
}

/// Readers that a kernel knows: all, neighbours along either side of a square, each alone.
const READERS: [usize; 9] =
    [0b1111, 0b0011, 0b1100, 0b0101, 0b1010, 0b0001, 0b0010, 0b0100, 0b1000];

impl MicroTile {
    /// What these positions read.
    fn new(table: &GatherTable, column: usize, positions: [usize; TILE_POSITIONS]) -> Self {
        let mut parts = Vec::new();
        for tap in 0..table.taps() {
            let sources = positions.map(|position| table.source(position, tap));
            let fed = (0..TILE_POSITIONS).filter(|&p| sources[p].is_some());
            let mut left: usize = fed.map(|p| 1 << p).sum();
            for readers in READERS {
                if left & readers != readers {
                    continue;
                }
                left -= readers;
                let one = sources[readers.trailing_zeros() as usize].unwrap_or_default();
                let read = |p: usize| sources[p].filter(|_| readers >> p & 1 == 1).unwrap_or(one);
                parts.push(TapRead { tap, readers, sources: from_fn(read) });
            }
        }
        Self { column, positions, parts }
    }
}

/// MicroTiles of a product.
#[derive(Clone, Debug)]
pub(super) struct MicroTiles {
    /// Those that are made together.
    pub together: Vec<MicroTile>,
    /// Positions that are made one by one.
    pub alone: Vec<usize>,
}

impl MicroTiles {
    /// All positions.
    pub fn positions(table: &GatherTable) -> Self {
        let count = table.positions();
        let end = count / TILE_POSITIONS * TILE_POSITIONS;
        let starts = (0..end).step_by(TILE_POSITIONS);
        let together = starts.map(|start| MicroTile::new(table, start, from_fn(|p| start + p)));
        Self { together: together.collect(), alone: (end..count).collect() }
    }

    /// All squares.
    pub fn squares(table: &GatherTable, pool: Pool2x2) -> Self {
        Self::some(table, Some(pool), (0..pool.squares()).collect())
    }

    /// Some of them, which are squares where there is a pool.
    pub fn some(table: &GatherTable, pool: Option<Pool2x2>, some: Vec<usize>) -> Self {
        let Some(pool) = pool else { return Self { together: Vec::new(), alone: some } };
        let reads = |square| MicroTile::new(table, square, pool.square(square));
        Self { together: some.into_iter().map(reads).collect(), alone: Vec::new() }
    }
}

/// The most positions that [`pointwise`] has.
pub(super) const MAX_POINTWISE: usize = 16;

/// As many positions as that, each fed by itself.
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

    fn read_what_taps_say(table: &GatherTable, MicroTile { positions, parts, .. }: &MicroTile) {
        for (p, &position) in positions.iter().enumerate() {
            let own = parts.iter().filter(|read| read.readers >> p & 1 == 1);
            let found: Vec<_> = own.map(|read| (read.tap, read.sources[p])).collect();
            let expected: Vec<_> = (0..table.taps())
                .filter_map(|tap| Some((tap, table.source(position, tap)?)))
                .collect();
            assert_eq!(found, expected, "{table:?}");
        }
        for read in parts {
            assert!(READERS.contains(&read.readers));
            let readers = (0..TILE_POSITIONS).filter(|p| read.readers >> p & 1 == 1);
            let sources: BTreeSet<_> = readers.map(|p| read.sources[p]).collect();
            assert!(read.sources.iter().all(|source| sources.contains(source)));
        }
    }

    #[test]
    fn every_position_reads_what_its_taps_say() {
        for table in tables() {
            let MicroTiles { together, alone } = MicroTiles::positions(&table);
            let positions = together.iter().flat_map(|reads| reads.positions).chain(alone);
            assert!(positions.eq(0..table.positions()));
            let last = table.positions() - 1;
            let any = MicroTile::new(&table, 0, [last, 0, last / 2, last / 3]);
            together.iter().chain([&any]).for_each(|reads| read_what_taps_say(&table, reads));
        }
    }

    #[test]
    fn what_a_square_reads_together_is_read_once() {
        let (table, pool) = (convolution(4, 6, 1, 1), Pool2x2::new(4, 6));
        let MicroTiles { together, alone } = MicroTiles::squares(&table, pool);
        assert_eq!((together.len(), alone.len()), (6, 0));
        let readers = |square: usize| -> Vec<usize> {
            together[square].parts.iter().map(|read| read.readers).collect()
        };
        assert_eq!(readers(0), [8, 12, 12, 10, 15, 15, 10, 15, 15]);
        assert_eq!(readers(1), [12, 12, 12, 15, 15, 15, 15, 15, 15]);
        let some = MicroTiles::some(&table, Some(pool), vec![4, 1]);
        assert_eq!(some.together, [together[4].clone(), together[1].clone()]);
        assert_eq!(MicroTiles::some(&table, None, vec![7, 2]).alone, [7, 2]);
    }
}
