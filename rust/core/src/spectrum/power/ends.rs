//! From which end of the spectrum power iteration takes its next pair.

use crate::spectrum::wanted::Which;

/// A pair that was found at the upper (end 1) or the lower end (−1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub value: f64,
    pub residual: f64,
    pub end: f64,
}

/// The end of the next pair. For magnitudes it is the one whose last value was larger.
pub(super) fn next_end(which: Which, count: usize, found: &[Pair]) -> f64 {
    let last = |end: f64| found.iter().rfind(|pair| pair.end == end).map(|pair| pair.value.abs());
    match which {
        Which::Largest => 1.0,
        Which::Both if found.len() < count => 1.0,
        Which::Smallest | Which::Both => -1.0,
        Which::Magnitude => match (last(1.0), last(-1.0)) {
            (None, _) => 1.0,
            (Some(upper), Some(lower)) if upper >= lower => 1.0,
            _ => -1.0,
        },
    }
}

/// Whether no more pairs are needed. For magnitudes one more than asked for tells that the others are
/// the largest: each end is descending.
pub(super) fn enough(which: Which, count: usize, found: &[Pair]) -> bool {
    match which {
        Which::Both => found.len() == 2 * count,
        Which::Magnitude => found.len() == count + 1,
        Which::Largest | Which::Smallest => found.len() == count,
    }
}

/// The indices of the reported pairs, in the order of the report.
pub(super) fn report(which: Which, count: usize, found: &[Pair]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    let value = |&i: &usize| found[i].value;
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
