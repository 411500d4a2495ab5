//! Layer and group normalisation: y = γ (x − μ) r + β with statistics of each sample's own channels.

use std::ops::Range;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::normalise::{Block, each};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::parameters::Tensor;
use crate::network::pass::{Pass, Primal, Tangent};

/// Layer normalisation and group normalisation.
pub(super) struct SampleNorm {
    groups: usize,
    /// Numbers of a sample in a group.
    rows: usize,
    /// How many consecutive rows share γ and β.
    shared: usize,
    eps: f64,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
    gamma_gradient: Option<Range<usize>>,
    beta_gradient: Option<Range<usize>>,
}

/// Builds the layer with `groups` groups, where `shared` consecutive numbers have one γ and one β.
pub(super) fn build_sample_norm<T: Real>(
    spec: &mut LayerSpec<'_>,
    groups: usize,
    shared: usize,
    eps: f64,
) -> Result<BuiltLayer<T>, Error> {
    require!(eps >= 0.0 && eps.is_finite(), "got eps = {eps}; pass a finite number from 0 up");
    let [shape] = spec.inputs()?;
    let [gamma, beta] = spec.tensors()?;
    let count = shape.features() / shared;
    for tensor in [&gamma, &beta].into_iter().flatten() {
        require!(
            tensor.len() == count,
            "got a parameter of shape {:?} for {shape:?}; pass {count} numbers",
            tensor.shape
        );
    }
    let mut reserve = |tensor: &Tensor| spec.forward.reserve_tensor(tensor);
    let layer = SampleNorm {
        groups,
        rows: shape.features() / groups,
        shared,
        eps,
        gamma: gamma.as_ref().map(&mut reserve).transpose()?,
        beta: beta.as_ref().map(&mut reserve).transpose()?,
        gamma_gradient: gamma.as_ref().and_then(Tensor::gradient),
        beta_gradient: beta.as_ref().and_then(Tensor::gradient),
    };
    Ok(BuiltLayer { layer: Box::new(layer), shape })
}

/// A group of one panel: its offset, and the indices of its γ and β.
struct Group {
    block: Block,
    span: Range<usize>,
    parameters: Range<usize>,
}

impl SampleNorm {
    /// All groups of all panels.
    fn groups_of_pass<T: Real>(&self, pass: &Pass<'_, T>) -> impl Iterator<Item = Group> {
        let (samples, size) = (pass.samples, self.rows * T::LANES);
        let parameters = self.rows / self.shared;
        (0..pass.panels * self.groups).map(move |index| {
            let (panel, group) = (index / self.groups, index % self.groups);
            let samples = samples.saturating_sub(panel * T::LANES).min(T::LANES);
            Group {
                block: Block { rows: self.rows, samples, eps: self.eps },
                span: index * size..(index + 1) * size,
                parameters: group * parameters..(group + 1) * parameters,
            }
        })
    }

    /// The numbers of a group's rows: `none` where there are no parameters.
    fn by_row<'a, T: Real>(
        &self,
        span: Option<&Range<usize>>,
        packed: &'a [T],
        group: &Group,
        none: f64,
    ) -> impl Fn(usize) -> f64 + Copy + use<'a, T> {
        let values = span.map(|span| &packed[span.clone()][group.parameters.clone()]);
        let shared = self.shared;
        move |row| values.map_or(none, |values| values[row / shared].widen())
    }

    fn gamma<'a, T: Real>(
        &self,
        packed: &'a [T],
        group: &Group,
        none: f64,
    ) -> impl Fn(usize) -> f64 + Copy + use<'a, T> {
        self.by_row(self.gamma.as_ref(), packed, group, none)
    }

    fn beta<'a, T: Real>(
        &self,
        packed: &'a [T],
        group: &Group,
    ) -> impl Fn(usize) -> f64 + Copy + use<'a, T> {
        self.by_row(self.beta.as_ref(), packed, group, 0.0)
    }

    /// γ̄ += Σ bar · factor and β̄ += Σ bar, where `shares` computes both terms of a row.
    fn collect<T: Real>(
        &self,
        group: &Group,
        w_bar: &mut [T],
        shares: impl Fn(usize, usize) -> [f64; 2],
    ) {
        for (index, parameter) in group.parameters.clone().enumerate() {
            let mut sums = [0.0; 2];
            for row in index * self.shared..(index + 1) * self.shared {
                for lane in 0..group.block.samples {
                    let [gamma, beta] = shares(row, lane);
                    sums = [sums[0] + gamma, sums[1] + beta];
                }
            }
            for (span, sum) in [&self.gamma_gradient, &self.beta_gradient].into_iter().zip(sums) {
                if let Some(span) = span {
                    w_bar[span.start + parameter] += T::narrow(sum);
                }
            }
        }
    }

    fn is_varied(&self) -> bool {
        self.gamma_gradient.is_some() || self.beta_gradient.is_some()
    }
}

