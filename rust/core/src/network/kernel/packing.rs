//! The packed layout of weights.

use std::ops::Range;

/// Rows of a micro-kernel tile: as many as the registers hold beside two vectors of inputs.
pub(super) const GROUP: usize = 6;

/// Instantiates a block for R rows of a group, a runtime number, as a constant.
macro_rules! for_rows {
    ($rows:expr, $R:ident => $body:block) => {
        match $rows {
            1 => for_rows!(@ $R = 1, $body),
            2 => for_rows!(@ $R = 2, $body),
            3 => for_rows!(@ $R = 3, $body),
            4 => for_rows!(@ $R = 4, $body),
            5 => for_rows!(@ $R = 5, $body),
            _ => for_rows!(@ $R = { $crate::network::kernel::packing::GROUP }, $body),
        }
    };
    (@ $R:ident = $count:expr, $body:block) => {{
        const $R: usize = $count;
        $body
    }};
}

pub(super) use for_rows;

/// The layout of the weights of a product, `rows` × (`taps` · `inner`): by groups of rows, and within a
/// group as `[tap][inner][row of the group]`.
///
/// A group has six rows, and the last two groups share the remainder: a group of one or two rows
/// would leave the arithmetic units idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    rows: usize,
    taps: usize,
    inner: usize,
    groups: Vec<Range<usize>>,
}

impl Packing {
    /// The layout of `rows` × (`taps` · `inner`) weights.
    #[must_use]
    pub fn new(rows: usize, taps: usize, inner: usize) -> Self {
        let mut start = 0;
        let group = |size| {
            start += size;
            start - size..start
        };
        Self { rows, taps, inner, groups: group_sizes(rows).map(group).collect() }
    }

    /// The number of weights.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is a number of weights, not a collection")]
    pub fn len(&self) -> usize {
        self.rows * self.taps * self.inner
    }

    /// Output channels of the product.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Kernel taps of the product.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// Input channels of the product.
    #[must_use]
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// The index of a weight.
    #[must_use]
    pub fn index(&self, row: usize, tap: usize, inner: usize) -> usize {
        let group = &self.groups[(row / GROUP).min(self.groups.len() - 1)];
        // The last group but one may be short; rows after it are in the last.
        let group = if row < group.end { group } else { &self.groups[self.groups.len() - 1] };
        let depth = tap * self.inner + inner;
        group.start * self.taps * self.inner + depth * group.len() + row - group.start
    }

    /// The groups, in order.
    pub(super) fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }
}

/// The weights of a product.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T> {
    /// The packed weights.
    pub packed: &'a [T],
    /// The weights prepared by [`Contraction::prepare`](super::Contraction::prepare), or empty.
    pub prepared: &'a [T],
}

/// The sizes of the groups of `rows` rows.
pub(super) fn group_sizes(rows: usize) -> impl Iterator<Item = usize> {
    let (full, last) = match rows % GROUP {
        0 => (rows / GROUP, [0, 0]),
        rest @ 1..=3 if rows > GROUP => {
            let shared = GROUP + rest;
            (rows / GROUP - 1, [shared.div_ceil(2), shared / 2])
        }
        rest => (rows / GROUP, [rest, 0]),
    };
    std::iter::repeat_n(GROUP, full).chain(last).filter(|&size| size > 0)
}

#[cfg(test)]
mod tests {
    use super::Packing;

    #[test]
    fn the_last_groups_share_the_remaining_rows() {
        let sizes = |rows| super::group_sizes(rows).collect();
        let cases: [(usize, &[usize]); 13] = [
            (0, &[]),
            (1, &[1]),
            (2, &[2]),
            (5, &[5]),
            (6, &[6]),
            (7, &[4, 3]),
            (8, &[4, 4]),
            (9, &[5, 4]),
            (10, &[6, 4]),
            (12, &[6, 6]),
            (13, &[6, 4, 3]),
            (16, &[6, 6, 4]),
            (20, &[6, 6, 4, 4]),
        ];
        for (rows, expected) in cases {
            let sizes: Vec<usize> = sizes(rows);
            assert_eq!(sizes, expected);
        }
    }

    #[test]
    fn weights_have_distinct_indices() {
        for rows in 0..=25 {
            let packing = Packing::new(rows, 3, 5);
            let mut taken = vec![false; packing.len()];
            for row in 0..rows {
                for (tap, inner) in (0..3).flat_map(|tap| (0..5).map(move |inner| (tap, inner))) {
                    let slot = &mut taken[packing.index(row, tap, inner)];
                    assert!(!*slot);
                    *slot = true;
                }
            }
            assert!(taken.into_iter().all(|slot| slot));
        }
    }

    #[test]
    fn a_group_reads_its_weights_in_order() {
        let packing = Packing::new(10, 2, 3);
        assert_eq!(packing.index(0, 0, 0), 0);
        assert_eq!(packing.index(5, 0, 0), 5);
        assert_eq!(packing.index(0, 0, 1), 6);
        assert_eq!(packing.index(0, 1, 0), 18);
        assert_eq!(packing.index(6, 0, 0), 36);
        assert_eq!(packing.index(9, 1, 2), 59);
    }
}
