//! Squares of an image, of which the largest number is kept.

/// Squares of two by two positions, side by side, each of which becomes the largest of its numbers;
/// NaN where one is. What an odd side leaves over is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2x2 {
    height: usize,
    width: usize,
}

impl Pool2x2 {
    /// The squares of an image.
    #[must_use]
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// How many positions the image has.
    #[must_use]
    pub fn positions(self) -> usize {
        self.height * self.width
    }

    /// How many squares it has.
    pub(super) fn squares(self) -> usize {
        (self.height / 2) * (self.width / 2)
    }

    /// The positions of a square.
    pub(super) fn square(self, index: usize) -> [usize; 4] {
        let across = self.width / 2;
        let first = index / across * 2 * self.width + index % across * 2;
        [first, first + 1, first + self.width, first + self.width + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::Pool2x2;

    #[test]
    fn squares_lie_side_by_side() {
        let pool = Pool2x2::new(5, 4);
        assert_eq!((pool.positions(), pool.squares()), (20, 4));
        assert_eq!(pool.square(0), [0, 1, 4, 5]);
        assert_eq!(pool.square(3), [10, 11, 14, 15]);
        assert_eq!(Pool2x2::new(1, 7).squares(), 0);
    }
}
