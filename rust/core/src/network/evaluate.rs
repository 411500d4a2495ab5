//! Every panel of samples at every point: who computes what, and in which order it is put together.
//!
//! A panel fills its own numbers of a table (points, panels, numbers), so that sums over the table
//! have the same bits on any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::data::{Block, Data};
use crate::network::kernel::Real;
use crate::network::layer::{Moments, Pass};
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::points::{Points, Rules};
use crate::network::program::{Feed, Unfed};
use crate::network::room::{HeadRoom, Ready, Room};
use crate::network::threads::{install, threads};

/// Panels that a task evaluates before it turns to something else.
const STRETCH: usize = 4;
/// The most points that take turns.
const TURNS: usize = 8;
/// Bytes that their packed numbers may take.
const TURNS_BYTES: usize = 4 << 20;

/// Turns a panel's outputs into its numbers.
pub(crate) trait Measure<T>: Sync {
    /// How many numbers a panel has.
    fn numbers(&self) -> usize;

    /// Fills them from the outputs of these samples.
    fn fill(&self, outputs: &[T], samples: &[usize], room: &mut HeadRoom, out: &mut [f64]);
}

/// What is known of products before a point is evaluated.
pub(crate) trait Known<T>: Sync {
    /// What feeds a panel at a point.
    type Feed<'a>: Feed<T>
    where
        Self: 'a;

    /// That of this point and panel.
    fn at(&self, point: usize, panel: usize) -> Self::Feed<'_>;
}

/// Nothing is known.
pub(crate) struct Nothing;

impl<T> Known<T> for Nothing {
    type Feed<'a> = Unfed;

    fn at(&self, _: usize, _: usize) -> Unfed {
        Unfed
    }
}

/// The numbers of all panels at all points.
pub(crate) struct Evaluation<'a, T, M, K> {
    pub loss: &'a NetworkLoss<T>,
    pub measure: &'a M,
    pub known: &'a K,
    pub cancel: &'a Cancel,
}

