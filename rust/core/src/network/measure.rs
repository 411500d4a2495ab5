//! From outputs to numbers: what is summed over samples, and where derivatives start.

use crate::isa::Isa;
use crate::network::evaluate::Measure;
use crate::network::head::{Curvature, Outputs};
use crate::network::kernel::Real;
use crate::network::loss::NetworkLoss;
use crate::network::room::HeadRoom;

/// A sum over samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Of losses.
    Loss,
    /// Of right guesses; NaN where the loss knows none.
    Hits,
    /// Of squared losses.
    Squares,
    /// Of losses times their samples' weights.
    Cross,
}

/// Sums over a panel's samples.
pub(crate) struct Columns<'a, T> {
    loss: &'a NetworkLoss<T>,
    columns: &'a [Column],
}

impl<'a, T: Real> Columns<'a, T> {
    pub fn new(loss: &'a NetworkLoss<T>, columns: &'a [Column]) -> Self {
        Self { loss, columns }
    }
}

impl<T: Real> Measure<T> for Columns<'_, T> {
    fn numbers(&self) -> usize {
        self.columns.len()
    }

    fn fill(&self, outputs: &[T], samples: &[usize], room: &mut HeadRoom, out: &mut [f64]) {
        let HeadRoom { outputs: wide, lanes, scratch, .. } = room;
        widen(self.loss.isa, outputs, wide);
        let panel = Outputs { isa: self.loss.isa, values: wide, lanes: T::LANES, samples };
        lanes.resize(T::LANES, 0.0);
        if self.columns.iter().any(|&column| column != Column::Hits) {
            self.loss.head.losses(&panel, scratch, lanes);
        }
        let losses = &lanes[..samples.len()];
        for (column, out) in self.columns.iter().zip(&mut *out) {
            *out = match column {
                Column::Loss => losses.iter().sum(),
                Column::Squares => losses.iter().map(|loss| loss * loss).sum(),
                Column::Cross => {
                    let weights = samples.iter().map(|&sample| self.loss.weights[sample]);
                    losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum()
                }
                Column::Hits => f64::NAN,
            };
        }
        let Some(hits) = self.loss.head.hits() else { return };
        if self.columns.contains(&Column::Hits) {
            hits.hits(&panel, lanes);
            for (column, out) in self.columns.iter().zip(out) {
                if *column == Column::Hits {
                    *out = lanes[..samples.len()].iter().sum();
                }
            }
        }
    }
}

/// Every sample's loss, a lane each.
pub(crate) struct PerSample<'a, T>(&'a NetworkLoss<T>);

impl<'a, T: Real> PerSample<'a, T> {
    pub fn new(loss: &'a NetworkLoss<T>) -> Self {
        Self(loss)
    }
}

impl<T: Real> Measure<T> for PerSample<'_, T> {
    fn numbers(&self) -> usize {
        T::LANES
    }

    fn fill(&self, outputs: &[T], samples: &[usize], room: &mut HeadRoom, out: &mut [f64]) {
        let HeadRoom { outputs: wide, scratch, .. } = room;
        widen(self.0.isa, outputs, wide);
        let panel = Outputs { isa: self.0.isa, values: wide, lanes: T::LANES, samples };
        self.0.head.losses(&panel, scratch, out);
    }
}

impl<T: Real> NetworkLoss<T> {
    /// Slopes of the scaled losses of a block by its outputs, and the scaled sum of losses.
    pub(crate) fn slopes(
        &self,
        outputs: &[T],
        samples: &[usize],
        scale: f64,
        room: &mut HeadRoom,
        slopes: &mut Vec<T>,
    ) -> f64 {
        let HeadRoom { outputs: wide, found, lanes, scratch, .. } = room;
        slopes.resize(outputs.len(), T::ZERO);
        lanes.resize(T::LANES, 0.0);
        let size = self.network.output().features() * T::LANES;
        let panels = outputs.chunks_exact(size).zip(samples.chunks(T::LANES));
        let mut total = 0.0;
        for ((outputs, samples), slopes) in panels.zip(slopes.chunks_exact_mut(size)) {
            widen(self.isa, outputs, wide);
            let panel = Outputs { isa: self.isa, values: wide, lanes: T::LANES, samples };
            self.head.losses(&panel, scratch, lanes);
            total += lanes[..samples.len()].iter().sum::<f64>();
            found.resize(size, 0.0);
            self.head.slopes(&panel, scratch, found);
            narrow(self.isa, found, scale, slopes);
        }
        total * scale
    }

    /// The curvature of the scaled losses of a block by its outputs, times a tangent.
    #[expect(clippy::too_many_arguments, reason = "a block, what is asked of it, and room to work")]
    pub(crate) fn bend(
        &self,
        kind: Curvature,
        outputs: &[T],
        tangents: &[T],
        samples: &[usize],
        scale: f64,
        room: &mut HeadRoom,
        bent: &mut Vec<T>,
    ) {
        let HeadRoom { outputs: wide, tangents: wide_tangents, found, scratch, .. } = room;
        bent.resize(outputs.len(), T::ZERO);
        let size = self.network.output().features() * T::LANES;
        let panels = outputs.chunks_exact(size).zip(tangents.chunks_exact(size));
        let blocks = panels.zip(samples.chunks(T::LANES)).zip(bent.chunks_exact_mut(size));
        for (((outputs, tangents), samples), bent) in blocks {
            widen(self.isa, outputs, wide);
            widen(self.isa, tangents, wide_tangents);
            let panel = Outputs { isa: self.isa, values: wide, lanes: T::LANES, samples };
            found.resize(size, 0.0);
            self.head.curvature(kind, &panel, wide_tangents, scratch, found);
            narrow(self.isa, found, scale, bent);
        }
    }
}

fn widen<T: Real>(isa: Isa, values: &[T], out: &mut Vec<f64>) {
    out.resize(values.len(), 0.0);
    isa.run(
        #[inline(always)]
        || {
            for (out, value) in out.iter_mut().zip(values) {
                *out = value.widen();
            }
        },
    );
}

fn narrow<T: Real>(isa: Isa, values: &[f64], scale: f64, out: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = T::narrow(value * scale);
            }
        },
    );
}
