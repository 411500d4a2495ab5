//! Samples arranged in panels: the lanes are samples.

use crate::error::{Error, require};
use crate::network::kernel::{AlignedVec, Real};
use crate::network::shape::Shape;

/// The inputs of some samples, in panels.
pub(crate) struct Data<T> {
    /// The samples of the lanes, in order.
    pub order: Vec<usize>,
    /// (panels, features, lanes); lanes past the last sample repeat it, so that their numbers are
    /// finite wherever those of the sample are.
    pub values: AlignedVec<T>,
    /// Numbers of a panel.
    pub panel: usize,
}

impl<T: Real> Data<T> {
    /// Arranges these rows of `inputs`, shape (n, features), in panels.
    pub fn arrange(inputs: &[T], shape: Shape, order: Vec<usize>) -> Self {
        let features = shape.features();
        let panel = features * T::LANES;
        let mut values = AlignedVec::zeros(order.len().div_ceil(T::LANES) * panel);
        for (values, samples) in values.chunks_exact_mut(panel).zip(order.chunks(T::LANES)) {
            for lane in 0..T::LANES {
                let sample = samples[lane.min(samples.len() - 1)];
                let row = &inputs[sample * features..][..features];
                for (feature, &value) in row.iter().enumerate() {
                    values[feature * T::LANES + lane] = value;
                }
            }
        }
        Self { order, values, panel }
    }

    /// The number of panels.
    pub fn panels(&self) -> usize {
        self.order.len().div_ceil(T::LANES)
    }

    /// The panels from `first` on, `panels` of them or as many as there are.
    pub fn block(&self, first: usize, panels: usize) -> Block<'_, T> {
        let end = (first + panels).min(self.panels());
        let samples = &self.order[first * T::LANES..self.order.len().min(end * T::LANES)];
        Block { samples, inputs: &self.values[first * self.panel..end * self.panel] }
    }

    /// All panels, in blocks of at most `panels`.
    pub fn blocks(&self, panels: usize) -> impl Iterator<Item = Block<'_, T>> {
        (0..self.panels()).step_by(panels.max(1)).map(move |first| self.block(first, panels.max(1)))
    }
}

/// Some panels of samples.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, T> {
    /// The samples of the lanes, in order.
    pub samples: &'a [usize],
    /// Their inputs.
    pub inputs: &'a [T],
}

impl<T: Real> Block<'_, T> {
    /// The number of panels.
    pub fn panels(&self) -> usize {
        self.samples.len().div_ceil(T::LANES)
    }
}

/// # Errors
/// [`Error::Invalid`] unless every sample is in exactly one batch, and no batch is empty.
pub(crate) fn check_split(split: &[Vec<usize>], samples: usize) -> Result<(), Error> {
    let mut seen = vec![false; samples];
    for batch in split {
        require!(!batch.is_empty(), "got an empty batch; pass batches of at least one sample");
        for &sample in batch {
            require!(sample < samples, "got sample {sample} in a batch; there are {samples}");
            require!(!seen[sample], "got sample {sample} in two batches; pass it once");
            seen[sample] = true;
        }
    }
    let complete = split.is_empty() || seen.into_iter().all(|seen| seen);
    require!(complete, "got batches that leave out samples; pass each once");
    Ok(())
}
