//! Average pooling: the mean of every window.

use serde::Deserialize;

use crate::error::Error;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::layers::windows::{Views, Window};
use crate::network::pass::{Pass, Primal};
use crate::network::shape::Shape;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    count_include_pad: bool,
}

/// Average pooling.
pub(super) struct AvgPool<T> {
    views: Views,
    /// The factor of each window's sum.
    factors: Vec<T>,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { kernel, stride, padding, count_include_pad } = spec.options()?;
    let [image] = spec.inputs()?;
    let [] = spec.tensors()?;
    let window = Window { kernel, stride, padding, dilation: [1, 1] };
    let (views, shape) = Views::new(&window, image)?;
    let window_size = kernel[0] * kernel[1];
    let count = |sources: &[usize]| if count_include_pad { window_size } else { sources.len() };
    let factors = views.iter().map(|sources| T::narrow(1.0 / count(sources) as f64)).collect();
    Ok(BuiltLayer { layer: Box::new(AvgPool { views, factors }), shape })
}

impl<T: Real> AvgPool<T> {
    /// The mean of the whole image.
    pub fn global(image: Shape) -> Result<BuiltLayer<T>, Error> {
        let kernel = [image.height, image.width];
        let window = Window { kernel, stride: [1, 1], padding: [0, 0], dilation: [1, 1] };
        let (views, shape) = Views::new(&window, image)?;
        let factors = vec![T::narrow(1.0 / image.positions() as f64)];
        Ok(BuiltLayer { layer: Box::new(Self { views, factors }), shape })
    }

    fn rows(&self) -> (usize, usize) {
        (self.views.image_positions() * T::LANES, self.views.positions() * T::LANES)
    }

    fn means(&self, pass: &Pass<'_, T>, x: &[T], y: &mut [T]) {
        let (image, outputs) = self.rows();
        pass.isa.run(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(outputs)) {
                    let windows = self.views.iter().zip(&self.factors);
                    for ((sources, &factor), y) in windows.zip(y.chunks_exact_mut(T::LANES)) {
                        let mut sum = [T::ZERO; 16];
                        for &source in sources {
                            let lanes = &x[source * T::LANES..][..T::LANES];
                            for (sum, &x) in sum.iter_mut().zip(lanes) {
                                *sum += x;
                            }
                        }
                        for (y, &sum) in y.iter_mut().zip(&sum) {
                            *y = sum * factor;
                        }
                    }
                }
            },
        );
    }
}

impl<T: Real> Layer<T> for AvgPool<T> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        self.means(pass, x[0], y);
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        _: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        match x_dot[0] {
            Some(x_dot) => self.means(pass, x_dot, y_dot),
            None => y_dot.fill(T::ZERO),
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        let (image, outputs) = self.rows();
        pass.isa.run(
            #[inline(always)]
            || {
                let images = x_bar.chunks_exact_mut(image).zip(primal.y_bar.chunks_exact(outputs));
                for (x_bar, y_bar) in images {
                    let windows = self.views.iter().zip(&self.factors);
                    for ((sources, &factor), bar) in windows.zip(y_bar.chunks_exact(T::LANES)) {
                        for &source in sources {
                            let x_bar = &mut x_bar[source * T::LANES..][..T::LANES];
                            for (out, &bar) in x_bar.iter_mut().zip(bar) {
                                *out += bar * factor;
                            }
                        }
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::network::layers::check::{Sketch, check};

    fn options(kernel: usize, stride: usize, padding: usize, count_include_pad: bool) -> Value {
        json!({"kernel": [kernel, kernel], "stride": [stride, stride],
               "padding": [padding, padding], "count_include_pad": count_include_pad})
    }

    #[test]
    fn pooling_takes_the_mean_of_each_window() {
        let x = [4.0, 8.0, 12.0, 16.0];
        let pooled = |options: Value, shape: &[usize]| {
            Sketch::new(&[1, 2, 2]).then("avg_pool2d", options, shape).outputs(&x)
        };
        assert_eq!(pooled(options(2, 1, 0, true), &[1, 1, 1]), [10.0]);
        assert_eq!(pooled(options(2, 2, 1, true), &[1, 2, 2]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(pooled(options(2, 2, 1, false), &[1, 2, 2]), x);
        assert_eq!(pooled(options(2, 1, 1, false), &[1, 3, 3])[3..6], [8.0, 10.0, 12.0]);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let pooled = |input: &[usize], options: Value, shape: &[usize]| {
            let outputs = Sketch::moving(input).then("avg_pool2d", options, shape);
            check(&outputs.then("tanh", json!({}), shape));
        };
        pooled(&[2, 4, 5], options(2, 2, 0, true), &[2, 2, 2]);
        pooled(&[3, 4, 4], options(3, 2, 1, true), &[3, 2, 2]);
        pooled(&[2, 3, 3], options(2, 1, 1, false), &[2, 4, 4]);
    }

    #[test]
    fn malformed_windows_are_refused() {
        let outputs =
            Sketch::new(&[1, 3, 3]).then("avg_pool2d", options(3, 1, 2, true), &[1, 5, 5]);
        assert!(outputs.refusal().contains("pass at most half"));
    }
}
