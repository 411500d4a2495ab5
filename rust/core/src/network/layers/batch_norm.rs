//! y = γ (x − μ) r + β per channel, with r = 1 / √(σ² + ε).
//!
//! μ and σ² are the running statistics, which makes the layer affine, or those of the batch, which
//! are functions of x (Ioffe & Szegedy 2015). The derivatives of the second case are in `moments`.

use std::ops::Range;

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layer::{Layer, Moments, Pass, Primal, Tangent};
use crate::network::layers::moments::{Channel, Sums};
use crate::network::layers::{Built, Plan};
use crate::network::parameters::Tensor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    eps: f64,
}

/// Batch normalisation, also of flat features and of sequences.
pub struct BatchNorm {
    channels: usize,
    positions: usize,
    eps: f64,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
    mean: Range<usize>,
    variance: Range<usize>,
    gamma_gradient: Option<Range<usize>>,
    beta_gradient: Option<Range<usize>>,
}

pub(super) fn build<T: Real>(plan: &mut Plan<'_>) -> Result<Built<T>, Error> {
    let Options { eps } = plan.options()?;
    require!(eps >= 0.0 && eps.is_finite(), "got eps = {eps}; pass a finite number from 0 up");
    let [shape] = plan.inputs()?;
    let [gamma, beta, mean, variance] = plan.tensors()?;
    let (Some(mean), Some(variance)) = (mean, variance) else {
        return Err(Error::Invalid("got no running statistics; pass mean and variance".into()));
    };
    for tensor in [gamma.as_ref(), beta.as_ref(), Some(&mean), Some(&variance)] {
        tensor.map_or(Ok(()), |tensor| tensor.expect("batch-norm tensor", &[shape.channels]))?;
    }
    let mut whole = |tensor: &Tensor| plan.forward.whole(tensor);
    let layer = BatchNorm {
        channels: shape.channels,
        positions: shape.positions(),
        eps,
        gamma: gamma.as_ref().map(&mut whole).transpose()?,
        beta: beta.as_ref().map(&mut whole).transpose()?,
        mean: whole(&mean)?,
        variance: whole(&variance)?,
        gamma_gradient: gamma.as_ref().and_then(Tensor::gradient),
        beta_gradient: beta.as_ref().and_then(Tensor::gradient),
    };
    Ok(Built { layer: Box::new(layer), shape })
}

/// What a channel's affine map is at a point: y = scale x + shift.
#[derive(Clone, Copy)]
struct Affine {
    scale: f64,
    shift: f64,
}

impl BatchNorm {
    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Scale and shift of every channel under running statistics, after a bias if there is one.
    pub fn affine<T: Real>(
        &self,
        forward: &[T],
        bias: Option<&[T]>,
        scale: &mut [T],
        shift: &mut [T],
    ) {
        for channel in 0..self.channels {
            let map = self.stored(forward, channel);
            let bias = bias.map_or(0.0, |bias| bias[channel].widen());
            scale[channel] = T::narrow(map.scale);
            shift[channel] = T::narrow(map.scale.mul_add(bias, map.shift));
        }
    }

    /// Replaces the running statistics of a packed point.
    pub fn store<T: Real>(&self, forward: &mut [T], statistics: &[(f64, f64)]) {
        for (channel, &(mean, variance)) in statistics.iter().enumerate() {
            forward[self.mean.start + channel] = T::narrow(mean);
            forward[self.variance.start + channel] = T::narrow(variance);
        }
    }

    /// Mean and biased variance of every channel of a batch.
    pub fn statistics<T: Real>(
        &self,
        pass: &Pass<'_, T>,
        x: &[T],
    ) -> impl Iterator<Item = (f64, f64)> {
        (0..self.channels).map(move |index| self.channel(pass, index).statistics(x))
    }

    /// How many numbers of a batch one channel has.
    pub fn count(&self, samples: usize) -> usize {
        samples * self.positions
    }

    fn number<T: Real>(
        span: Option<&Range<usize>>,
        packed: &[T],
        channel: usize,
        none: f64,
    ) -> f64 {
        span.map_or(none, |span| packed[span.start + channel].widen())
    }

    fn gamma<T: Real>(&self, packed: &[T], channel: usize, none: f64) -> f64 {
        Self::number(self.gamma.as_ref(), packed, channel, none)
    }

    fn beta<T: Real>(&self, packed: &[T], channel: usize) -> f64 {
        Self::number(self.beta.as_ref(), packed, channel, 0.0)
    }

    fn inverse_deviation(&self, variance: f64) -> f64 {
        1.0 / (variance + self.eps).sqrt()
    }

    fn running<T: Real>(&self, forward: &[T], channel: usize) -> (f64, f64) {
        let variance = forward[self.variance.start + channel].widen();
        (forward[self.mean.start + channel].widen(), self.inverse_deviation(variance))
    }

    fn stored<T: Real>(&self, forward: &[T], channel: usize) -> Affine {
        let (mean, r) = self.running(forward, channel);
        let scale = self.gamma(forward, channel, 1.0) * r;
        Affine { scale, shift: self.beta(forward, channel) - mean * scale }
    }

    /// The derivative of the stored map along a direction.
    fn stored_along<T: Real>(&self, pass: &Pass<'_, T>, channel: usize) -> Affine {
        let (mean, r) = self.running(&pass.point.forward, channel);
        let along = &pass.along().forward;
        let scale = self.gamma(along, channel, 0.0) * r;
        Affine { scale, shift: self.beta(along, channel) - mean * scale }
    }

