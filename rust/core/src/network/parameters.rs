//! The layout of parameters, and how a point is packed for the kernels.
//!
//! A point is the concatenation of θ (varied) and of the frozen numbers: frozen parameters,
//! running statistics, constants. Kernels read weights in layouts of their own, so each layer
//! registers its entries in a gather list once. Packing a point is then one gather, and, since a
//! gather is linear, a packed point of a subspace is the same combination of packed vectors.

use std::ops::Range;

use crate::error::{Error, require};
use crate::network::kernel::Real;

/// A parameter tensor of a layer, as a part of the point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its axes.
    pub shape: Vec<usize>,
    /// Its offset in the point.
    pub start: usize,
    /// Whether it is part of θ.
    pub varied: bool,
}

impl Tensor {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The range of its gradient in that of θ; None for a frozen tensor.
    #[must_use]
    pub fn gradient(&self) -> Option<Range<usize>> {
        self.varied.then(|| self.start..self.start + self.len())
    }

    /// # Errors
    /// [`Error::Invalid`] unless the tensor has these axes.
    pub fn expect(&self, what: &str, shape: &[usize]) -> Result<(), Error> {
        require!(
            self.shape == shape,
            "got a {what} of shape {:?}; the layer needs {shape:?}",
            self.shape
        );
        Ok(())
    }
}

/// The source of a padding entry of a layout, which is zero.
const PADDING: u32 = u32::MAX;

/// A gather list: the source of every packed entry in the point.
#[derive(Clone, Debug, Default)]
pub struct Gather {
    sources: Vec<u32>,
}

impl Gather {
    /// Reserves a range for the entries, in order; None is zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the point is too long to be indexed.
    pub fn reserve(
        &mut self,
        entries: impl IntoIterator<Item = Option<usize>>,
    ) -> Result<Range<usize>, Error> {
        let start = self.sources.len();
        for entry in entries {
            let source = entry.map_or(Ok(PADDING), u32::try_from);
            let Ok(source) = source else {
                return Err(Error::Invalid("got more than 2^32 parameters".into()));
            };
            self.sources.push(source);
        }
        Ok(start..self.sources.len())
    }

    /// Reserves a range for a whole tensor, in its own order.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    pub fn reserve_tensor(&mut self, tensor: &Tensor) -> Result<Range<usize>, Error> {
        self.reserve((tensor.start..tensor.start + tensor.len()).map(Some))
    }

    /// The number of packed entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Packs the point (θ, frozen). For a direction, pass an empty slice: its frozen part is zero.
    pub fn pack<T: Real>(&self, theta: &[T], frozen: &[T], out: &mut Vec<T>) {
        let entry = |source: u32| match source as usize {
            index if index < theta.len() => theta[index],
            index if source != PADDING => {
                frozen.get(index - theta.len()).copied().unwrap_or(T::ZERO)
            }
            _ => T::ZERO,
        };
        out.clear();
        out.extend(self.sources.iter().map(|&source| entry(source)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_gathers_varied_and_frozen_entries() {
        let mut gather = Gather::default();
        let span = gather.reserve([Some(2), None, Some(0)]).expect("small");
        assert_eq!(span, 0..3);
        let mut packed = Vec::new();
        gather.pack(&[1.0_f32, 2.0], &[3.0], &mut packed);
        assert_eq!(packed, [3.0, 0.0, 1.0]);
        gather.pack(&[1.0_f32, 2.0], &[], &mut packed);
        assert_eq!(packed, [0.0, 0.0, 1.0], "a direction does not move what is frozen");
    }
}
