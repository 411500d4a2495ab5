//! Forward, tangent, adjoint and second-order rules of batch normalisation.

use super::{Affine, BatchNorm};
use crate::network::fusion::Fusion;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::moments::Sums;
use crate::network::pass::{Moments, Pass, Primal, Tangent};

impl<T: Real> Layer<T> for BatchNorm {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            let map = match pass.moments {
                Moments::Stored => self.stored_map(&pass.point.forward, index),
                Moments::Batch => {
                    let Sums { mean, r, gamma } = self.sums(pass, x[0], &channel);
                    let beta = self.beta(&pass.point.forward, index);
                    Affine { scale: gamma * r, shift: beta - mean * gamma * r }
                }
            };
            let (scale, shift) = (T::narrow(map.scale), T::narrow(map.shift));
            channel.map(x[0], y, |x, y| *y = x * scale + shift);
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
            let tangent_map = self.stored_tangent(pass, index);
            match (pass.moments, x_dot[0]) {
                (Moments::Stored, x_dot) => {
                    let scale = T::narrow(self.stored_map(&pass.point.forward, index).scale);
                    let (scale_dot, shift_dot) =
                        (T::narrow(tangent_map.scale), T::narrow(tangent_map.shift));
                    channel.map(x[0], y_dot, |x, y| *y = x * scale_dot + shift_dot);
                    if let Some(x_dot) = x_dot {
                        channel.map(x_dot, y_dot, |dx, y| *y += dx * scale);
                    }
                }
                (Moments::Batch, x_dot) => {
                    let sums = self.sums(pass, x[0], &channel);
                    let direction = &pass.tangent_direction().forward;
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
                    let scale = T::narrow(self.stored_map(&pass.point.forward, index).scale);
                    channel.map(primal.y_bar, x_bar, |bar, x_bar| *x_bar += bar * scale);
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
            let tangent = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
            self.adjoint(pass, which, &tangent, x_bar_dot);
        }
        for index in 0..self.channels {
            let channel = self.channel(pass, index);
            match pass.moments {
                Moments::Stored => {
                    let scale_dot = T::narrow(self.stored_tangent(pass, index).scale);
                    channel.map(primal.y_bar, x_bar_dot, |bar, out| *out += bar * scale_dot);
                }
                Moments::Batch => {
                    let sums = self.sums(pass, primal.x[0], &channel);
                    let gamma_dot = self.gamma(&pass.tangent_direction().forward, index, 0.0);
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

    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::Normalisation(self)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    fn build_norm(shape: &[usize], affine: bool) -> Sketch {
        let mut sketch = Sketch::moving(shape);
        let count = &shape[..1];
        let (gamma, beta) = (sketch.add_varied(count), sketch.add_varied(count));
        let (mean, variance) = (sketch.add_frozen(count), sketch.add_frozen(count));
        let affine = [gamma, beta].map(|index| affine.then_some(index));
        let parameters = [affine[0], affine[1], Some(mean), Some(variance)];
        sketch.add_node("batch_norm", &[2], &parameters, json!({"eps": 0.01}), shape);
        sketch
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        check(&build_norm(&[4], true));
        check(&build_norm(&[2, 5], true));
        check(&build_norm(&[3, 2, 2], true));
        check(&build_norm(&[3, 2, 2], false));
    }

    #[test]
    fn normalising_twice_with_a_function_between() {
        let mut sketch = build_norm(&[3, 2, 2], true).then("tanh", json!({}), &[3, 2, 2]);
        let last = sketch.last();
        let parameters = [
            sketch.add_varied(&[3]),
            sketch.add_varied(&[3]),
            sketch.add_frozen(&[3]),
            sketch.add_frozen(&[3]),
        ];
        sketch.add_node(
            "batch_norm",
            &[last],
            &parameters.map(Some),
            json!({"eps": 0.01}),
            &[3, 2, 2],
        );
        check(&sketch);
    }
}
