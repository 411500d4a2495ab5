//! Layers that are matrix products over taps: linear layers and convolutions.

use std::ops::Range;

use crate::error::Error;
use crate::network::kernel::{
    Finish, Packing, Panels, Real, Rectify, Taps, product, reduce, totals,
};
use crate::network::layer::{Layer, Pass, Primal, Tangent};
use crate::network::layers::Plan;
use crate::network::parameters::Tensor;

/// y[o][p] = Σ_{t, c} w[o][c][t] x[c][source(p, t)] + b[o], by groups of channels.
///
/// The adjoint is the same product with the weights transposed and the taps reversed.
pub struct Product<T> {
    groups: usize,
    /// Of a group.
    packing: Packing,
    transposed: Packing,
    taps: Taps,
    reversed: Taps,
    weights: Range<usize>,
    weights_transposed: Range<usize>,
    bias: Option<Range<usize>>,
    weight_gradient: Option<Range<usize>>,
    bias_gradient: Option<Range<usize>>,
    number: std::marker::PhantomData<T>,
}

impl<T: Real> Product<T> {
    /// The product with a weight tensor of axes (rows, channels of a group, taps...).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the point is too long to be indexed.
    pub fn new(
        plan: &mut Plan<'_>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        taps: Taps,
        groups: usize,
    ) -> Result<Self, Error> {
        let (rows, inner) = (weight.shape[0] / groups, weight.shape[1]);
        let packing = Packing::new(rows, taps.taps(), inner);
        let transposed = Packing::new(inner, taps.taps(), rows);
        let entry = |group: usize, row: usize, tap: usize, channel: usize| {
            weight.start + ((group * rows + row) * inner + channel) * taps.taps() + tap
        };
        let mut forward = vec![None; groups * packing.len()];
        let mut backward = vec![None; groups * transposed.len()];
        for group in 0..groups {
            for row in 0..rows {
                for channel in 0..inner {
                    for tap in 0..taps.taps() {
                        let source = Some(entry(group, row, tap, channel));
                        forward[group * packing.len() + packing.index(row, tap, channel)] = source;
                        backward[group * transposed.len() + transposed.index(channel, tap, row)] =
                            source;
                    }
                }
            }
        }
        Ok(Self {
            groups,
            packing,
            transposed,
            reversed: taps.reversed(),
            taps,
            weights: plan.forward.reserve(forward)?,
            weights_transposed: plan.backward.reserve(backward)?,
            bias: bias.map(|bias| plan.forward.whole(bias)).transpose()?,
            weight_gradient: weight.gradient(),
            bias_gradient: bias.and_then(Tensor::gradient),
            number: std::marker::PhantomData,
        })
    }

    /// Multiply-adds of a sample.
    pub fn operations(&self) -> usize {
        let pairs = (0..self.taps.positions())
            .flat_map(|p| (0..self.taps.taps()).map(move |t| (p, t)))
            .filter(|&(p, t)| self.taps.source(p, t).is_some())
            .count();
        self.groups * self.packing.rows() * self.packing.inner() * pairs
    }

    /// Where the weights lie in a packed point.
    pub fn weights(&self) -> Range<usize> {
        self.weights.clone()
    }

    /// Terms of one sum.
    pub fn depth(&self) -> usize {
        self.packing.inner() * self.packing.taps()
    }

    /// Numbers that a panel's output has.
    pub fn output_size(&self) -> usize {
        self.groups * self.packing.rows() * self.taps.positions() * T::LANES
    }

