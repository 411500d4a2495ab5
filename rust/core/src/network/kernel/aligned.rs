//! Vectors that start at a cache line, so that no register load crosses two.

use std::ops::{Deref, DerefMut};

use super::number::Number;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The index of the first number at the start of a cache line, which may lie beyond the length.
fn start<T: Number>(values: &[T]) -> usize {
    values.as_ptr().align_offset(LINE).min(T::LANES)
}

/// A temporary array of a kernel, in the thread's scratch vector: kernels are called too often to
/// allocate. A second array that lives at the same time is allocated.
pub struct AlignedScratch<T: Number> {
    values: Vec<T>,
    start: usize,
}

impl<T: Number> AlignedScratch<T> {
    /// The panel columns that start at these offsets, one after another.
    pub fn gather(from: &[T], offsets: impl Iterator<Item = usize>, count: usize) -> Self {
        let mut values = T::take_scratch();
        values.clear();
        values.reserve((count + 1) * T::LANES);
        let start = start(&values);
        values.resize(start, T::ZERO);
        offsets.for_each(|offset| values.extend_from_slice(&from[offset..offset + T::LANES]));
        Self { values, start }
    }

    /// At least `count` numbers of unspecified value.
    pub fn with_len(count: usize) -> Self {
        let mut values = T::take_scratch();
        values.resize(values.len().max(count + T::LANES), T::ZERO);
        let start = start(&values);
        Self { values, start }
    }
}

impl<T: Number> DerefMut for AlignedScratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..]
    }
}

impl<T: Number> Drop for AlignedScratch<T> {
    fn drop(&mut self) {
        T::return_scratch(std::mem::take(&mut self.values));
    }
}

impl<T: Number> Deref for AlignedScratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..]
    }
}

/// An array that starts at a cache line.
#[derive(Debug)]
pub struct AlignedVec<T> {
    values: Vec<T>,
    start: usize,
    count: usize,
}

impl<T> Default for AlignedVec<T> {
    fn default() -> Self {
        Self { values: Vec::new(), start: 0, count: 0 }
    }
}

impl<T: Number> AlignedVec<T> {
    /// `count` zeros.
    #[must_use]
    pub fn zeros(count: usize) -> Self {
        let values = vec![T::ZERO; count + T::LANES];
        let start = start(&values);
        Self { values, start, count }
    }

    /// Changes the length; the numbers are unspecified afterwards.
    pub fn resize(&mut self, count: usize) {
        if self.start + count > self.values.len() {
            // The old memory is released first, so that both never exist at a time.
            *self = Self::default();
            *self = Self::zeros(count);
        }
        self.count = count;
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..][..self.count]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::{AlignedScratch, AlignedVec};

    #[test]
    fn aligned_vectors_start_at_a_cache_line() {
        let mut lines = AlignedVec::<f64>::default();
        assert!(lines.is_empty());
        for count in [3, 50, 7, 0, 51] {
            lines.resize(count);
            lines.fill(1.0);
            assert_eq!(lines.len(), count);
            assert!(cfg!(miri) || lines.as_ptr().addr().is_multiple_of(64));
        }
        assert_eq!(AlignedVec::<f32>::zeros(5)[..], [0.0; 5]);
    }

    #[test]
    fn gathered_columns_start_at_a_cache_line() {
        let from: Vec<f32> = (0..48_u8).map(f32::from).collect();
        let gathered = AlignedScratch::gather(&from, [32, 0].into_iter(), 2);
        assert_eq!(gathered[..16], from[32..]);
        assert_eq!(gathered[16..], from[..16]);
        assert!(cfg!(miri) || gathered.as_ptr().addr().is_multiple_of(64));
    }
}