    fn channel<T: Real>(&self, pass: &Pass<'_, T>, index: usize) -> Channel {
        Channel {
            index,
            channels: self.channels,
            row: self.positions * T::LANES,
            lanes: T::LANES,
            panels: pass.panels,
            samples: pass.samples,
        }
    }

    /// μ and r of a channel for this pass.
    fn centre<T: Real>(&self, pass: &Pass<'_, T>, x: &[T], channel: &Channel) -> (f64, f64) {
        match pass.moments {
            Moments::Stored => self.running(&pass.point.forward, channel.index),
            Moments::Batch => {
                let (mean, variance) = channel.statistics(x);
                (mean, self.inverse_deviation(variance))
            }
        }
    }

    fn sums<T: Real>(&self, pass: &Pass<'_, T>, x: &[T], channel: &Channel) -> Sums {
        let (mean, r) = self.centre(pass, x, channel);
        Sums { mean, r, gamma: self.gamma(&pass.point.forward, channel.index, 1.0) }
    }
}

impl<T: Real> Layer<T> for BatchNorm {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            let map = match pass.moments {
                Moments::Stored => self.stored(&pass.point.forward, index),
                Moments::Batch => {
                    let Sums { mean, r, gamma } = self.sums(pass, x[0], &channel);
                    let beta = self.beta(&pass.point.forward, index);
                    Affine { scale: gamma * r, shift: beta - mean * gamma * r }
                }
            };
            let (scale, shift) = (T::narrow(map.scale), T::narrow(map.shift));
            channel.map([x[0]], y, |[x], y| *y = x * scale + shift);
        }
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            let along = self.stored_along(pass, index);
            match (pass.moments, x_dot[0]) {
                (Moments::Stored, x_dot) => {
                    let scale = T::narrow(self.stored(&pass.point.forward, index).scale);
                    let (scale_dot, shift_dot) = (T::narrow(along.scale), T::narrow(along.shift));
                    channel.map([x[0]], y_dot, |[x], y| *y = x * scale_dot + shift_dot);
                    if let Some(x_dot) = x_dot {
                        channel.map([x_dot], y_dot, |[dx], y| *y += dx * scale);
                    }
                }
                (Moments::Batch, x_dot) => {
                    let sums = self.sums(pass, x[0], &channel);
                    let direction = &pass.along().forward;
                    let gamma_dot = self.gamma(direction, index, 0.0);
                    let beta_dot = self.beta(direction, index);
                    sums.tangent(&channel, x[0], x_dot, gamma_dot, beta_dot, y_dot);
                }
            }
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            match pass.moments {
                Moments::Stored => {
                    let scale = T::narrow(self.stored(&pass.point.forward, index).scale);
                    channel.map([primal.y_bar], x_bar, |[bar], x_bar| *x_bar += bar * scale);
                }
                Moments::Batch => {
                    let sums = self.sums(pass, primal.x[0], &channel);
                    sums.adjoint(&channel, primal.x[0], primal.y_bar, x_bar);
                }
            }
        }
    }

    fn gradient(&self, pass: &Pass<'_, T>, primal: &Primal<'_, T>, w_bar: &mut [T]) {
        if self.gamma_gradient.is_none() && self.beta_gradient.is_none() {
            return;
        }
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            let (mean, r) = self.centre(pass, primal.x[0], &channel);
            let [gamma_bar, beta_bar] =
                channel.total([primal.x[0], primal.y_bar], |[x, bar]| [bar * (x - mean) * r, bar]);
            self.add(w_bar, index, gamma_bar, beta_bar);
        }
    }

    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        which: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        if pass.moments == Moments::Stored {
            let along = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
            self.adjoint(pass, which, &along, x_bar_dot);
        }
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            match pass.moments {
                Moments::Stored => {
                    let scale_dot = T::narrow(self.stored_along(pass, index).scale);
                    channel.map([primal.y_bar], x_bar_dot, |[bar], out| *out += bar * scale_dot);
                }
                Moments::Batch => {
                    let sums = self.sums(pass, primal.x[0], &channel);
                    let gamma_dot = self.gamma(&pass.along().forward, index, 0.0);
                    sums.second_adjoint(&channel, primal, tangent, gamma_dot, x_bar_dot);
                }
            }
        }
    }

    fn second_gradient(
        &self,
        pass: &Pass<'_, T>,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        w_bar_dot: &mut [T],
    ) {
        if self.gamma_gradient.is_none() && self.beta_gradient.is_none() {
            return;
        }
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            let sums = self.sums(pass, primal.x[0], &channel);
            let drift = match (pass.moments, tangent.x[0]) {
                (Moments::Batch, Some(x_dot)) => sums.drift(&channel, primal.x[0], x_dot),
                _ => (0.0, 0.0),
            };
            let [gamma, beta] = sums.second_gradient(&channel, primal, tangent, drift);
            self.add(w_bar_dot, index, gamma, beta);
        }
    }

    fn as_normalisation(&self) -> Option<&BatchNorm> {
        Some(self)
    }
}

impl BatchNorm {
    fn add<T: Real>(&self, w_bar: &mut [T], channel: usize, gamma: f64, beta: f64) {
        for (span, share) in [(&self.gamma_gradient, gamma), (&self.beta_gradient, beta)] {
            if let Some(span) = span {
                w_bar[span.start + channel] += T::narrow(share);
            }
        }
    }
}
