//! Batch normalisation: y = γ (x − μ) r + β per channel, with r = 1 / √(σ² + ε).
//!
//! μ and σ² are the running statistics, which makes the layer affine, or those of the batch, which
//! are functions of x (Ioffe & Szegedy 2015). The derivatives of the second case are in `moments`.

mod rules;

use std::ops::Range;

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::fusion::Normalisation;
use crate::network::kernel::Real;
use crate::network::layers::moments::{Channel, Sums};
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::parameters::Tensor;
use crate::network::pass::{Moments, Pass};

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

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { eps } = spec.options()?;
    require!(eps >= 0.0 && eps.is_finite(), "got eps = {eps}; pass a finite number from 0 up");
    let [shape] = spec.inputs()?;
    let [gamma, beta, mean, variance] = spec.tensors()?;
    let (Some(mean), Some(variance)) = (mean, variance) else {
        return Err(Error::Invalid("got no running statistics; pass mean and variance".into()));
    };
    for tensor in [gamma.as_ref(), beta.as_ref(), Some(&mean), Some(&variance)] {
        tensor.map_or(Ok(()), |tensor| tensor.expect("batch-norm tensor", &[shape.channels]))?;
    }
    let mut reserve = |tensor: &Tensor| spec.forward.reserve_tensor(tensor);
    let layer = BatchNorm {
        channels: shape.channels,
        positions: shape.positions(),
        eps,
        gamma: gamma.as_ref().map(&mut reserve).transpose()?,
        beta: beta.as_ref().map(&mut reserve).transpose()?,
        mean: reserve(&mean)?,
        variance: reserve(&variance)?,
        gamma_gradient: gamma.as_ref().and_then(Tensor::gradient),
        beta_gradient: beta.as_ref().and_then(Tensor::gradient),
    };
    Ok(BuiltLayer { layer: Box::new(layer), shape })
}

/// The affine map of a channel at a point: y = scale x + shift.
#[derive(Clone, Copy)]
struct Affine {
    scale: f64,
    shift: f64,
}

impl BatchNorm {
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

    fn stored_map<T: Real>(&self, forward: &[T], channel: usize) -> Affine {
        let (mean, r) = self.running(forward, channel);
        let scale = self.gamma(forward, channel, 1.0) * r;
        Affine { scale, shift: self.beta(forward, channel) - mean * scale }
    }

    /// The derivative of the stored map along a direction.
    fn stored_tangent<T: Real>(&self, pass: &Pass<'_, T>, channel: usize) -> Affine {
        let (mean, r) = self.running(&pass.point.forward, channel);
        let direction = &pass.tangent_direction().forward;
        let scale = self.gamma(direction, channel, 0.0) * r;
        Affine { scale, shift: self.beta(direction, channel) - mean * scale }
    }

    fn channel<T: Real>(&self, pass: &Pass<'_, T>, index: usize) -> Channel {
        Channel {
            isa: pass.isa,
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

impl<T: Real> Normalisation<T> for BatchNorm {
    fn channels(&self) -> usize {
        self.channels
    }

    fn count(&self, samples: usize) -> usize {
        samples * self.positions
    }

    fn affine(&self, forward: &[T], bias: Option<&[T]>, scale: &mut [T], shift: &mut [T]) {
        for channel in 0..self.channels {
            let map = self.stored_map(forward, channel);
            let bias = bias.map_or(0.0, |bias| bias[channel].widen());
            scale[channel] = T::narrow(map.scale);
            shift[channel] = T::narrow(map.scale.mul_add(bias, map.shift));
        }
    }

    fn statistics(&self, pass: &Pass<'_, T>, x: &[T]) -> Vec<(f64, f64)> {
        (0..self.channels).map(|index| self.channel(pass, index).statistics(x)).collect()
    }

    fn store(&self, forward: &mut [T], statistics: &[(f64, f64)]) {
        for (channel, &(mean, variance)) in statistics.iter().enumerate() {
            forward[self.mean.start + channel] = T::narrow(mean);
            forward[self.variance.start + channel] = T::narrow(variance);
        }
    }
}
