//! Weights times a panel.

use super::finish::Finish;
use super::packing::Packing;
use super::real::Real;
use super::taps::Taps;
use super::terms::{Terms, by_position};
use super::winograd;
use crate::isa::Isa;

/// y[row][p] = finish(Σ_{tap, c} w[row][tap][c] x[c][source(p, tap)]) for one panel.
///
/// `weights` are packed; `x` is `[inner][source position][lane]`, `y` is `[row][position][lane]`.
/// A tap that reads padding adds nothing. Images under a window of 3 × 3 are transformed where that
/// is less to do; other sums take their terms by taps and then by channels.
///
/// # Panics
/// When the taps are not those of the packing, or a slice has another length.
pub fn product<T: Real>(
    isa: Isa,
    packing: &Packing,
    weights: &[T],
    taps: &Taps,
    x: &[T],
    finish: &Finish<'_, T>,
    y: &mut [T],
) {
    check(packing, weights, taps, x, finish, y);
    let mut left = Vec::new();
    let only = match taps.image().filter(|&image| winograd::pays(packing, taps, image)) {
        Some(image) => {
            winograd::convolve(isa, packing, weights, image, x, finish, y, &mut left);
            if left.is_empty() {
                return;
            }
            Some(&*left)
        }
        None => None,
    };
    let gathered = by_position(x, packing.inner(), taps.source_positions());
    let x = gathered.as_deref().unwrap_or(x);
    T::dispatch(isa, Terms { packing, weights, taps, x, finish, y, only });
}

fn check<T: Real>(
    packing: &Packing,
    weights: &[T],
    taps: &Taps,
    x: &[T],
    finish: &Finish<'_, T>,
    y: &[T],
) {
    assert_eq!(packing.taps(), taps.taps(), "taps of the weights and of the product");
    assert_eq!(weights.len(), packing.len(), "weights");
    assert_eq!(x.len(), packing.inner() * taps.source_positions() * T::LANES, "x");
    assert_eq!(y.len(), packing.rows() * taps.positions() * T::LANES, "y");
    if let Finish::Store { scale, shift, residual, .. } = finish {
        assert!(scale.is_none_or(|scale| scale.len() == packing.rows()), "scale");
        assert!(shift.is_none_or(|shift| shift.len() == packing.rows()), "shift");
        assert!(residual.is_none_or(|residual| residual.len() == y.len()), "residual");
    }
}
