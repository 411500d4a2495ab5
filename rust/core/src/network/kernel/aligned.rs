//! Numbers from the beginning of a cache line on, so that no register is read from two.

use std::ops::Deref;

use super::real::Real;

/// What a cache line holds, in bytes.
const LINE: usize = 64;

/// A copy of numbers in the order that a kernel reads them.
pub struct Aligned<T> {
    values: Vec<T>,
    start: usize,
}

impl<T: Real> Aligned<T> {
    /// The numbers of these panel columns, one after another: LANES from each place on.
    pub fn gather(from: &[T], places: impl Iterator<Item = usize>, count: usize) -> Self {
        let mut values: Vec<T> = Vec::with_capacity((count + 1) * T::LANES);
        let start = values.as_ptr().align_offset(LINE).min(T::LANES);
        values.resize(start, T::ZERO);
        places.for_each(|place| values.extend_from_slice(&from[place..place + T::LANES]));
        Self { values, start }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn gathered_columns_begin_with_a_cache_line() {
        let from: Vec<f32> = (0..48_u8).map(f32::from).collect();
        let gathered = Aligned::gather(&from, [32, 0].into_iter(), 2);
        assert_eq!(gathered[..16], from[32..]);
        assert_eq!(gathered[16..], from[..16]);
        assert!(cfg!(miri) || gathered.as_ptr().addr().is_multiple_of(64));
    }
}
