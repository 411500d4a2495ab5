//! The shape of a value of one sample: channels, height and width.

use crate::error::{Error, require};

/// The largest number of features of a value: malformed graphs must not allocate without bound.
const MAX_FEATURES: usize = 1 << 28;

/// An image of several channels. Flat features are channels of one position, sequences images of height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of channels.
    pub channels: usize,
    /// The number of rows of an image.
    pub height: usize,
    /// The number of columns of an image.
    pub width: usize,
}

impl Shape {
    /// The shape (channels,), (channels, length) or (channels, height, width), without the batch.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of axes, an empty axis, or too many numbers.
    pub fn from_axes(axes: &[usize]) -> Result<Self, Error> {
        let (channels, height, width) = match *axes {
            [channels] => (channels, 1, 1),
            [channels, length] => (channels, 1, length),
            [channels, height, width] => (channels, height, width),
            _ => {
                return Err(Error::Invalid(format!(
                    "got a value of shape {axes:?}; pass one to three axes without the batch"
                )));
            }
        };
        Self::new(channels, height, width)
    }

    /// The shape (channels, height, width).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty axis, or too many numbers.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Self, Error> {
        let axes = [channels, height, width];
        let size = axes.iter().try_fold(1_usize, |size, &axis| size.checked_mul(axis));
        require!(
            size.is_some_and(|size| size > 0 && size <= MAX_FEATURES),
            "got a value of shape {axes:?}; pass positive axes of at most {MAX_FEATURES} numbers in all"
        );
        Ok(Self { channels, height, width })
    }

    /// Positions of a channel.
    #[must_use]
    pub fn positions(self) -> usize {
        self.height * self.width
    }

    /// Features of a sample.
    #[must_use]
    pub fn features(self) -> usize {
        self.channels * self.positions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_channels_and_sequences_are_images_of_height_one() {
        assert_eq!(Shape::from_axes(&[5]).expect("flat").features(), 5);
        let sequence = Shape::from_axes(&[3, 7]).expect("a sequence");
        assert_eq!((sequence.height, sequence.width, sequence.positions()), (1, 7, 7));
    }

    #[test]
    fn empty_and_overflowing_shapes_are_refused() {
        for axes in [&[][..], &[0], &[2, 0], &[usize::MAX, 2], &[1 << 20, 1 << 20], &[1; 4]] {
            assert!(Shape::from_axes(axes).is_err(), "{axes:?}");
        }
    }
}
