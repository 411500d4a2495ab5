//! Element-wise layers: y = f(x), with f′ and f″.

use crate::error::Error;
use crate::isa::Isa;
use crate::network::fusion::Fusion;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::pass::{Pass, Primal, Tangent};

/// Numbers per chunk: enough for the vector units, few enough for the stack.
const CHUNK: usize = 256;

/// How many intermediate results derivatives may use besides x and f(x).
pub(super) const PARTS: usize = 2;

/// A function f: R → R.
pub(super) trait Function<T: Real>: Send + Sync + 'static {
    /// f, in place of x.
    fn value(&self, isa: Isa, x: &mut [T]);

    /// Computes intermediate results that f′ and f″ share.
    fn prepare(&self, _: Isa, _x: &[T], _parts: [&mut [T]; PARTS]) {}

    /// f′. Must be inlined.
    fn derivative(&self, at: At<T>) -> T;

    /// f″. Must be inlined.
    fn second_derivative(&self, at: At<T>) -> T;

    /// The layer's role in a fused forward pass.
    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::None
    }
}

/// The point at which a derivative is taken.
#[derive(Clone, Copy)]
pub(super) struct At<T> {
    pub x: T,
    /// f(x).
    pub y: T,
    /// The intermediate results of [`Function::prepare`].
    pub parts: [T; PARTS],
}

/// Replaces every x by f(x), for functions that the compiler can vectorise.
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
    let mut scratch = [T::ZERO; CHUNK];
    for x in x.chunks_mut(CHUNK) {
        let transformed = &mut scratch[..x.len()];
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

/// A layer that applies a function to every number.
pub(super) struct Activation<F>(F);

/// Builds the layer of a function.
pub(super) fn build_activation<T: Real>(
    spec: &LayerSpec<'_>,
    function: impl Function<T>,
) -> Result<BuiltLayer<T>, Error> {
    let [shape] = spec.inputs()?;
    let [] = spec.tensors()?;
    Ok(BuiltLayer { layer: Box::new(Activation(function)), shape })
}

impl<F> Activation<F> {
    /// Calls `rule` on every number of `out`, with the point of its derivatives and the entries of
    /// `others` there.
    fn each<T: Real, const N: usize>(
        &self,
        isa: Isa,
        (x, y): (&[T], &[T]),
        others: [&[T]; N],
        out: &mut [T],
        rule: impl Fn(&mut T, At<T>, [T; N]),
    ) where
        F: Function<T>,
    {
        let mut scratch = [[T::ZERO; CHUNK]; PARTS];
        for (index, out) in out.chunks_mut(CHUNK).enumerate() {
            let (start, count) = (index * CHUNK, out.len());
            let chunk = &x[start..][..count];
            self.0.prepare(isa, chunk, scratch.each_mut().map(|part| &mut part[..count]));
            isa.run(
                #[inline(always)]
                || {
                    // One common length, which lets the compiler drop the bounds checks.
                    let count = out.len();
                    let [x, y] = cut([x, y], start, count);
                    let [a, b] = cut([&scratch[0], &scratch[1]], 0, count);
                    let others = cut(others, start, count);
                    for i in 0..count {
                        let mut numbers = [T::ZERO; N];
                        for (number, other) in numbers.iter_mut().zip(&others) {
                            *number = other[i];
                        }
                        rule(&mut out[i], At { x: x[i], y: y[i], parts: [a[i], b[i]] }, numbers);
                    }
                },
            );
        }
    }
}

/// The same range of every slice.
#[inline(always)]
fn cut<T, const N: usize>(mut slices: [&[T]; N], start: usize, count: usize) -> [&[T]; N] {
    for slice in &mut slices {
        *slice = &slice[start..][..count];
    }
    slices
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
        self.each(
            pass.isa,
            (x[0], y),
            [x_dot],
            y_dot,
            #[inline(always)]
            |out, at, [dx]| *out = self.0.derivative(at) * dx,
        );
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        self.each(
            pass.isa,
            (primal.x[0], primal.y),
            [primal.y_bar],
            x_bar,
            #[inline(always)]
            |out, at, [bar]| *out += self.0.derivative(at) * bar,
        );
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
            let tangent_primal = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
            return self.adjoint(pass, which, &tangent_primal, x_bar_dot);
        };
        self.each(
            pass.isa,
            (primal.x[0], primal.y),
            [x_dot, primal.y_bar, tangent.y_bar],
            x_bar_dot,
            #[inline(always)]
            |out, at, [dx, bar, bar_dot]| {
                *out += self.0.derivative(at) * bar_dot + self.0.second_derivative(at) * dx * bar;
            },
        );
    }

    fn fusion(&self) -> Fusion<'_, T> {
        self.0.fusion()
    }

    fn runs_in_place(&self) -> bool {
        true
    }

    fn in_place(&self, pass: &Pass<'_, T>, values: &mut [T]) {
        self.0.value(pass.isa, values);
    }
}
