//! Functions of single numbers: y = f(x), with f′ and f″.

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::Real;
use crate::network::layer::{Layer, Pass, Primal, Tangent};
use crate::network::layers::{Built, Plan};

/// Numbers worked on at once: enough for the vector units, few enough for the stack.
pub(super) const CHUNK: usize = 128;

/// A function f: R → R.
pub(super) trait Function<T: Real>: Send + Sync + 'static {
    /// f, in place of x.
    fn value(&self, isa: Isa, x: &mut [T]);

    /// f′ in place of x, where y = f(x).
    fn slope(&self, isa: Isa, x: &mut [T], y: &[T]);

    /// f″ in place of x, where y = f(x).
    fn curvature(&self, isa: Isa, x: &mut [T], y: &[T]);

    /// Whether f is tanh.
    fn is_tanh(&self) -> bool {
        false
    }
}

/// Replaces every x by f(x), for functions that a compiler can make vectors of.
pub(super) fn map<T: Real>(isa: Isa, x: &mut [T], f: impl Fn(T) -> T) {
    isa.run(
        #[inline(always)]
        || {
            for x in x {
                *x = f(*x);
            }
        },
    );
}

/// Replaces every x by f(x, g(x)), where `transform` computes g in place.
pub(super) fn map_with<T: Real>(
    isa: Isa,
    x: &mut [T],
    transform: impl Fn(&mut [T]),
    f: impl Fn(T, T) -> T,
) {
    let mut room = [T::ZERO; CHUNK];
    for x in x.chunks_mut(CHUNK) {
        let transformed = &mut room[..x.len()];
        transformed.copy_from_slice(x);
        transform(transformed);
        isa.run(
            #[inline(always)]
            || {
                for (x, &g) in x.iter_mut().zip(&*transformed) {
                    *x = f(*x, g);
                }
            },
        );
    }
}

/// Replaces every x by f(y), for functions whose derivatives are those of their values.
pub(super) fn map_values<T: Real>(isa: Isa, x: &mut [T], y: &[T], f: impl Fn(T) -> T) {
    isa.run(
        #[inline(always)]
        || {
            for (x, &y) in x.iter_mut().zip(y) {
                *x = f(y);
            }
        },
    );
}

/// A layer that applies a function to every number.
pub(super) struct Activation<F>(F);

/// The layer of a function.
pub(super) fn built<T: Real>(
    plan: &Plan<'_>,
    function: impl Function<T>,
) -> Result<Built<T>, Error> {
    let [shape] = plan.inputs()?;
    let [] = plan.tensors()?;
    Ok(Built { layer: Box::new(Activation(function)), shape })
}

impl<F> Activation<F> {
    /// Has `combine` join chunks of `out` with what `fill` makes of x and y there.
    fn each<T: Real>(
        x: &[T],
        y: &[T],
        out: &mut [T],
        fill: impl Fn(&mut [T], &[T]),
        mut combine: impl FnMut(usize, &[T], &mut [T]),
    ) {
        let mut room = [T::ZERO; CHUNK];
        let chunks = x.chunks(CHUNK).zip(y.chunks(CHUNK)).zip(out.chunks_mut(CHUNK));
        for (index, ((x, y), out)) in chunks.enumerate() {
            let found = &mut room[..x.len()];
            found.copy_from_slice(x);
            fill(found, y);
            combine(index * CHUNK, found, out);
        }
    }
}

impl<T: Real, F: Function<T>> Layer<T> for Activation<F> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        y.copy_from_slice(x[0]);
        self.in_place(pass, y);
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        y: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let Some(x_dot) = x_dot[0] else { return y_dot.fill(T::ZERO) };
        let slope = |x: &mut [T], y: &[T]| self.0.slope(pass.isa, x, y);
        Self::each(x[0], y, y_dot, slope, |at, slope, y_dot| {
            let x_dot = &x_dot[at..][..slope.len()];
            pass.isa.run(
                #[inline(always)]
                || {
                    for ((out, &f), &dx) in y_dot.iter_mut().zip(slope).zip(x_dot) {
                        *out = f * dx;
                    }
                },
            );
        });
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        let slope = |x: &mut [T], y: &[T]| self.0.slope(pass.isa, x, y);
        Self::each(primal.x[0], primal.y, x_bar, slope, |at, slope, x_bar| {
            let y_bar = &primal.y_bar[at..][..slope.len()];
            pass.isa.run(
                #[inline(always)]
                || {
                    for ((out, &f), &bar) in x_bar.iter_mut().zip(slope).zip(y_bar) {
                        *out += f * bar;
                    }
                },
            );
        });
    }

    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        which: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        let Some(x_dot) = tangent.x[0] else {
            let along = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
            return self.adjoint(pass, which, &along, x_bar_dot);
        };
        let mut slopes = [T::ZERO; CHUNK];
        let curvature = |x: &mut [T], y: &[T]| self.0.curvature(pass.isa, x, y);
        Self::each(primal.x[0], primal.y, x_bar_dot, curvature, |at, curvature, out| {
            let span = at..at + curvature.len();
            let slopes = &mut slopes[..curvature.len()];
            slopes.copy_from_slice(&primal.x[0][span.clone()]);
            self.0.slope(pass.isa, slopes, &primal.y[span.clone()]);
            let (x_dot, y_bar) = (&x_dot[span.clone()], &primal.y_bar[span.clone()]);
            let rest = slopes.iter().zip(&tangent.y_bar[span]);
            pass.isa.run(
                #[inline(always)]
                || {
                    let bends = curvature.iter().zip(x_dot).zip(y_bar).zip(rest);
                    for (out, (((&bend, &dx), &bar), (&slope, &bar_dot))) in
                        out.iter_mut().zip(bends)
                    {
                        *out += slope * bar_dot + bend * dx * bar;
                    }
                },
            );
        });
    }

    fn is_tanh(&self) -> bool {
        self.0.is_tanh()
    }

    fn runs_in_place(&self) -> bool {
        true
    }

    fn in_place(&self, pass: &Pass<'_, T>, values: &mut [T]) {
        self.0.value(pass.isa, values);
    }
}
