//! Weights times a panel.

use super::isa::Isa;
use super::packing::Packing;
use super::real::Real;
use super::taps::Taps;

/// What becomes of the sums of a product before they reach memory.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a, T> {
    /// y += sum.
    Add,
    /// y = relu?(sum · scale + shift + residual).
    Store {
        /// One number a row.
        scale: Option<&'a [T]>,
        /// One number a row.
        shift: Option<&'a [T]>,
        /// One number for each of y.
        residual: Option<&'a [T]>,
        /// The last step.
        relu: Rectify,
    },
}

/// Whether a value is rectified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectify {
    /// It stays as it is.
    None,
    /// max(0, x), where NaN stays NaN.
    Relu,
}

/// y[row][p] = finish(Σ_{tap, c} w[row][tap][c] x[c][source(p, tap)]) for one panel.
///
/// `weights` are packed; `x` is `[inner][source position][lane]`, `y` is `[row][position][lane]`.
/// A sum takes its terms by taps and then by channels. A tap that reads padding adds nothing.
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
    isa.run(|| {
        let lanes = T::LANES;
        for p in 0..taps.positions() {
            for row in 0..packing.rows() {
                for lane in 0..lanes {
                    let mut sum = T::ZERO;
                    for (tap, source) in taps.sources(p).iter().enumerate() {
                        let Some(source) = source else { continue };
                        for c in 0..packing.inner() {
                            let x = x[(c * taps.source_positions() + source) * lanes + lane];
                            sum += weights[packing.index(row, tap, c)] * x;
                        }
                    }
                    let place = (row * taps.positions() + p) * lanes + lane;
                    y[place] = match *finish {
                        Finish::Add => y[place] + sum,
                        Finish::Store { scale, shift, residual, relu } => {
                            let mut sum = scale.map_or(sum, |scale| sum * scale[row]);
                            sum = shift.map_or(sum, |shift| sum + shift[row]);
                            sum = residual.map_or(sum, |residual| sum + residual[place]);
                            if relu == Rectify::Relu { sum.maximum(T::ZERO) } else { sum }
                        }
                    };
                }
            }
        }
    });
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
