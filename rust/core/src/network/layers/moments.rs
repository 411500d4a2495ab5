//! Mean and variance of a channel over a batch, and the derivatives of normalising by them.
//!
//! With x̂ = (x − μ) r and ⟨·⟩ for the mean over the batch,
//! x̂˙ = r (ẋ − ⟨ẋ⟩ − x̂ ⟨x̂ẋ⟩) and ṙ = −r² ⟨x̂ẋ⟩; with g = γȳ the adjoint is
//! x̄ = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩). Lanes past the last sample are excluded.

use crate::isa::Isa;
use crate::network::kernel::Real;
use crate::network::pass::{Primal, Tangent};

/// Lanes that are summed at once: one or two registers, and a divisor of any panel's lanes.
const WIDTH: usize = 8;

/// The layout of a channel in (panels, channels, positions, lanes).
pub(super) struct Channel {
    pub isa: Isa,
    pub index: usize,
    pub channels: usize,
    /// Numbers of a channel in a panel.
    pub row: usize,
    pub lanes: usize,
    pub panels: usize,
    pub samples: usize,
}

impl Channel {
    /// Applies `f` to every number of the channel, in all lanes.
    pub fn map<T: Real>(&self, from: &[T], to: &mut [T], f: impl Fn(T, &mut T)) {
        self.isa.run(
            #[inline(always)]
            || {
                for span in (0..self.panels).map(|panel| self.span(panel)) {
                    for (&from, to) in from[span.clone()].iter().zip(&mut to[span]) {
                        f(from, to);
                    }
                }
            },
        );
    }

    /// Applies `f` to every number of a sample; other lanes are left unchanged.
    fn map_samples<T: Real, const N: usize>(
        &self,
        from: [&[T]; N],
        to: &mut [T],
        f: impl Fn([f64; N], &mut T),
    ) {
        self.isa.run(
            #[inline(always)]
            || {
                for panel in 0..self.panels {
                    let (span, valid) = (self.span(panel), self.valid(panel));
                    let from = from.map(|values| &values[span.clone()]);
                    for (position, out) in to[span].chunks_exact_mut(T::LANES).enumerate() {
                        let from = from.map(|values| &values[position * T::LANES..][..T::LANES]);
                        each_lane(valid, T::LANES, |lane| {
                            f(from.map(|values| values[lane].widen()), &mut out[lane]);
                        });
                    }
                }
            },
        );
    }

    /// Sums over the samples' numbers, in f64, lane by lane and then over the lanes.
    pub fn total<T: Real, const N: usize, const M: usize>(
        &self,
        from: [&[T]; N],
        f: impl Fn([f64; N]) -> [f64; M],
    ) -> [f64; M] {
        let mut sums = [0.0; M];
        for first in (0..T::LANES).step_by(WIDTH) {
            let lanes = self.isa.run(
                #[inline(always)]
                || self.sum_of_lanes(from, first, &f),
            );
            for (sum, lanes) in sums.iter_mut().zip(lanes) {
                *sum += lanes.iter().sum::<f64>();
            }
        }
        sums
    }

    /// Sums over the samples' numbers, separately for each of WIDTH lanes.
    #[inline(always)]
    fn sum_of_lanes<T: Real, const N: usize, const M: usize>(
        &self,
        from: [&[T]; N],
        first: usize,
        f: &impl Fn([f64; N]) -> [f64; M],
    ) -> [[f64; WIDTH]; M] {
        let mut sums = [[0.0; WIDTH]; M];
        for panel in 0..self.panels {
            let valid = self.valid(panel).saturating_sub(first).min(WIDTH);
            for start in self.span(panel).step_by(T::LANES) {
                let columns = from.map(|values| &values[start + first..][..WIDTH]);
                each_lane(valid, WIDTH, |lane| {
                    let shares = f(columns.map(|column| column[lane].widen()));
                    for (sum, share) in sums.iter_mut().zip(shares) {
                        sum[lane] += share;
                    }
                });
            }
        }
        sums
    }

    /// Means over the samples' numbers.
    fn mean<T: Real, const N: usize, const M: usize>(
        &self,
        from: [&[T]; N],
        f: impl Fn([f64; N]) -> [f64; M],
    ) -> [f64; M] {
        let count = (self.samples * self.row / self.lanes) as f64;
        self.total(from, f).map(|sum| sum / count)
    }

    /// Mean and biased variance, in two passes.
    pub fn statistics<T: Real>(&self, x: &[T]) -> (f64, f64) {
        let [mean] = self.mean([x], |[x]| [x]);
        let [variance] = self.mean([x], |[x]| [(x - mean) * (x - mean)]);
        (mean, variance)
    }

    fn span(&self, panel: usize) -> std::ops::Range<usize> {
        let start = (panel * self.channels + self.index) * self.row;
        start..start + self.row
    }

    fn valid(&self, panel: usize) -> usize {
        self.samples.saturating_sub(panel * self.lanes).min(self.lanes)
    }
}

