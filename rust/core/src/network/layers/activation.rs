//! Functions of single numbers: y = f(x), with f′ and f″.

use std::ops::Range;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::kernel::Real;
use crate::network::layer::{Layer, Pass, Primal, Tangent};
use crate::network::layers::{Built, Plan};

/// Numbers worked on at once: enough for the vector units, few enough for the stack.
const CHUNK: usize = 256;

/// What derivatives may need besides x and f(x).
pub(super) const PARTS: usize = 2;

/// A function f: R → R.
pub(super) trait Function<T: Real>: Send + Sync + 'static {
    /// f, in place of x.
    fn value(&self, isa: Isa, x: &mut [T]);

    /// Functions of x that its derivatives have in common.
    fn prepare(&self, _: Isa, _x: &[T], _parts: [&mut [T]; PARTS]) {}

    /// f′. Must be inlined.
    fn slope(&self, at: At<T>) -> T;

    /// f″. Must be inlined.
    fn curvature(&self, at: At<T>) -> T;

    /// Whether f is tanh.
    fn is_tanh(&self) -> bool {
        false
    }
}

/// Where a derivative is taken.
#[derive(Clone, Copy)]
pub(super) struct At<T> {
    pub x: T,
    /// f(x).
    pub y: T,
    /// What was prepared for x.
    pub parts: [T; PARTS],
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

/// Some numbers with their values, and what was prepared for them.
#[derive(Clone, Copy)]
struct Chunk<'a, T> {
    x: &'a [T],
    y: &'a [T],
    parts: [&'a [T]; PARTS],
}

impl<T: Real> Chunk<'_, T> {
    /// The first of them: loops over as many need no check of bounds.
    #[inline(always)]
    fn first(&self, count: usize) -> Self {
        let [a, b] = self.parts;
        Self { x: &self.x[..count], y: &self.y[..count], parts: [&a[..count], &b[..count]] }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> At<T> {
        let [a, b] = self.parts;
        At { x: self.x[index], y: self.y[index], parts: [a[index], b[index]] }
    }
}

/// Calls `rule` on chunks of x and y with their place, compiled for an instruction set.
fn each<T: Real>(
    function: &impl Function<T>,
    isa: Isa,
    x: &[T],
    y: &[T],
    mut rule: impl FnMut(&Chunk<'_, T>, Range<usize>),
) {
    let mut room = [[T::ZERO; CHUNK]; PARTS];
    for (index, (x, y)) in x.chunks(CHUNK).zip(y.chunks(CHUNK)).enumerate() {
        function.prepare(isa, x, room.each_mut().map(|part| &mut part[..x.len()]));
        let chunk = Chunk { x, y, parts: room.each_ref().map(|part| &part[..x.len()]) };
        let place = index * CHUNK;
        isa.run(
            #[inline(always)]
            || rule(&chunk, place..place + x.len()),
        );
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
        each(
            &self.0,
            pass.isa,
            x[0],
            y,
            #[inline(always)]
            |chunk, span| {
                let (out, dx) = (&mut y_dot[span.clone()], &x_dot[span]);
                let chunk = chunk.first(out.len());
                for (i, (out, &dx)) in out.iter_mut().zip(dx).enumerate() {
                    *out = self.0.slope(chunk.at(i)) * dx;
                }
            },
        );
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        each(
            &self.0,
            pass.isa,
            primal.x[0],
            primal.y,
            #[inline(always)]
            |chunk, span| {
                let (out, bar) = (&mut x_bar[span.clone()], &primal.y_bar[span]);
                let chunk = chunk.first(out.len());
                for (i, (out, &bar)) in out.iter_mut().zip(bar).enumerate() {
                    *out += self.0.slope(chunk.at(i)) * bar;
                }
            },
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
            let along = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
            return self.adjoint(pass, which, &along, x_bar_dot);
        };
        each(
            &self.0,
            pass.isa,
            primal.x[0],
            primal.y,
            #[inline(always)]
            |chunk, span| {
                let out = &mut x_bar_dot[span.clone()];
                let (dx, bar) = (&x_dot[span.clone()], &primal.y_bar[span.clone()]);
                let rest = dx.iter().zip(bar).zip(&tangent.y_bar[span]);
                let chunk = chunk.first(out.len());
                for (i, (out, ((&dx, &bar), &bar_dot))) in out.iter_mut().zip(rest).enumerate() {
                    let at = chunk.at(i);
                    *out += self.0.slope(at) * bar_dot + self.0.curvature(at) * dx * bar;
                }
            },
        );
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
