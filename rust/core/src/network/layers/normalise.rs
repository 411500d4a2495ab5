//! Normalisation of each sample by its own mean and variance, and its derivatives.
//!
//! With x̂ = (x − μ) r and ⟨·⟩ for the mean over the rows, x̂˙ = r (ẋ − ⟨ẋ⟩ − x̂ ⟨x̂ẋ⟩) and
//! ṙ = −r² ⟨x̂ẋ⟩; with g = γȳ the adjoint is x̄ = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩). Lanes are independent:
//! every quantity has one number for each lane. Lanes without a sample have r = 0, whatever ε is,
//! so that all their results are finite.

use crate::network::kernel::Real;

/// A number for each lane.
pub(super) type Lanes = [f64; 16];

/// The rows of a block of one panel, and how many lanes hold samples.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub rows: usize,
    pub samples: usize,
    pub eps: f64,
}

/// μ and r.
#[derive(Clone, Copy)]
pub(super) struct Centre {
    pub mean: Lanes,
    pub r: Lanes,
}

/// The drift of the statistics: ⟨ẋ⟩ and ⟨x̂ẋ⟩.
pub(super) struct Drift {
    mean: Lanes,
    product: Lanes,
}

/// Two means over the rows.
type Pair = [Lanes; 2];

/// Calls `combine` on each number of `to` and the numbers of the same index.
#[inline(always)]
pub(super) fn each<T: Real, const N: usize>(
    from: [&[T]; N],
    to: &mut [T],
    combine: impl Fn(usize, usize, [f64; N], &mut T),
) {
    for (row, to) in to.chunks_exact_mut(T::LANES).enumerate() {
        let from = from.map(|values| &values[row * T::LANES..][..T::LANES]);
        for (lane, to) in to.iter_mut().enumerate() {
            combine(row, lane, from.map(|values| values[lane].widen()), to);
        }
    }
}

impl Block {
    /// Means over the rows of two terms that `terms` computes for each row and lane.
    #[inline(always)]
    fn means<T: Real, const N: usize, const M: usize>(
        &self,
        from: [&[T]; N],
        terms: impl Fn(usize, usize, [f64; N]) -> [f64; M],
    ) -> [Lanes; M] {
        let mut sums = [[0.0; 16]; M];
        for row in 0..self.rows {
            let from = from.map(|values| &values[row * T::LANES..][..T::LANES]);
            for lane in 0..T::LANES {
                let terms = terms(row, lane, from.map(|values| values[lane].widen()));
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum[lane] += term;
                }
            }
        }
        let share = 1.0 / self.rows as f64;
        sums.map(|sum| sum.map(|sum| sum * share))
    }

    /// μ and r, in two passes.
    pub fn centre<T: Real>(&self, x: &[T]) -> Centre {
        let [mean] = self.means([x], |_, _, [x]| [x]);
        let [mut r] = self.means([x], |_, lane, [x]| [(x - mean[lane]) * (x - mean[lane])]);
        for (lane, r) in r.iter_mut().enumerate() {
            *r = if lane < self.samples { 1.0 / (*r + self.eps).sqrt() } else { 0.0 };
        }
        Centre { mean, r }
    }

    pub fn drift<T: Real>(&self, centre: &Centre, x: &[T], x_dot: &[T]) -> Drift {
        let [mean, product] =
            self.means([x, x_dot], |_, lane, [x, dx]| [dx, dx * centre.normal(lane, x)]);
        Drift { mean, product }
    }

    /// ⟨g⟩ and ⟨g x̂⟩ for g = γȳ, with a γ for each row.
    fn mean_adjoints<T: Real>(
        &self,
        centre: &Centre,
        gamma: impl Fn(usize) -> f64,
        [x, y_bar]: [&[T]; 2],
    ) -> Pair {
        self.means([x, y_bar], |row, lane, [x, bar]| {
            let g = gamma(row) * bar;
            [g, g * centre.normal(lane, x)]
        })
    }

    /// x̄ += r (g − ⟨g⟩ − x̂ ⟨g x̂⟩).
    pub fn adjoint<T: Real>(
        &self,
        centre: &Centre,
        gamma: impl Fn(usize) -> f64 + Copy,
        [x, y_bar]: [&[T]; 2],
        x_bar: &mut [T],
    ) {
        let [mean, product] = self.mean_adjoints(centre, gamma, [x, y_bar]);
        each([x, y_bar], x_bar, |row, lane, [x, bar], out| {
            let rest = gamma(row) * bar - mean[lane] - centre.normal(lane, x) * product[lane];
            *out += T::narrow(centre.r[lane] * rest);
        });
    }

    /// The part of x̄˙ from the tangent of x: (ṙ/r) x̄ − r (x̂˙ ⟨g x̂⟩ + x̂ ⟨g x̂˙⟩).
    ///
    /// The other part, r (ġ − ⟨ġ⟩ − x̂ ⟨ġ x̂⟩) with ġ = γ̇ȳ + γȳ˙, is the adjoint of ġ.
    pub fn add_tangent_of_statistics<T: Real>(
        &self,
        centre: &Centre,
        gamma: impl Fn(usize) -> f64 + Copy,
        [x, x_dot, y_bar]: [&[T]; 3],
        x_bar_dot: &mut [T],
    ) {
        let drift = self.drift(centre, x, x_dot);
        let [mean, product] = self.mean_adjoints(centre, gamma, [x, y_bar]);
        let [normal_change] = self.means([x, x_dot, y_bar], |row, lane, [x, dx, bar]| {
            [gamma(row) * bar * centre.normal_dot(&drift, lane, x, dx)]
        });
        each([x, x_dot, y_bar], x_bar_dot, |row, lane, [x, dx, bar], out| {
            let (r, normal) = (centre.r[lane], centre.normal(lane, x));
            let adjoint = gamma(row) * bar - mean[lane] - normal * product[lane];
            let input_change = centre.normal_dot(&drift, lane, x, dx) * product[lane];
            let scale_change = r * drift.product[lane] * adjoint;
            *out -= T::narrow(r * (scale_change + input_change + normal * normal_change[lane]));
        });
    }
}

impl Centre {
    /// x̂.
    #[inline(always)]
    pub fn normal(&self, lane: usize, x: f64) -> f64 {
        (x - self.mean[lane]) * self.r[lane]
    }

    /// x̂˙.
    #[inline(always)]
    pub fn normal_dot(&self, drift: &Drift, lane: usize, x: f64, x_dot: f64) -> f64 {
        let along = self.normal(lane, x) * drift.product[lane];
        self.r[lane] * (x_dot - drift.mean[lane] - along)
    }
}
