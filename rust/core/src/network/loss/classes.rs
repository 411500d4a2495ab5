//! Class labels, class weights, correct predictions.

use std::array::from_fn;

use crate::error::{Error, require};
use crate::network::loss::Targets;
use crate::network::loss::panel::{Block, Lanes, Outputs, WIDTH, ZEROS};
use crate::network::shape::Shape;

/// The label of an ignored target: a number that no class has.
pub(super) const IGNORED: u32 = u32::MAX;

/// A class for each position of each sample.
pub(super) struct Labels {
    labels: Vec<u32>,
    shape: Shape,
}

impl Labels {
    /// The labels of these targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless each position has a class among the outputs' channels, or the
    /// ignored index.
    pub fn new(loss: &str, targets: Targets, shape: Shape, ignored: i64) -> Result<Self, Error> {
        let Targets::Classes { classes, positions } = targets else {
            return Err(Error::Invalid(format!(
                "{loss} got numbers as targets; pass integer classes"
            )));
        };
        require!(
            positions == shape.positions() && classes.len().is_multiple_of(positions),
            "{loss} got {} classes in rows of {positions}; pass rows of {}, one class a position",
            classes.len(),
            shape.positions()
        );
        let label = |class: i64| {
            if class == ignored {
                return Ok(IGNORED);
            }
            let label = u32::try_from(class).ok().filter(|&l| (l as usize) < shape.channels);
            label.ok_or_else(|| {
                Error::Invalid(format!(
                    "{loss} got the target {class}; pass classes 0 to {} or {ignored} for none",
                    shape.channels - 1
                ))
            })
        };
        let labels = classes.into_iter().map(label).collect::<Result<_, _>>()?;
        Ok(Self { labels, shape })
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.labels.len() / self.shape.positions()
    }

    /// The labels at a position. Lanes that hold no sample are ignored.
    #[inline(always)]
    pub fn at(&self, block: &Block<'_>, position: usize) -> [u32; WIDTH] {
        let mut labels = [IGNORED; WIDTH];
        for (label, sample) in labels.iter_mut().zip(block.samples) {
            *label = self.labels[sample * self.shape.positions() + position];
        }
        labels
    }

    /// Writes the number of positions of each lane whose greatest output is at their label.
    pub fn count_hits(&self, outputs: &Outputs<'_>, out: &mut [f64]) {
        count_hits(
            outputs,
            self.shape,
            out,
            #[inline(always)]
            |block, position| self.at(block, position).map(f64::from),
        );
    }
}

/// Counts the positions whose greatest output is that of the expected class. A number that no
/// channel has stands for an ignored target.
pub(super) fn count_hits(
    outputs: &Outputs<'_>,
    shape: Shape,
    out: &mut [f64],
    expected: impl Fn(&Block<'_>, usize) -> Lanes,
) {
    outputs.check_lanes(shape.features(), out);
    let stride = shape.positions() * outputs.lanes;
    outputs.isa.run(
        #[inline(always)]
        || {
            for block in outputs.blocks() {
                let mut hits = ZEROS;
                for position in 0..shape.positions() {
                    let row = position * outputs.lanes;
                    let rows = (row..outputs.values.len()).step_by(stride);
                    let Top { index, .. } = top(rows.map(|row| block.read(outputs.values, row)));
                    let expected = expected(&block, position);
                    let hit: Lanes = from_fn(|i| if expected[i] == index[i] { 1.0 } else { 0.0 });
                    hits = from_fn(|i| hits[i] + hit[i]);
                }
                block.write(out, 0, hits);
            }
        },
    );
}

/// The greatest output of each lane, and its first channel. NaN is greater than all
/// numbers, as in PyTorch.
pub(super) struct Top {
    pub value: Lanes,
    /// A channel, as a number that compares in vector registers.
    pub index: Lanes,
}

/// Finds the maximum over rows.
#[inline(always)]
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN is not at most anything")]
pub(super) fn top(rows: impl Iterator<Item = Lanes>) -> Top {
    let (mut value, mut index, mut channel) = ([f64::NEG_INFINITY; WIDTH], ZEROS, 0.0);
    for row in rows {
        for i in 0..WIDTH {
            // NaN is greater than all numbers, and nothing is greater than NaN.
            let is_greater = !(row[i] <= value[i]) & !value[i].is_nan();
            index[i] = if is_greater { channel } else { index[i] };
            value[i] = if is_greater { row[i] } else { value[i] };
        }
        channel += 1.0;
    }
    Top { value, index }
}

/// The class weights; 1 by default.
///
/// # Errors
/// [`Error::Invalid`] unless there is a finite weight for each class.
pub(super) fn class_weights(
    loss: &str,
    weights: Option<Vec<f64>>,
    shape: Shape,
) -> Result<Vec<f64>, Error> {
    let weights = weights.unwrap_or_else(|| vec![1.0; shape.channels]);
    require!(
        weights.len() == shape.channels && weights.iter().all(|weight| weight.is_finite()),
        "{loss} got {} numbers as weight; pass {} finite ones, one a class",
        weights.len(),
        shape.channels
    );
    Ok(weights)
}
