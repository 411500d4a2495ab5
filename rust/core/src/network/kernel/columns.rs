//! Which columns of a product are made together, and what they read.

use std::array::from_fn;
use std::sync::LazyLock;

use super::pool::Pool;
use super::taps::Taps;

/// Positions whose sums are in registers at once.
pub(super) const TOGETHER: usize = 4;

/// What some of the positions read through a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub tap: usize,
    /// Which positions do: number p where bit p is set.
    pub readers: usize,
    /// What each of them reads, and for the others what one of these does.
    pub sources: [usize; TOGETHER],
}

/// All that some positions read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reads {
    /// The square that they are, or the first of them.
    pub column: usize,
    pub positions: [usize; TOGETHER],
    pub parts: Vec<Read>,
}

/// Readers that a kernel knows: all, neighbours along either side of a square, each alone.
const READERS: [usize; 9] =
    [0b1111, 0b0011, 0b1100, 0b0101, 0b1010, 0b0001, 0b0010, 0b0100, 0b1000];

impl Reads {
    /// What these positions read.
    fn new(taps: &Taps, column: usize, positions: [usize; TOGETHER]) -> Self {
        let mut parts = Vec::new();
        for tap in 0..taps.taps() {
            let sources = positions.map(|position| taps.source(position, tap));
            let fed = (0..TOGETHER).filter(|&p| sources[p].is_some());
            let mut left: usize = fed.map(|p| 1 << p).sum();
            for readers in READERS {
                if left & readers != readers {
                    continue;
                }
                left -= readers;
                let one = sources[readers.trailing_zeros() as usize].unwrap_or_default();
                let read = |p: usize| sources[p].filter(|_| readers >> p & 1 == 1).unwrap_or(one);
                parts.push(Read { tap, readers, sources: from_fn(read) });
            }
        }
        Self { column, positions, parts }
    }
}

/// Columns of a product.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Those that are made together.
    pub together: Vec<Reads>,
    /// Positions that are made one by one.
    pub alone: Vec<usize>,
}

impl Columns {
    /// All positions.
    pub fn positions(taps: &Taps) -> Self {
        let count = taps.positions();
        let end = count / TOGETHER * TOGETHER;
        let starts = (0..end).step_by(TOGETHER);
        let together = starts.map(|start| Reads::new(taps, start, from_fn(|p| start + p)));
        Self { together: together.collect(), alone: (end..count).collect() }
    }

    /// All squares.
    pub fn squares(taps: &Taps, pool: Pool) -> Self {
        Self::some(taps, Some(pool), (0..pool.squares()).collect())
    }

    /// Some of them, which are squares where there is a pool.
    pub fn some(taps: &Taps, pool: Option<Pool>, some: Vec<usize>) -> Self {
        let Some(pool) = pool else { return Self { together: Vec::new(), alone: some } };
        let reads = |square| Reads::new(taps, square, pool.square(square));
        Self { together: some.into_iter().map(reads).collect(), alone: Vec::new() }
    }
}

/// The most positions that [`pointwise`] has.
pub(super) const POINTWISE: usize = 16;

/// As many positions as that, each fed by itself.
pub(super) fn pointwise(positions: usize) -> (&'static Taps, &'static Columns) {
    static ALL: LazyLock<Vec<(Taps, Columns)>> = LazyLock::new(|| {
        let taps = (0..=POINTWISE).map(Taps::pointwise);
        taps.map(|taps| (taps.clone(), Columns::positions(&taps))).collect()
    });
    let (taps, columns) = &ALL[positions];
    (taps, columns)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Columns, READERS, Reads, TOGETHER};
    use crate::network::kernel::Taps;
    use crate::network::kernel::pool::Pool;
    use crate::network::kernel::tests::{convolution, tables};

    fn read_what_taps_say(taps: &Taps, Reads { positions, parts, .. }: &Reads) {
        for (p, &position) in positions.iter().enumerate() {
            let own = parts.iter().filter(|read| read.readers >> p & 1 == 1);
            let found: Vec<_> = own.map(|read| (read.tap, read.sources[p])).collect();
            let expected: Vec<_> = (0..taps.taps())
                .filter_map(|tap| Some((tap, taps.source(position, tap)?)))
                .collect();
            assert_eq!(found, expected, "{taps:?}");
        }
        for read in parts {
            assert!(READERS.contains(&read.readers));
            let readers = (0..TOGETHER).filter(|p| read.readers >> p & 1 == 1);
            let sources: BTreeSet<_> = readers.map(|p| read.sources[p]).collect();
            assert!(read.sources.iter().all(|source| sources.contains(source)));
        }
    }

    #[test]
    fn every_position_reads_what_its_taps_say() {
        for taps in tables() {
            let Columns { together, alone } = Columns::positions(&taps);
            let positions = together.iter().flat_map(|reads| reads.positions).chain(alone);
            assert!(positions.eq(0..taps.positions()));
            let last = taps.positions() - 1;
            let any = Reads::new(&taps, 0, [last, 0, last / 2, last / 3]);
            together.iter().chain([&any]).for_each(|reads| read_what_taps_say(&taps, reads));
        }
    }

    #[test]
    fn what_a_square_reads_together_is_read_once() {
        let (taps, pool) = (convolution(4, 6, 1, 1), Pool::new(4, 6));
        let Columns { together, alone } = Columns::squares(&taps, pool);
        assert_eq!((together.len(), alone.len()), (6, 0));
        let readers = |square: usize| -> Vec<usize> {
            together[square].parts.iter().map(|read| read.readers).collect()
        };
        assert_eq!(readers(0), [8, 12, 12, 10, 15, 15, 10, 15, 15]);
        assert_eq!(readers(1), [12, 12, 12, 15, 15, 15, 15, 15, 15]);
        let some = Columns::some(&taps, Some(pool), vec![4, 1]);
        assert_eq!(some.together, [together[4].clone(), together[1].clone()]);
        assert_eq!(Columns::some(&taps, None, vec![7, 2]).alone, [7, 2]);
    }
}