    /// The bias at a packed point.
    pub fn bias<'a>(&self, forward: &'a [T]) -> Option<&'a [T]> {
        self.bias.clone().map(|span| &forward[span])
    }

    /// W x with packed weights, panel by panel, finished as the caller says.
    pub fn multiply(
        &self,
        pass: &Pass<'_, T>,
        forward: &[T],
        x: &[T],
        finish: &Finish<'_, T>,
        y: &mut [T],
    ) {
        let weights = &forward[self.weights.clone()];
        let (inner, rows) = (self.packing.inner(), self.packing.rows());
        let x_group = inner * self.taps.source_positions() * T::LANES;
        let y_group = rows * self.taps.positions() * T::LANES;
        let groups = x.chunks_exact(x_group).zip(y.chunks_exact_mut(y_group));
        for (index, (x, y)) in groups.enumerate() {
            let group = index % self.groups;
            let weights = &weights[group * self.packing.len()..][..self.packing.len()];
            let finish = part(
                finish,
                group * rows..(group + 1) * rows,
                index * y_group..(index + 1) * y_group,
            );
            product(pass.isa, &self.packing, weights, &self.taps, x, &finish, y);
        }
    }

    /// x̄ += Wᵀ ȳ with packed transposed weights.
    fn transpose_add(&self, pass: &Pass<'_, T>, backward: &[T], y_bar: &[T], x_bar: &mut [T]) {
        let weights = &backward[self.weights_transposed.clone()];
        let (inner, rows) = (self.packing.inner(), self.packing.rows());
        let x_group = inner * self.taps.source_positions() * T::LANES;
        let y_group = rows * self.taps.positions() * T::LANES;
        let groups = y_bar.chunks_exact(y_group).zip(x_bar.chunks_exact_mut(x_group));
        for (index, (y_bar, x_bar)) in groups.enumerate() {
            let group = index % self.groups;
            let weights = &weights[group * self.transposed.len()..][..self.transposed.len()];
            product(
                pass.isa,
                &self.transposed,
                weights,
                &self.reversed,
                y_bar,
                &Finish::Add,
                x_bar,
            );
        }
    }

    /// The gradient of ⟨ȳ, W x⟩ by W, and of ⟨ȳ, b⟩ by b where wanted.
    fn add_gradient(&self, pass: &Pass<'_, T>, y_bar: &[T], x: &[T], w_bar: &mut [T]) {
        let Some(span) = self.weight_gradient.clone() else { return };
        let (inner, rows) = (self.packing.inner(), self.packing.rows());
        let x_group = inner * self.taps.source_positions() * T::LANES;
        let y_group = rows * self.taps.positions() * T::LANES;
        let size = rows * inner * self.taps.taps();
        for (group, out) in w_bar[span].chunks_exact_mut(size).enumerate() {
            let dy = Panels {
                values: &y_bar[group * y_group..],
                channels: rows,
                stride: self.groups * y_group,
            };
            let x = Panels {
                values: &x[group * x_group..],
                channels: inner,
                stride: self.groups * x_group,
            };
            reduce(pass.isa, &self.taps, pass.panels, &dy, &x, out);
        }
    }

    fn add_bias_gradient(&self, pass: &Pass<'_, T>, y_bar: &[T], w_bar: &mut [T]) {
        if let Some(span) = self.bias_gradient.clone() {
            totals(pass.isa, y_bar, self.taps.positions(), &mut w_bar[span]);
        }
    }
}

/// A finish's numbers for some of the rows, whose values take these places.
fn part<'a, T: Real>(
    finish: &Finish<'a, T>,
    rows: Range<usize>,
    places: Range<usize>,
) -> Finish<'a, T> {
    match *finish {
        Finish::Add => Finish::Add,
        Finish::Store { scale, shift, residual, relu } => Finish::Store {
            scale: scale.map(|scale| &scale[rows.clone()]),
            shift: shift.map(|shift| &shift[rows]),
            residual: residual.map(|residual| &residual[places]),
            relu,
        },
    }
}

impl<T: Real> Layer<T> for Product<T> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        let point = &pass.point.forward;
        let finish = Finish::Store {
            scale: None,
            shift: self.bias(point),
            residual: None,
            relu: Rectify::None,
        };
        self.multiply(pass, point, x[0], &finish, y);
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let along = &pass.along().forward;
        let finish = Finish::Store {
            scale: None,
            shift: self.bias(along),
            residual: None,
            relu: Rectify::None,
        };
        self.multiply(pass, along, x[0], &finish, y_dot);
        if let Some(x_dot) = x_dot[0] {
            self.multiply(pass, &pass.point.forward, x_dot, &Finish::Add, y_dot);
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        self.transpose_add(pass, &pass.point.backward, primal.y_bar, x_bar);
    }

    fn gradient(&self, pass: &Pass<'_, T>, primal: &Primal<'_, T>, w_bar: &mut [T]) {
        self.add_gradient(pass, primal.y_bar, primal.x[0], w_bar);
        self.add_bias_gradient(pass, primal.y_bar, w_bar);
    }

    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        _: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        self.transpose_add(pass, &pass.point.backward, tangent.y_bar, x_bar_dot);
        self.transpose_add(pass, &pass.along().backward, primal.y_bar, x_bar_dot);
    }

    fn second_gradient(
        &self,
        pass: &Pass<'_, T>,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        w_bar_dot: &mut [T],
    ) {
        self.add_gradient(pass, tangent.y_bar, primal.x[0], w_bar_dot);
        if let Some(x_dot) = tangent.x[0] {
            self.add_gradient(pass, primal.y_bar, x_dot, w_bar_dot);
        }
        self.add_bias_gradient(pass, tangent.y_bar, w_bar_dot);
    }

    fn as_product(&self) -> Option<&Product<T>> {
        Some(self)
    }
}
