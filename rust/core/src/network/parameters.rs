//! The numbers that layers read: where they come from, and how they are packed at a point.
//!
//! A point is the concatenation of θ (varied) and of the numbers that are held: frozen parameters,
//! running statistics, constants. Kernels want weights in an order of their own, so each layer
//! registers, once, which number goes where; packing a point is then one gather, and, because a
//! gather is linear, a packed point of a plane is the same combination of packed vectors.

use std::ops::Range;

use crate::error::{Error, require};
use crate::network::kernel::Real;

/// A tensor of the point, as a layer was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its axes.
    pub shape: Vec<usize>,
    /// Where it starts in the point.
    pub start: usize,
    /// Whether it is part of θ.
    pub varied: bool,
}

impl Tensor {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where its gradient goes in θ's; nowhere for a held tensor.
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

/// An entry that is always zero: padding of a kernel's layout.
const NOTHING: u32 = u32::MAX;

/// Which entry of a point goes where in its packed form.
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
            let source = entry.map_or(Ok(NOTHING), u32::try_from);
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
    pub fn whole(&mut self, tensor: &Tensor) -> Result<Range<usize>, Error> {
        self.reserve((tensor.start..tensor.start + tensor.len()).map(Some))
    }

    /// The number of packed entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Packs the point (θ, held). A direction has nothing held: pass an empty slice for zeros.
    pub fn pack<T: Real>(&self, theta: &[T], held: &[T], out: &mut Vec<T>) {
        let entry = |source: u32| match source as usize {
            index if index < theta.len() => theta[index],
            index if source != NOTHING => held.get(index - theta.len()).copied().unwrap_or(T::ZERO),
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
    fn a_point_is_gathered_from_both_its_parts() {
        let mut gather = Gather::default();
        let span = gather.reserve([Some(2), None, Some(0)]).expect("small");
        assert_eq!(span, 0..3);
        let mut packed = Vec::new();
        gather.pack(&[1.0_f32, 2.0], &[3.0], &mut packed);
        assert_eq!(packed, [3.0, 0.0, 1.0]);
        gather.pack(&[1.0_f32, 2.0], &[], &mut packed);
        assert_eq!(packed, [0.0, 0.0, 1.0], "a direction does not move what is held");
    }
}