impl<T: Real> Layer<T> for SampleNorm {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        let point = &pass.point.forward;
        pass.isa.run(
            #[inline(always)]
            || {
                for group in self.groups_of_pass(pass) {
                    let x = &x[0][group.span.clone()];
                    let centre = group.block.centre(x);
                    let (gamma, beta) = (self.gamma(point, &group, 1.0), self.beta(point, &group));
                    each([x], &mut y[group.span], |row, lane, [x], y| {
                        *y = T::narrow(gamma(row) * centre.normal(lane, x) + beta(row));
                    });
                }
            },
        );
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let direction = &pass.tangent_direction().forward;
        pass.isa.run(
            #[inline(always)]
            || {
                for group in self.groups_of_pass(pass) {
                    let x = &x[0][group.span.clone()];
                    let y_dot = &mut y_dot[group.span.clone()];
                    let centre = group.block.centre(x);
                    let (gamma_dot, beta_dot) =
                        (self.gamma(direction, &group, 0.0), self.beta(direction, &group));
                    each([x], y_dot, |row, lane, [x], out| {
                        *out = T::narrow(gamma_dot(row) * centre.normal(lane, x) + beta_dot(row));
                    });
                    let Some(x_dot) = x_dot[0] else { continue };
                    let x_dot = &x_dot[group.span.clone()];
                    let drift = group.block.drift(&centre, x, x_dot);
                    let gamma = self.gamma(&pass.point.forward, &group, 1.0);
                    each([x, x_dot], y_dot, |row, lane, [x, dx], out| {
                        *out += T::narrow(gamma(row) * centre.normal_dot(&drift, lane, x, dx));
                    });
                }
            },
        );
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || {
                for group in self.groups_of_pass(pass) {
                    let span = group.span.clone();
                    let (x, y_bar) = (&primal.x[0][span.clone()], &primal.y_bar[span.clone()]);
                    let centre = group.block.centre(x);
                    let gamma = self.gamma(&pass.point.forward, &group, 1.0);
                    group.block.adjoint(&centre, gamma, [x, y_bar], &mut x_bar[span]);
                }
            },
        );
    }

    fn gradient(&self, pass: &Pass<'_, T>, primal: &Primal<'_, T>, w_bar: &mut [T]) {
        if !self.is_varied() {
            return;
        }
        for group in self.groups_of_pass(pass) {
            let span = group.span.clone();
            let (x, y_bar) = (&primal.x[0][span.clone()], &primal.y_bar[span]);
            let centre = group.block.centre(x);
            self.collect(&group, w_bar, |row, lane| {
                let index = row * T::LANES + lane;
                let bar = y_bar[index].widen();
                [bar * centre.normal(lane, x[index].widen()), bar]
            });
        }
    }

    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        _: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        let (point, direction) = (&pass.point.forward, &pass.tangent_direction().forward);
        pass.isa.run(
            #[inline(always)]
            || {
                for group in self.groups_of_pass(pass) {
                    let span = group.span.clone();
                    let (x, y_bar) = (&primal.x[0][span.clone()], &primal.y_bar[span.clone()]);
                    let out = &mut x_bar_dot[span.clone()];
                    let centre = group.block.centre(x);
                    let gamma = self.gamma(point, &group, 1.0);
                    let gamma_dot = self.gamma(direction, &group, 0.0);
                    // ġ = γȳ˙ + γ̇ȳ
                    let y_bar_dot = &tangent.y_bar[span.clone()];
                    group.block.adjoint(&centre, gamma, [x, y_bar_dot], out);
                    group.block.adjoint(&centre, gamma_dot, [x, y_bar], out);
                    if let Some(x_dot) = tangent.x[0] {
                        group.block.add_tangent_of_statistics(
                            &centre,
                            gamma,
                            [x, &x_dot[span], y_bar],
                            out,
                        );
                    }
                }
            },
        );
    }

    fn second_gradient(
        &self,
        pass: &Pass<'_, T>,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        w_bar_dot: &mut [T],
    ) {
        if !self.is_varied() {
            return;
        }
        for group in self.groups_of_pass(pass) {
            let span = group.span.clone();
            let (x, y_bar) = (&primal.x[0][span.clone()], &primal.y_bar[span.clone()]);
            let y_bar_dot = &tangent.y_bar[span.clone()];
            let centre = group.block.centre(x);
            let input_tangent = tangent.x[0].map(|x_dot| {
                let x_dot = &x_dot[span];
                (x_dot, group.block.drift(&centre, x, x_dot))
            });
            self.collect(&group, w_bar_dot, |row, lane| {
                let index = row * T::LANES + lane;
                let x = x[index].widen();
                let bar_dot = y_bar_dot[index].widen();
                let change = input_tangent.as_ref().map_or(0.0, |(x_dot, drift)| {
                    let normal_dot = centre.normal_dot(drift, lane, x, x_dot[index].widen());
                    y_bar[index].widen() * normal_dot
                });
                [bar_dot * centre.normal(lane, x) + change, bar_dot]
            });
        }
    }
}