impl<T: Real, M: Measure<T>, K: Known<T>> Evaluation<'_, T, M, K> {
    /// Fills the table (points, panels, numbers), and says in which order samples lie in its panels.
    pub fn table(
        &self,
        points: &dyn Points<T>,
        statistics: Statistics<'_, T>,
    ) -> Result<Table<'_>, Error> {
        let data = match statistics {
            Statistics::Batch => {
                self.loss.check_batches()?;
                self.loss.batches()
            }
            Statistics::Stored | Statistics::Recalibrated(_) => {
                std::slice::from_ref(&self.loss.whole)
            }
        };
        let panels: usize = data.iter().map(Data::panels).sum();
        let width = panels * self.measure.numbers();
        let mut numbers = vec![0.0; points.count() * width];
        let order = data.iter().map(|data| data.order.as_slice()).collect();
        if !numbers.is_empty() {
            install(|| match statistics {
                Statistics::Batch => self.by_batch(points, data, &mut numbers),
                _ if points.count() >= 2 * threads() => {
                    self.by_point(points, statistics, &mut numbers)
                }
                _ => self.by_panel(points, statistics, &mut numbers),
            })?;
        }
        Ok(Table { numbers, order, lanes: T::LANES, numbers_of_panel: self.measure.numbers() })
    }

    /// Points side by side. Those of a task take turns at each stretch of panels, so that what is
    /// known of its products is read from a near cache by all but the first.
    fn by_point(
        &self,
        points: &dyn Points<T>,
        statistics: Statistics<'_, T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let (width, panels) = (numbers.len() / points.count(), self.loss.whole.panels());
        let together = self.together(points.count());
        let tasks = numbers.par_chunks_mut(width * together).enumerate();
        tasks.try_for_each(|(task, numbers)| {
            self.loss.rooms.lend(|room| {
                let mut ready = std::mem::take(&mut room.ready);
                ready.resize_with(together, Ready::default);
                for (offset, ready) in ready.iter_mut().enumerate().take(numbers.len() / width) {
                    self.prepare(points, task * together + offset, statistics, room)?;
                    std::mem::swap(ready, &mut room.here);
                }
                for first in (0..panels).step_by(STRETCH) {
                    let stretch = first..panels.min(first + STRETCH);
                    for (offset, numbers) in numbers.chunks_mut(width).enumerate() {
                        std::mem::swap(&mut ready[offset], &mut room.here);
                        self.stretch(task * together + offset, stretch.clone(), room, numbers)?;
                        std::mem::swap(&mut ready[offset], &mut room.here);
                    }
                }
                room.ready = ready;
                Ok(())
            })
        })
    }

    /// How many points take turns: few enough for every thread to have some, and for their packed
    /// numbers to stay in a cache.
    fn together(&self, count: usize) -> usize {
        let bytes = self.loss.network.forward.len() * size_of::<T>();
        (TURNS_BYTES / bytes.max(1)).clamp(1, TURNS).min(count / (2 * threads())).max(1)
    }

    /// One point after the other, panels side by side.
    fn by_panel(
        &self,
        points: &dyn Points<T>,
        statistics: Statistics<'_, T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let width = numbers.len() / points.count().max(1);
        let mut ready = Room::default();
        for (index, numbers) in numbers.chunks_mut(width).enumerate() {
            self.prepare(points, index, statistics, &mut ready)?;
            let tasks = numbers.par_chunks_mut(STRETCH * self.measure.numbers()).enumerate();
            tasks.try_for_each(|(task, numbers)| {
                self.loss.rooms.lend(|room| {
                    room.here.clone_from(&ready.here);
                    for (offset, numbers) in numbers.chunks_mut(self.measure.numbers()).enumerate()
                    {
                        self.panel(index, task * STRETCH + offset, room, numbers)?;
                    }
                    Ok(())
                })
            })?;
        }
        Ok(())
    }

    /// Points and batches side by side; a batch is one pass.
    fn by_batch(
        &self,
        points: &dyn Points<T>,
        batches: &[Data<T>],
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let mut rest = numbers;
        let mut tasks = Vec::new();
        for index in 0..points.count() {
            for batch in batches {
                let (own, others) = rest.split_at_mut(batch.panels() * self.measure.numbers());
                tasks.push((index, batch, own));
                rest = others;
            }
        }
        tasks.into_par_iter().try_for_each(|(index, batch, numbers)| {
            self.cancel.check()?;
            self.loss.rooms.lend(|room| {
                points.pack(index, Rules::Forward, &mut room.here.point);
                let Room { here, values, head, .. } = room;
                let point = &here.point;
                let block = batch.block(0, batch.panels());
                let pass = self.loss.pass(point, &block, Moments::Batch);
                let network = &self.loss.network;
                network.run_through(&pass, block.inputs, values, self.cancel, |_, _| ())?;
                let outputs = network.output_of(block.inputs, values);
                let size = outputs.len() / block.panels();
                let panels = outputs.chunks_exact(size).zip(block.samples.chunks(T::LANES));
                for ((outputs, samples), numbers) in
                    panels.zip(numbers.chunks_mut(self.measure.numbers()))
                {
                    self.measure.fill(outputs, samples, head, numbers);
                }
                Ok(())
            })
        })
    }

    /// Packs a point, with the statistics that are to hold there.
    fn prepare(
        &self,
        points: &dyn Points<T>,
        index: usize,
        statistics: Statistics<'_, T>,
        room: &mut Room<T>,
    ) -> Result<(), Error> {
        points.pack(index, Rules::Forward, &mut room.here.point);
        if let Statistics::Recalibrated(source) = statistics {
            source.recalibrate(room, self.cancel)?;
        }
        let Ready { point, derived } = &mut room.here;
        self.loss.program.derive(&self.loss.network, &point.forward, derived);
        Ok(())
    }

    /// The numbers of some panels, among those of all, at the point that is ready.
    fn stretch(
        &self,
        index: usize,
        panels: Range<usize>,
        room: &mut Room<T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let count = self.measure.numbers();
        panels.into_iter().try_for_each(|panel| {
            self.panel(index, panel, room, &mut numbers[panel * count..][..count])
        })
    }

    /// The numbers of one panel at the point that is ready.
    fn panel(
        &self,
        index: usize,
        panel: usize,
        room: &mut Room<T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        self.cancel.check()?;
        let Room { here, bench, head, .. } = room;
        let block = self.loss.whole.block(panel, 1);
        let pass = self.loss.pass(&here.point, &block, Moments::Stored);
        let (network, feed) = (&self.loss.network, self.known.at(index, panel));
        let program = &self.loss.program;
        let outputs = program.run(network, &pass, &here.derived, block.inputs, &feed, bench);
        self.measure.fill(outputs, block.samples, head, numbers);
        Ok(())
    }
}

/// Numbers of panels at points.
pub(crate) struct Table<'a> {
    /// (points, panels, numbers of a panel).
    pub numbers: Vec<f64>,
    /// Samples in the order of lanes, one slice for each stretch of panels.
    pub order: Vec<&'a [usize]>,
    lanes: usize,
    numbers_of_panel: usize,
}

impl Table<'_> {
    /// Sums over the panels of each point, into (points, numbers).
    pub fn sums(&self, out: &mut [f64]) {
        let count = self.numbers_of_panel;
        let panels: usize = self.order.iter().map(|order| order.len().div_ceil(self.lanes)).sum();
        for (out, panels) in out.chunks_mut(count).zip(self.numbers.chunks(panels.max(1) * count)) {
            out.fill(0.0);
            for numbers in panels.chunks(count) {
                for (sum, number) in out.iter_mut().zip(numbers) {
                    *sum += number;
                }
            }
        }
    }

    /// Numbers that are one a lane, put where their samples belong, into (points, samples).
    pub fn scatter(&self, samples: usize, out: &mut [f64]) {
        let mut numbers = self.numbers.as_slice();
        for out in out.chunks_mut(samples.max(1)) {
            for order in &self.order {
                for samples in order.chunks(self.lanes) {
                    let (panel, rest) = numbers.split_at(self.lanes);
                    for (&sample, &number) in samples.iter().zip(panel) {
                        out[sample] = number;
                    }
                    numbers = rest;
                }
            }
        }
    }
}

impl<T: Real> NetworkLoss<T> {
    /// A pass over a block at a point.
    pub(crate) fn pass<'a>(
        &self,
        point: &'a crate::network::layer::Packed<T>,
        block: &Block<'_, T>,
        moments: Moments,
    ) -> Pass<'a, T> {
        Pass {
            isa: self.isa,
            point,
            direction: None,
            panels: block.panels(),
            samples: block.samples.len(),
            moments,
        }
    }
}
