//! Every panel of samples at every point: who computes what, and in which order it is put together.
//!
//! A panel fills its own numbers of a table (points, panels, numbers), so that sums over the table
//! have the same bits on any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::data::Data;
use crate::network::kernel::Real;
use crate::network::layer::Moments;
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::points::Points;
use crate::network::program::{Feed, Unfed};
use crate::network::room::{HeadRoom, Ready, Room};
use crate::network::table::Table;
use crate::network::threads::{install, threads};

/// Panels that a task evaluates before it turns to something else.
const STRETCH: usize = 4;
/// The most points that take turns.
const TURNS: usize = 8;
/// Bytes that their packed numbers may take.
const TURNS_BYTES: usize = 4 << 20;
/// Bytes of buffers that stay in a near cache.
const NEAR: usize = 128 << 10;

/// Turns a panel's outputs into its numbers.
pub(crate) trait Measure<T>: Sync {
    /// How many numbers a panel has.
    fn numbers(&self) -> usize;

    /// Fills them from the outputs of these samples.
    fn fill(&self, outputs: &[T], samples: &[usize], room: &mut HeadRoom, out: &mut [f64]);
}

/// What is known of products before a point is evaluated.
pub(crate) trait Known<T>: Sync {
    /// What feeds panels at a point.
    type Feed<'a>: Feed<T>
    where
        Self: 'a;

    /// That of this point and the panels from this one on.
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

impl<T: Real> NetworkLoss<T> {
    /// How many panels run through the program side by side: they share the weights that are read.
    fn panels_at_once(&self) -> usize {
        let bytes = self.program.bench_size::<T>() * size_of::<T>();
        [STRETCH, STRETCH / 2].into_iter().find(|panels| panels * bytes <= NEAR).unwrap_or(1)
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
        let count = self.measure.numbers();
        let together = self.together(points.count());
        let tasks = numbers.par_chunks_mut(width * together).enumerate();
        tasks.try_for_each(|(task, numbers)| {
            self.loss.rooms.lend(|room| {
                let mut ready = std::mem::take(&mut room.ready);
                ready.resize_with(together, Ready::default);
                for (offset, ready) in ready.iter_mut().enumerate().take(numbers.len() / width) {
                    self.prepare(points, task * together + offset, statistics, ready, room)?;
                }
                for first in (0..panels).step_by(STRETCH) {
                    let stretch = first..panels.min(first + STRETCH);
                    for (offset, numbers) in numbers.chunks_mut(width).enumerate() {
                        let here = (task * together + offset, &ready[offset]);
                        let numbers = &mut numbers[stretch.start * count..stretch.end * count];
                        self.stretch(here, stretch.clone(), room, numbers)?;
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
        let numbers = self.loss.network.forward.len() + self.loss.program.derived();
        let bytes = numbers * size_of::<T>();
        (TURNS_BYTES / bytes.max(1)).clamp(1, TURNS).min(count / (2 * threads())).max(1)
    }

    /// One point after the other, panels side by side.
    fn by_panel(
        &self,
        points: &dyn Points<T>,
        statistics: Statistics<'_, T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let (count, width) = (self.measure.numbers(), numbers.len() / points.count().max(1));
        let mut ready = Ready::default();
        for (index, numbers) in numbers.chunks_mut(width).enumerate() {
            self.loss
                .rooms
                .lend(|room| self.prepare(points, index, statistics, &mut ready, room))?;
            let tasks = numbers.par_chunks_mut(STRETCH * count).enumerate();
            tasks.try_for_each(|(task, numbers)| {
                let first = task * STRETCH;
                let panels = first..first + numbers.len() / count;
                self.loss.rooms.lend(|room| self.stretch((index, &ready), panels, room, numbers))
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
                let Room { point, values, head, .. } = room;
                points.pack(index, point);
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
        ready: &mut Ready<T>,
        room: &mut Room<T>,
    ) -> Result<(), Error> {
        let Ready { point, derived } = ready;
        points.pack(index, point);
        if let Statistics::Recalibrated(source) = statistics {
            source.recalibrate(point, &mut room.values, self.cancel)?;
        }
        let NetworkLoss { isa, network, program, .. } = self.loss;
        program.derive(*isa, network, &point.forward, derived);
        Ok(())
    }

    /// The numbers of some panels at a point.
    fn stretch(
        &self,
        (index, ready): (usize, &Ready<T>),
        panels: Range<usize>,
        room: &mut Room<T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let Room { bench, head, .. } = room;
        let NetworkLoss { network, program, whole, .. } = self.loss;
        let together = self.loss.panels_at_once();
        let count = self.measure.numbers();
        let chunks = panels.step_by(together).zip(numbers.chunks_mut(together * count));
        for (first, numbers) in chunks {
            self.cancel.check()?;
            let block = whole.block(first, numbers.len() / count);
            let pass = self.loss.pass(&ready.point, &block, Moments::Stored);
            let feed = self.known.at(index, first);
            let outputs = program.run(network, &pass, &ready.derived, block.inputs, &feed, bench);
            let outputs = outputs.chunks_exact(outputs.len() / block.panels());
            let samples = block.samples.chunks(T::LANES);
            for ((outputs, samples), numbers) in outputs.zip(samples).zip(numbers.chunks_mut(count))
            {
                self.measure.fill(outputs, samples, head, numbers);
            }
        }
        Ok(())
    }
}
