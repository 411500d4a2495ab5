//! The end of the spectrum from which power iteration computes its next pair.

use crate::spectrum::ritz::Which;

/// A pair at the upper (end 1) or the lower end (−1) of the spectrum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub value: f64,
    pub residual: f64,
    pub end: f64,
}

/// The end of the next pair. For magnitudes it is the one whose last |value| was larger.
pub(super) fn choose_next_end(which: Which, count: usize, pairs: &[Pair]) -> f64 {
    let last = |end: f64| pairs.iter().rfind(|pair| pair.end == end).map(|pair| pair.value.abs());
    match which {
        Which::Largest => 1.0,
        Which::Both if pairs.len() < count => 1.0,
        Which::Smallest | Which::Both => -1.0,
        Which::Magnitude => match (last(1.0), last(-1.0)) {
            (None, _) => 1.0,
            (Some(upper), Some(lower)) if upper >= lower => 1.0,
            _ => -1.0,
        },
    }
}

/// Whether the pairs suffice. For magnitudes one more than requested proves that the others are the
/// largest, because each end is descending.
pub(super) fn is_complete(which: Which, count: usize, pairs: &[Pair]) -> bool {
    match which {
        Which::Both => pairs.len() == 2 * count,
        Which::Magnitude => pairs.len() == count + 1,
        Which::Largest | Which::Smallest => pairs.len() == count,
    }
}

/// The indices of the requested pairs, in the order of `which`.
pub(super) fn select(which: Which, count: usize, pairs: &[Pair]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let value = |&i: &usize| pairs[i].value;
    match which {
        Which::Largest | Which::Both => order.sort_by(|i, j| value(j).total_cmp(&value(i))),
        Which::Smallest => order.sort_by(|i, j| value(i).total_cmp(&value(j))),
        Which::Magnitude => order.sort_by(|i, j| value(j).abs().total_cmp(&value(i).abs())),
    }
    if which != Which::Both {
        order.truncate(count);
    }
    order
}
