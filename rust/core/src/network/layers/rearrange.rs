//! Layers that copy entries to other positions: padding and slices.

use crate::error::Error;
use crate::network::kernel::Real;
use crate::network::layer::Layer;
use crate::network::pass::{Pass, Primal};
use crate::network::shape::Shape;

/// The indices of the input along one axis of the output, with the padding around them.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub before: usize,
    pub start: usize,
    pub step: usize,
    pub count: usize,
    pub after: usize,
}

impl Axis {
    /// The length, which the constructor has checked to exist.
    fn len(self) -> usize {
        self.before + self.count + self.after
    }

    /// The input index of each output index; None for padding.
    #[inline(always)]
    fn sources(self) -> impl Iterator<Item = Option<usize>> {
        (0..self.len()).map(move |index| {
            let chosen = index.checked_sub(self.before).filter(|&chosen| chosen < self.count);
            chosen.map(|chosen| self.start + chosen * self.step)
        })
    }
}

/// A layer that selects channels, rows and columns of the input independently.
pub(super) struct Rearrangement<T> {
    pub input: Shape,
    pub channels: Axis,
    pub height: Axis,
    pub width: Axis,
    /// The padding.
    pub padding: T,
}

impl<T: Real> Rearrangement<T> {
    /// The shape of the output.
    ///
    /// # Errors
    /// As for [`Shape::new`].
    pub fn shape(&self) -> Result<Shape, Error> {
        Shape::new(self.channels.len(), self.height.len(), self.width.len())
    }

    /// Calls `move_row` with the offsets in a panel of every feature and of its source.
    #[inline(always)]
    fn each(&self, mut move_row: impl FnMut(usize, Option<usize>)) {
        let mut offset = 0;
        for channel in self.channels.sources() {
            for row in self.height.sources() {
                let line = channel
                    .zip(row)
                    .map(|(channel, row)| (channel * self.input.height + row) * self.input.width);
                for column in self.width.sources() {
                    let source = line.zip(column).map(|(line, column)| line + column);
                    move_row(offset * T::LANES, source.map(|source| source * T::LANES));
                    offset += 1;
                }
            }
        }
    }

    fn panels(&self) -> (usize, usize) {
        let size = self.channels.len() * self.height.len() * self.width.len();
        (self.input.features() * T::LANES, size * T::LANES)
    }

    #[inline(always)]
    fn copy(&self, x: &[T], y: &mut [T], padding: T) {
        let (from, to) = self.panels();
        for (x, y) in x.chunks_exact(from).zip(y.chunks_exact_mut(to)) {
            self.each(|offset, source| {
                let y = &mut y[offset..][..T::LANES];
                match source {
                    Some(source) => y.copy_from_slice(&x[source..][..T::LANES]),
                    None => y.fill(padding),
                }
            });
        }
    }
}

impl<T: Real> Layer<T> for Rearrangement<T> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        pass.isa.run(
            #[inline(always)]
            || self.copy(x[0], y, self.padding),
        );
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
            Some(x_dot) => pass.isa.run(
                #[inline(always)]
                || self.copy(x_dot, y_dot, T::ZERO),
            ),
            None => y_dot.fill(T::ZERO),
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        let (from, to) = self.panels();
        pass.isa.run(
            #[inline(always)]
            || {
                for (x, y) in x_bar.chunks_exact_mut(from).zip(primal.y_bar.chunks_exact(to)) {
                    self.each(|offset, source| {
                        let Some(source) = source else { return };
                        let row = x[source..][..T::LANES].iter_mut().zip(&y[offset..][..T::LANES]);
                        for (x, &y) in row {
                            *x += y;
                        }
                    });
                }
            },
        );
    }
}
