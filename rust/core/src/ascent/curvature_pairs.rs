//! The inverse Hessian of L-BFGS, from pairs of differences.

use crate::scalar::Scalar;
use crate::vector::{inner_product, norm};

/// The number of pairs that are kept.
pub(super) const MAX_PAIRS: usize = 10;
/// A pair whose cosine is below this has no curvature of the right sign.
const MIN_COSINE: f64 = 1e-8;

/// Pairs (s, y) of differences of points and of negative gradients, the oldest first.
///
/// Of a function that is to be maximised, with the Hessian H, y = −H s: only pairs with ⟨s, y⟩ > 0
/// can be used. Which ones these are depends on the coordinates that are free.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CurvaturePairs<S>(Vec<[Vec<S>; 2]>);

impl<S: Scalar> CurvaturePairs<S> {
    /// The pairs of a checkpoint: s₁, y₁, s₂, y₂, …
    pub fn from_vectors(vectors: Vec<Vec<S>>) -> Option<Self> {
        let mut vectors = vectors.into_iter();
        let mut pairs = Vec::new();
        while let Some(s) = vectors.next() {
            pairs.push([s, vectors.next()?]);
        }
        (pairs.len() <= MAX_PAIRS).then_some(Self(pairs))
    }

    /// s₁, y₁, s₂, y₂, …
    pub fn vectors(&self) -> impl Iterator<Item = &[S]> {
        self.0.iter().flatten().map(Vec::as_slice)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a pair, and drops the oldest where there are too many.
    pub fn push(&mut self, s: Vec<S>, y: Vec<S>) {
        if self.0.len() == MAX_PAIRS {
            self.0.remove(0);
        }
        self.0.push([s, y]);
    }

    /// Changes all vectors.
    pub fn map(&mut self, change: impl Fn(&mut Vec<S>)) {
        self.0.iter_mut().flatten().for_each(change);
    }

    /// (−H)⁻¹ g on the free coordinates, those where `g` may be other than 0; None where no pair can be
    /// used. The inner product of the result with g is above 0, to rounding.
    ///
    /// # Reference
    /// Nocedal, Wright (2006), *Numerical optimization*, algorithm 7.4 with equation 7.20.
    pub fn newton_direction(&self, g: &[f64], is_free: &[bool]) -> Option<Vec<f64>> {
        let restrict = |vector: &Vec<S>| -> Vec<f64> {
            let entry = |(entry, free): (&S, &bool)| if *free { entry.widen() } else { 0.0 };
            vector.iter().zip(is_free).map(entry).collect()
        };
        let pairs: Vec<_> = self.0.iter().map(|[s, y]| (restrict(s), restrict(y))).collect();
        let usable: Vec<_> = pairs
            .iter()
            .map(|(s, y)| (s, y, inner_product(s, y)))
            .filter(|(s, y, product)| *product > MIN_COSINE * norm(s) * norm(y))
            .collect();
        let (_, y, product) = usable.last()?;
        let scale = product / inner_product(y, y);
        let mut q = g.to_vec();
        let mut shares = Vec::with_capacity(usable.len());
        for (s, y, product) in usable.iter().rev() {
            let share = inner_product(s, &q) / product;
            add(&mut q, -share, y);
            shares.push(share);
        }
        for entry in &mut q {
            *entry *= scale;
        }
        for ((s, y, product), share) in usable.iter().zip(shares.iter().rev()) {
            let correction = share - inner_product(y, &q) / product;
            add(&mut q, correction, s);
        }
        Some(q)
    }
}

/// x ← x + c v.
fn add(x: &mut [f64], c: f64, v: &[f64]) {
    for (entry, value) in x.iter_mut().zip(v) {
        *entry += c * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −H = diag(1, 2, 4): with a pair for each axis L-BFGS knows its inverse.
    #[test]
    fn pairs_along_all_axes_give_the_newton_direction() {
        let mut pairs = CurvaturePairs::default();
        for (axis, curvature) in [1.0, 2.0, 4.0].into_iter().enumerate() {
            let (mut s, mut y) = (vec![0.0; 3], vec![0.0; 3]);
            (s[axis], y[axis]) = (0.5, 0.5 * curvature);
            pairs.push(s, y);
        }
        let direction = pairs.newton_direction(&[1.0, 1.0, 1.0], &[true; 3]).expect("usable");
        assert_eq!(direction, [1.0, 0.5, 0.25]);
        let direction = pairs.newton_direction(&[0.0, 1.0, 1.0], &[false, true, true]);
        assert_eq!(direction.expect("usable"), [0.0, 0.5, 0.25]);
        assert_eq!(pairs.newton_direction(&[0.0; 3], &[false; 3]), None);
    }

    #[test]
    fn pairs_of_the_wrong_curvature_are_left_out_and_old_ones_dropped() {
        let mut pairs = CurvaturePairs::default();
        pairs.push(vec![1.0], vec![-1.0]);
        assert_eq!(pairs.newton_direction(&[1.0], &[true]), None);
        for curvature in 1..=MAX_PAIRS {
            pairs.push(vec![1.0], vec![curvature as f64]);
        }
        assert_eq!(pairs.vectors().count(), 2 * MAX_PAIRS);
        assert_eq!(pairs.newton_direction(&[1.0], &[true]), Some(vec![0.1]));
    }
}
