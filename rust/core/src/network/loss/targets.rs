//! Targets of all samples: class labels, or a number for each output.

use crate::error::{Error, require};
use crate::network::shape::Shape;

/// Targets of all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class for each position of each sample: (samples, positions), row-major.
    Classes {
        /// The classes, counted from 0, or the loss's index of what is ignored.
        classes: Vec<i64>,
        /// How many positions a sample has.
        positions: usize,
    },
    /// A number for each output: (samples, channels · positions), row-major.
    Dense {
        /// The numbers.
        values: Vec<f64>,
        /// How many outputs a sample has.
        width: usize,
    },
}

impl Targets {
    /// The numbers, if there is one for each output.
    pub(super) fn dense(self, loss: &str, shape: Shape) -> Result<Vec<f64>, Error> {
        let Self::Dense { values, width } = self else {
            return Err(Error::Invalid(format!(
                "{loss} got classes as targets; pass a number for each output"
            )));
        };
        require!(
            width == shape.features() && values.len().is_multiple_of(width),
            "{loss} got {} targets in rows of {width}; pass rows of {}, one number an output",
            values.len(),
            shape.features()
        );
        Ok(values)
    }
}
