//! The gradient of a product by its weights.

use super::isa::Isa;
use super::real::Real;
use super::taps::Taps;

/// A value, or a range of its channels, in several panels.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a, T> {
    /// From the first channel of the range in the first panel on: `[channel][position][lane]`.
    pub values: &'a [T],
    /// How many channels the range has.
    pub channels: usize,
    /// How far it is from a panel to the next.
    pub stride: usize,
}

impl<'a, T: Real> Panels<'a, T> {
    /// The range in a panel.
    fn panel(&self, panel: usize, positions: usize) -> &'a [T] {
        &self.values[panel * self.stride..][..self.channels * positions * T::LANES]
    }
}

/// out[row][c][tap] += Σ dy[row][p] x[c][source(p, tap)] over panels, positions and lanes.
///
/// `dy` has a channel for each row. Lanes that hold no sample must be 0 in `dy` and finite in `x`.
///
/// # Panics
/// When `out` is not as long as rows · channels · taps, or a value ends early.
pub fn reduce<T: Real>(
    isa: Isa,
    taps: &Taps,
    panels: usize,
    dy: &Panels<'_, T>,
    x: &Panels<'_, T>,
    out: &mut [T],
) {
    assert_eq!(out.len(), dy.channels * x.channels * taps.taps(), "out");
    let lanes = T::LANES;
    isa.run(|| {
        for panel in 0..panels {
            let dy_panel = dy.panel(panel, taps.positions());
            let x_panel = x.panel(panel, taps.source_positions());
            for (entry, out) in out.iter_mut().enumerate() {
                let (tap, pair) = (entry % taps.taps(), entry / taps.taps());
                let (row, c) = (pair / x.channels, pair % x.channels);
                for p in 0..taps.positions() {
                    let Some(source) = taps.source(p, tap) else { continue };
                    let dy = &dy_panel[(row * taps.positions() + p) * lanes..][..lanes];
                    let x = &x_panel[(c * taps.source_positions() + source) * lanes..][..lanes];
                    for (&dy, &x) in dy.iter().zip(x) {
                        *out += dy * x;
                    }
                }
            }
        }
    });
}
