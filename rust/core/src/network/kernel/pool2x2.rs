//! The windows of 2 × 2 max-pooling.

/// Max-pooling over 2 × 2 windows with stride 2; NaN where a window has one. The last row or column of
/// an odd side is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2x2 {
    height: usize,
    width: usize,
}

impl Pool2x2 {
    /// The windows of an image.
    #[must_use]
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// Positions of the image.
    #[must_use]
    pub fn positions(self) -> usize {
        self.height * self.width
    }

    /// The number of windows.
    pub(super) fn windows(self) -> usize {
        (self.height / 2) * (self.width / 2)
    }

    /// The positions of a window.
    pub(super) fn window(self, index: usize) -> [usize; 4] {
        let across = self.width / 2;
        let first = index / across * 2 * self.width + index % across * 2;
        [first, first + 1, first + self.width, first + self.width + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::Pool2x2;

    #[test]
    fn windows_are_adjacent() {
        let pool = Pool2x2::new(5, 4);
        assert_eq!((pool.positions(), pool.windows()), (20, 4));
        assert_eq!(pool.window(0), [0, 1, 4, 5]);
        assert_eq!(pool.window(3), [10, 11, 14, 15]);
        assert_eq!(Pool2x2::new(1, 7).windows(), 0);
    }
}