/// Calls `work` for every lane that holds a sample. If all lanes do, the loop has a constant length
/// and can be unrolled.
#[inline(always)]
fn each_lane(valid: usize, lanes: usize, mut work: impl FnMut(usize)) {
    if valid == lanes {
        for lane in 0..lanes {
            work(lane);
        }
    } else {
        for lane in 0..valid {
            work(lane);
        }
    }
}

/// The statistics and the scale of a channel: μ, r and γ.
pub(super) struct Sums {
    pub mean: f64,
    pub r: f64,
    pub gamma: f64,
}

impl Sums {
    fn normal(&self, x: f64) -> f64 {
        (x - self.mean) * self.r
    }

    /// ⟨ẋ⟩ and ⟨x̂ẋ⟩.
    pub fn drift<T: Real>(&self, channel: &Channel, x: &[T], x_dot: &[T]) -> (f64, f64) {
        let [mean, product] = channel.mean([x, x_dot], |[x, dx]| [dx, self.normal(x) * dx]);
        (mean, product)
    }

    /// ẏ = γ̇ x̂ + γ x̂˙ + β̇.
    pub fn tangent<T: Real>(
        &self,
        channel: &Channel,
        x: &[T],
        x_dot: Option<&[T]>,
        gamma_dot: f64,
        beta_dot: f64,
        y_dot: &mut [T],
    ) {
        channel.map(x, y_dot, |_, out| *out = T::ZERO);
        channel.map_samples([x], y_dot, |[x], out| {
            *out = T::narrow(gamma_dot * self.normal(x) + beta_dot);
        });
        let Some(x_dot) = x_dot else { return };
        let drift = self.drift(channel, x, x_dot);
        channel.map_samples([x, x_dot], y_dot, |[x, dx], out| {
            *out += T::narrow(self.gamma * self.normal_dot(x, dx, drift));
        });
    }

    /// x̄ += r (g − ⟨g⟩ − x̂ ⟨g x̂⟩).
    pub fn adjoint<T: Real>(&self, channel: &Channel, x: &[T], y_bar: &[T], x_bar: &mut [T]) {
        let [mean, product] = channel.mean([x, y_bar], |[x, bar]| [bar, bar * self.normal(x)]);
        let factor = self.gamma * self.r;
        channel.map_samples([x, y_bar], x_bar, |[x, bar], out| {
            *out += T::narrow(factor * (bar - mean - self.normal(x) * product));
        });
    }

    /// x̄˙ = (ṙ/r) x̄ + r (ġ − ⟨ġ⟩ − x̂˙ ⟨g x̂⟩ − x̂ ⟨ġ x̂ + g x̂˙⟩) with ġ = γ̇ȳ + γȳ˙.
    pub fn second_adjoint<T: Real>(
        &self,
        channel: &Channel,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        gamma_dot: f64,
        x_bar_dot: &mut [T],
    ) {
        let (x, bar, bar_dot) = (primal.x[0], primal.y_bar, tangent.y_bar);
        let x_dot = tangent.x[0].unwrap_or(x);
        let has_tangent = f64::from(u8::from(tangent.x[0].is_some()));
        let (mean_dot, product_dot) = self.drift(channel, x, x_dot);
        let drift = (mean_dot * has_tangent, product_dot * has_tangent);
        let parts = |[x, dx, bar, bar_dot]: [f64; 4]| {
            let normal_dot = self.normal_dot(x, dx * has_tangent, drift);
            (self.normal(x), normal_dot, self.gamma * bar, gamma_dot * bar + self.gamma * bar_dot)
        };
        let [g, gx, g_dot, gx_dot] = channel.mean([x, x_dot, bar, bar_dot], |numbers| {
            let (n, n_dot, g, g_dot) = parts(numbers);
            [g, g * n, g_dot, g_dot * n + g * n_dot]
        });
        let relative_scale_dot = -self.r * drift.1;
        channel.map_samples([x, x_dot, bar, bar_dot], x_bar_dot, |numbers, out| {
            let (n, n_dot, scaled, scaled_dot) = parts(numbers);
            let adjoint = scaled - g - n * gx;
            let change = scaled_dot - g_dot - n_dot * gx - n * gx_dot;
            *out += T::narrow(self.r * (relative_scale_dot * adjoint + change));
        });
    }

    /// Tangents of γ̄ = Σ ȳ x̂ and β̄ = Σ ȳ.
    pub fn second_gradient<T: Real>(
        &self,
        channel: &Channel,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        drift: (f64, f64),
    ) -> [f64; 2] {
        let (x, bar, bar_dot) = (primal.x[0], primal.y_bar, tangent.y_bar);
        let [gamma, beta] = channel.total([x, bar_dot], |[x, bar]| [bar * self.normal(x), bar]);
        let Some(x_dot) = tangent.x[0] else { return [gamma, beta] };
        let [change] =
            channel.total([x, bar, x_dot], |[x, bar, dx]| [bar * self.normal_dot(x, dx, drift)]);
        [gamma + change, beta]
    }

    /// x̂˙; under running statistics, which do not depend on x, the drift is zero.
    fn normal_dot(&self, x: f64, x_dot: f64, (mean, product): (f64, f64)) -> f64 {
        self.r * (x_dot - mean - self.normal(x) * product)
    }
}
