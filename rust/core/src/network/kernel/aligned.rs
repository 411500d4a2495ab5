//! Numbers from the beginning of a cache line on, so that no register is read from two.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use super::real::Real;

/// What a cache line holds, in bytes.
const LINE: usize = 64;

/// Where the first whole line begins, even of numbers that are still to come.
fn start<T: Real>(values: &[T]) -> usize {
    values.as_ptr().align_offset(LINE).min(T::LANES)
}

/// A type whose threads each have room for a copy.
pub trait Roomy: Sized {
    /// The thread's room, which is empty until it is given back.
    fn take_room() -> Vec<Self>;

    /// Gives it back.
    fn give_back(room: Vec<Self>);
}

macro_rules! roomy {
    ($number:ident, $room:ident) => {
        thread_local! {
            static $room: Cell<Vec<$number>> = const { Cell::new(Vec::new()) };
        }

        impl Roomy for $number {
            fn take_room() -> Vec<Self> {
                $room.take()
            }

            fn give_back(room: Vec<Self>) {
                $room.set(room);
            }
        }
    };
}

roomy!(f32, SINGLES);
roomy!(f64, DOUBLES);

/// Numbers in the order that a kernel reads them. Their memory is the thread's own, taken and given
/// back: a product is computed too often to ask the system for any. A second one at the same time
/// has to ask.
pub struct Aligned<T: Real> {
    values: Vec<T>,
    start: usize,
}

impl<T: Real> Aligned<T> {
    /// The numbers of these panel columns, one after another: LANES from each place on.
    pub fn gather(from: &[T], places: impl Iterator<Item = usize>, count: usize) -> Self {
        let mut values = T::take_room();
        values.clear();
        values.reserve((count + 1) * T::LANES);
        let start = start(&values);
        values.resize(start, T::ZERO);
        places.for_each(|place| values.extend_from_slice(&from[place..place + T::LANES]));
        Self { values, start }
    }

    /// Room for so many numbers, with whatever was there before.
    pub fn room(count: usize) -> Self {
        let mut values = T::take_room();
        values.resize(values.len().max(count + T::LANES), T::ZERO);
        let start = start(&values);
        Self { values, start }
    }
}

impl<T: Real> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..]
    }
}

impl<T: Real> Drop for Aligned<T> {
    fn drop(&mut self) {
        T::give_back(std::mem::take(&mut self.values));
    }
}

impl<T: Real> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..]
    }
}

/// Numbers that are kept, in memory of their own.
#[derive(Debug)]
pub struct Lines<T> {
    values: Vec<T>,
    start: usize,
    count: usize,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { values: Vec::new(), start: 0, count: 0 }
    }
}

impl<T: Real> Lines<T> {
    /// So many zeros.
    #[must_use]
    pub fn zeros(count: usize) -> Self {
        let values = vec![T::ZERO; count + T::LANES];
        let start = start(&values);
        Self { values, start, count }
    }

    /// Makes them so many, whatever they are then.
    pub fn resize(&mut self, count: usize) {
        if self.start + count > self.values.len() {
            // What there was goes first, or both would take memory at a time.
            *self = Self::default();
            *self = Self::zeros(count);
        }
        self.count = count;
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..][..self.count]
    }
}

impl<T> DerefMut for Lines<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, Lines};

    #[test]
    fn kept_numbers_begin_with_a_cache_line() {
        let mut lines = Lines::<f64>::default();
        assert!(lines.is_empty());
        for count in [3, 50, 7, 0, 51] {
            lines.resize(count);
            lines.fill(1.0);
            assert_eq!(lines.len(), count);
            assert!(cfg!(miri) || lines.as_ptr().addr().is_multiple_of(64));
        }
        assert_eq!(Lines::<f32>::zeros(5)[..], [0.0; 5]);
    }

    #[test]
    fn gathered_columns_begin_with_a_cache_line() {
        let from: Vec<f32> = (0..48_u8).map(f32::from).collect();
        let gathered = Aligned::gather(&from, [32, 0].into_iter(), 2);
        assert_eq!(gathered[..16], from[32..]);
        assert_eq!(gathered[16..], from[..16]);
        assert!(cfg!(miri) || gathered.as_ptr().addr().is_multiple_of(64));
    }
}
