//! Max-pooling. Padding is −∞; the first of equal maxima receives the derivative, and NaN is a maximum.

use serde::Deserialize;

use crate::error::Error;
use crate::network::fusion::Fusion;
use crate::network::kernel::{Pool2x2, Real, max_pool};
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::layers::windows::{Views, Window};
use crate::network::pass::{Pass, Primal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

struct MaxPool {
    views: Views,
    /// The 2 × 2 windows with stride 2, if it is that.
    pool: Option<Pool2x2>,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { kernel, stride, padding, dilation } = spec.options()?;
    let [image] = spec.inputs()?;
    let [] = spec.tensors()?;
    let window = Window { kernel, stride, padding, dilation };
    let (views, shape) = Views::new(&window, image)?;
    let squares = ([kernel, stride], [padding, dilation]) == ([[2; 2]; 2], [[0; 2], [1; 2]]);
    let pool = squares.then(|| Pool2x2::new(image.height, image.width));
    Ok(BuiltLayer { layer: Box::new(MaxPool { views, pool }), shape })
}

/// The largest number of lanes of any number type.
const LANES: usize = 16;

/// The index of the source with the maximum, for each lane. NaN is larger than all numbers.
#[inline(always)]
fn winners<T: Real>(x: &[T], sources: &[usize]) -> [T; LANES] {
    let mut best = [T::LOWEST; LANES];
    // Counted in the number's own type, so that index and value have lanes of the same width.
    let mut winner = [T::ZERO; LANES];
    let mut index = T::ZERO;
    for &source in sources {
        let lanes = best.iter_mut().zip(&mut winner).zip(&x[source * T::LANES..][..T::LANES]);
        for ((best, winner), &x) in lanes {
            let wins = (x > *best) | x.is_nan();
            *best = if wins { x } else { *best };
            *winner = if wins { index } else { *winner };
        }
        index += T::ONE;
    }
    winner
}

/// The lanes of a column. All are loaded, whichever wins: a select between loaded values needs no
/// branch.
#[inline(always)]
fn load_lanes<T: Real>(lanes: &[T]) -> [T; LANES] {
    let mut column = [T::ZERO; LANES];
    column[..T::LANES].copy_from_slice(lanes);
    column
}

impl MaxPool {
    fn rows<T: Real>(&self) -> (usize, usize) {
        (self.views.image_positions() * T::LANES, self.views.positions() * T::LANES)
    }
}

impl<T: Real> Layer<T> for MaxPool {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        max_pool(pass.isa, x[0], self.views.image_positions(), self.views.table(), y);
    }

    fn fusion(&self) -> Fusion<'_, T> {
        self.pool.map_or(Fusion::None, Fusion::MaxPool)
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let Some(x_dot) = x_dot[0] else { return y_dot.fill(T::ZERO) };
        let (image, outputs) = self.rows::<T>();
        pass.isa.run(
            #[inline(always)]
            || {
                let images = x[0].chunks_exact(image).zip(x_dot.chunks_exact(image));
                for ((x, x_dot), y_dot) in images.zip(y_dot.chunks_exact_mut(outputs)) {
                    for (sources, out) in self.views.iter().zip(y_dot.chunks_exact_mut(T::LANES)) {
                        let winner = winners(x, sources);
                        let mut index = T::ZERO;
                        for &source in sources {
                            let x_dot = load_lanes(&x_dot[source * T::LANES..][..T::LANES]);
                            for ((out, &dx), &winner) in out.iter_mut().zip(&x_dot).zip(&winner) {
                                *out = if winner == index { dx } else { *out };
                            }
                            index += T::ONE;
                        }
                    }
                }
            },
        );
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        let (image, outputs) = self.rows::<T>();
        pass.isa.run(
            #[inline(always)]
            || {
                let images = primal.x[0].chunks_exact(image).zip(x_bar.chunks_exact_mut(image));
                for ((x, x_bar), y_bar) in images.zip(primal.y_bar.chunks_exact(outputs)) {
                    for (sources, bar) in self.views.iter().zip(y_bar.chunks_exact(T::LANES)) {
                        let (winner, bar) = (winners(x, sources), load_lanes(bar));
                        let mut index = T::ZERO;
                        for &source in sources {
                            let x_bar = &mut x_bar[source * T::LANES..][..T::LANES];
                            for ((out, &bar), &winner) in x_bar.iter_mut().zip(&bar).zip(&winner) {
                                *out += if winner == index { bar } else { T::ZERO };
                            }
                            index += T::ONE;
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

    use super::winners;
    use crate::network::layers::check::{Sketch, check};

    fn options(kernel: usize, stride: usize, padding: usize, dilation: usize) -> Value {
        json!({"kernel": [kernel, kernel], "stride": [stride, stride],
               "padding": [padding, padding], "dilation": [dilation, dilation]})
    }

    #[test]
    fn pooling_takes_the_maximum_of_each_window() {
        let x = [1.0, -2.0, 3.0, 4.0, 0.0, -6.0, -7.0, -8.0, -9.0];
        let pooled = |options: Value, shape: &[usize]| {
            Sketch::new(&[1, 3, 3]).then("max_pool2d", options, shape).outputs(&x)
        };
        assert_eq!(pooled(options(2, 1, 0, 1), &[1, 2, 2]), [4.0, 3.0, 4.0, 0.0]);
        assert_eq!(pooled(options(2, 2, 1, 1), &[1, 2, 2]), [1.0, 3.0, 4.0, 0.0]);
        assert_eq!(pooled(options(2, 1, 0, 2), &[1, 1, 1]), [3.0]);
        let below = Sketch::new(&[1, 1, 1]).then("max_pool2d", options(3, 1, 1, 1), &[1, 1, 1]);
        assert_eq!(below.outputs(&[-5.0]), [-5.0], "padding never wins");
    }

    #[test]
    fn the_first_of_equal_maxima_or_nan_receives_the_derivative() {
        let mut x = [0.0_f64; 32];
        (x[8], x[16], x[9], x[17]) = (1.0, 1.0, f64::NAN, 5.0);
        x[2] = f64::NEG_INFINITY;
        let winner = winners(&x, &[0, 1, 2, 3]);
        assert_eq!(winner[..4], [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(winners(&[f64::NEG_INFINITY; 16], &[0, 1])[0], 0.0);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let pooled = |input: &[usize], options: Value, shape: &[usize]| {
            check(&Sketch::moving(input).then("max_pool2d", options, shape));
        };
        pooled(&[2, 4, 5], options(2, 2, 0, 1), &[2, 2, 2]);
        pooled(&[3, 4, 4], options(3, 2, 1, 1), &[3, 2, 2]);
        pooled(&[1, 5, 5], options(2, 1, 1, 2), &[1, 5, 5]);
    }

    #[test]
    fn malformed_windows_are_refused() {
        let said = |options: Value| {
            Sketch::new(&[1, 3, 3]).then("max_pool2d", options, &[1, 1, 1]).refusal()
        };
        assert!(said(options(0, 1, 0, 1)).contains("a kernel of 0"));
        assert!(said(options(2, 1, 2, 1)).contains("pass at most half"));
        assert!(said(options(4, 1, 0, 1)).contains("covers 4 of 3"));
        assert!(said(options(1 << 40, 1, 1 << 39, 1)).contains("entries"));
        let dilated = Sketch::new(&[1, 1, 1]).then("max_pool2d", options(2, 1, 1, 2), &[1, 1, 1]);
        assert!(dilated.refusal().contains("nothing but padding"));
    }
}
