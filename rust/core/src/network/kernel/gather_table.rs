//! Gather table: the input position that an output position reads through each kernel tap.

use crate::error::{Error, require};

/// The source of every output position through every kernel tap; None where it reads padding.
///
/// The taps of a convolution are the entries of its window. A linear layer has one position and one
/// tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatherTable {
    positions: usize,
    count: usize,
    source_positions: usize,
    /// `[position][tap]`.
    sources: Vec<Option<usize>>,
    /// The number of sources that are not padding.
    connections: usize,
    image: Option<Image>,
}

/// An image under a 3 × 3 window with stride 1 and padding 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub height: usize,
    pub width: usize,
    /// Whether the taps run from the window's last entry to its first.
    pub mirrored: bool,
}

impl Image {
    /// The number of positions.
    pub fn positions(self) -> usize {
        self.height * self.width
    }

    /// The source of output [y, x] through the window's entry [down, right].
    pub fn source(self, [y, x]: [usize; 2], [down, right]: [usize; 2]) -> Option<usize> {
        let row = (y + down).checked_sub(1).filter(|&row| row < self.height)?;
        let column = (x + right).checked_sub(1).filter(|&column| column < self.width)?;
        Some(row * self.width + column)
    }

    /// The image that these sources belong to, if there is one.
    fn of(positions: usize, sources: &[Option<usize>], source_positions: usize) -> Option<Self> {
        if sources.len() != 9 * positions || positions != source_positions {
            return None;
        }
        let widths = (1..=positions).filter(|&width| positions.is_multiple_of(width));
        let mut images = widths.flat_map(|width| {
            [false, true].map(|mirrored| Self { height: positions / width, width, mirrored })
        });
        images.find(|image| {
            sources.iter().enumerate().all(|(entry, &source)| {
                let (position, tap) = (entry / 9, entry % 9);
                let tap = if image.mirrored { 8 - tap } else { tap };
                let output = [position / image.width, position % image.width];
                source == image.source(output, [tap / 3, tap % 3])
            })
        })
    }
}

impl GatherTable {
    /// The table with these sources, `[position][tap]`, among `source_positions` of the input.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the number of sources is a positive multiple of the positions, and
    /// each tap reads distinct positions of the input.
    pub fn new(
        positions: usize,
        sources: Vec<Option<usize>>,
        source_positions: usize,
    ) -> Result<Self, Error> {
        require!(positions > 0, "got no output positions; pass at least one");
        require!(
            !sources.is_empty() && sources.len().is_multiple_of(positions),
            "got {} sources for {positions} positions; pass one for each position and tap",
            sources.len()
        );
        let count = sources.len() / positions;
        let mut reader = vec![None; source_positions * count];
        for (entry, source) in sources.iter().enumerate() {
            let Some(source) = *source else { continue };
            require!(
                source < source_positions,
                "got the source {source}; the input has {source_positions} positions"
            );
            let (position, tap) = (entry / count, entry % count);
            if let Some(other) = reader[source * count + tap].replace(position) {
                return Err(Error::Invalid(format!(
                    "positions {other} and {position} read {source} through tap {tap}; \
                     pass another tap for one of them"
                )));
            }
        }
        Ok(Self::from_valid(positions, sources, source_positions))
    }

    /// The table with valid sources.
    fn from_valid(positions: usize, sources: Vec<Option<usize>>, source_positions: usize) -> Self {
        Self {
            positions,
            count: sources.len().checked_div(positions).unwrap_or(1),
            source_positions,
            connections: sources.iter().flatten().count(),
            image: Image::of(positions, &sources, source_positions),
            sources,
        }
    }

    /// One tap, through which every position reads itself.
    pub(super) fn pointwise(positions: usize) -> Self {
        Self::from_valid(positions, (0..positions).map(Some).collect(), positions)
    }

    /// One position and one tap: a linear layer.
    #[must_use]
    pub fn identity() -> Self {
        Self::pointwise(1)
    }

    /// Whether the table is that of a linear layer.
    pub(super) fn is_identity(&self) -> bool {
        (self.positions, self.source_positions) == (1, 1) && self.sources == [Some(0)]
    }

    /// The table of the transposed product: sources and positions are exchanged, tap by tap.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut sources = vec![None; self.source_positions * self.count];
        for position in 0..self.positions {
            for tap in 0..self.count {
                if let Some(source) = self.source(position, tap) {
                    sources[source * self.count + tap] = Some(position);
                }
            }
        }
        Self::from_valid(self.source_positions, sources, self.positions)
    }

    /// The number of (position, tap) pairs that read the input instead of padding.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// The image, if the table is that of a 3 × 3 window with stride 1 and padding 1.
    pub(super) fn image(&self) -> Option<Image> {
        self.image
    }

    /// Positions of the output.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Taps of each position.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.count
    }

    /// Positions of the input.
    #[must_use]
    pub fn source_positions(&self) -> usize {
        self.source_positions
    }

    /// The source of a position through a tap.
    #[must_use]
    pub fn source(&self, position: usize, tap: usize) -> Option<usize> {
        self.sources(position)[tap]
    }

    /// The sources of a position, by tap.
    pub(super) fn sources(&self, position: usize) -> &[Option<usize>] {
        &self.sources[position * self.count..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::GatherTable;

    #[test]
    fn impossible_sources_are_errors() {
        let message = |taps: Result<GatherTable, crate::Error>| taps.unwrap_err().to_string();
        assert!(message(GatherTable::new(0, vec![Some(0)], 1)).contains("no output positions"));
        assert!(
            message(GatherTable::new(2, vec![Some(0)], 1)).contains("1 sources for 2 positions")
        );
        assert!(message(GatherTable::new(1, vec![], 1)).contains("0 sources"));
        assert!(message(GatherTable::new(1, vec![Some(1)], 1)).contains("the source 1"));
        let twice = vec![Some(0), None, Some(0), None];
        assert!(
            message(GatherTable::new(2, twice, 1))
                .contains("positions 0 and 1 read 0 through tap 0")
        );
    }

    #[test]
    fn transposing_twice_is_the_identity() {
        let table = GatherTable::new(2, vec![None, Some(0), Some(2), Some(1)], 3).unwrap();
        let transposed = table.transpose();
        assert_eq!((transposed.positions(), transposed.source_positions()), (3, 2));
        assert_eq!(transposed.source(0, 1), Some(0));
        assert_eq!(transposed.source(2, 0), Some(1));
        assert_eq!(transposed.source(0, 0), None);
        assert_eq!(transposed.transpose(), table);
        assert_eq!(GatherTable::identity().transpose(), GatherTable::identity());
    }
}
