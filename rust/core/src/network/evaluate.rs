//! The forward pass of all panels at all points, in parallel.
//!
//! A panel writes its own numbers of an array (points, panels, numbers), so that sums over panels have
//! the same bits on any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::data::Data;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::fused_forward::{InputProducts, NoInputProducts};
use crate::network::kernel::Real;
use crate::network::packed_points::PackedPoints;
use crate::network::partial_sums::PartialSums;
use crate::network::pass::Moments;
use crate::network::workspace::{LossBuffers, PreparedPoint, Workspace};
use crate::threads::{install, threads};

/// The number of panels that a task evaluates at one point before its next point.
const RUN: usize = 4;
/// The maximum number of points of a task, which are evaluated round-robin.
const MAX_POINTS_PER_TASK: usize = 8;
/// Bytes that the packed points of a task may take.
const TASK_POINT_BYTES: usize = 4 << 20;
/// Bytes of buffers that stay in the L1 or L2 cache.
const NEAR_CACHE: usize = 128 << 10;

/// Reduces a panel's outputs to a few numbers.
pub(crate) trait Reduction<T>: Sync {
    /// The number of numbers that a panel is reduced to.
    fn numbers(&self) -> usize;

    /// Reduces the outputs of these samples.
    fn fill(&self, outputs: &[T], samples: &[usize], buffers: &mut LossBuffers, out: &mut [f64]);
}

/// Products of the data that are cached before points are evaluated.
pub(crate) trait ProductCache<T>: Sync {
    /// The cached products at a point.
    type Products<'a>: InputProducts<T>
    where
        Self: 'a;

    /// Those of a point, for the panels from `panel` on.
    fn at(&self, point: usize, panel: usize) -> Self::Products<'_>;
}

/// No products are cached.
pub(crate) struct NoCache;

impl<T> ProductCache<T> for NoCache {
    type Products<'a> = NoInputProducts;

    fn at(&self, _: usize, _: usize) -> NoInputProducts {
        NoInputProducts
    }
}

impl<T: Real> DatasetLoss<T> {
    /// The number of panels that are evaluated together and share the loads of weights.
    fn panels_at_once(&self) -> usize {
        let bytes = self.forward.buffer_size::<T>() * size_of::<T>();
        [RUN, RUN / 2].into_iter().find(|panels| panels * bytes <= NEAR_CACHE).unwrap_or(1)
    }
}

/// An evaluation of all panels at points.
pub(crate) struct Evaluation<'a, T, R, C> {
    pub loss: &'a DatasetLoss<T>,
    pub reduction: &'a R,
    pub cache: &'a C,
    pub cancel: &'a Cancel,
}

impl<T: Real, R: Reduction<T>, C: ProductCache<T>> Evaluation<'_, T, R, C> {
    /// The numbers of all panels at all points.
    pub fn run(
        &self,
        points: &dyn PackedPoints<T>,
        statistics: Statistics<'_, T>,
    ) -> Result<PartialSums<'_>, Error> {
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
        let width = panels * self.reduction.numbers();
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
        Ok(PartialSums {
            numbers,
            order,
            lanes: T::LANES,
            numbers_of_panel: self.reduction.numbers(),
        })
    }

    /// Parallel over points. Each task loops over its points inside a run of panels, so that the
    /// cached products of these panels stay in the L2 cache.
    fn by_point(
        &self,
        points: &dyn PackedPoints<T>,
        statistics: Statistics<'_, T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let (width, panels) = (numbers.len() / points.count(), self.loss.whole.panels());
        let count = self.reduction.numbers();
        let per_task = self.points_per_task(points.count());
        let tasks = numbers.par_chunks_mut(width * per_task).enumerate();
        tasks.try_for_each(|(task, numbers)| {
            self.loss.workspaces.with(|workspace| {
                let mut prepared = std::mem::take(&mut workspace.prepared);
                prepared.resize_with(per_task, PreparedPoint::default);
                let used = prepared.iter_mut().take(numbers.len() / width);
                for (offset, prepared) in used.enumerate() {
                    let index = task * per_task + offset;
                    self.prepare(points, index, statistics, prepared, workspace)?;
                }
                for first in (0..panels).step_by(RUN) {
                    let run = first..panels.min(first + RUN);
                    for (offset, numbers) in numbers.chunks_mut(width).enumerate() {
                        let point = (task * per_task + offset, &prepared[offset]);
                        let numbers = &mut numbers[run.start * count..run.end * count];
                        self.evaluate_run(point, run.clone(), workspace, numbers)?;
                    }
                }
                workspace.prepared = prepared;
                Ok(())
            })
        })
    }

    /// The points of a task: few enough for every thread to get some, and for their packed numbers
    /// to stay in a cache.
    fn points_per_task(&self, count: usize) -> usize {
        let numbers = self.loss.network.forward.len() + self.loss.forward.derived();
        let bytes = numbers * size_of::<T>();
        let fitting = (TASK_POINT_BYTES / bytes.max(1)).clamp(1, MAX_POINTS_PER_TASK);
        fitting.min(count / (2 * threads())).max(1)
    }

    /// Parallel over panels, one point after the other.
    fn by_panel(
        &self,
        points: &dyn PackedPoints<T>,
        statistics: Statistics<'_, T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let (count, width) = (self.reduction.numbers(), numbers.len() / points.count().max(1));
        let mut prepared = PreparedPoint::default();
        for (index, numbers) in numbers.chunks_mut(width).enumerate() {
            self.loss.workspaces.with(|workspace| {
                self.prepare(points, index, statistics, &mut prepared, workspace)
            })?;
            let tasks = numbers.par_chunks_mut(RUN * count).enumerate();
            tasks.try_for_each(|(task, numbers)| {
                let first = task * RUN;
                let panels = first..first + numbers.len() / count;
                self.loss.workspaces.with(|workspace| {
                    self.evaluate_run((index, &prepared), panels, workspace, numbers)
                })
            })?;
        }
        Ok(())
    }

    /// Parallel over points and batches; a batch is one pass.
    fn by_batch(
        &self,
        points: &dyn PackedPoints<T>,
        batches: &[Data<T>],
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let mut rest = numbers;
        let mut tasks = Vec::new();
        for index in 0..points.count() {
            for batch in batches {
                let (numbers, others) =
                    rest.split_at_mut(batch.panels() * self.reduction.numbers());
                tasks.push((index, batch, numbers));
                rest = others;
            }
        }
        tasks.into_par_iter().try_for_each(|(index, batch, numbers)| {
            self.cancel.check()?;
            self.loss.workspaces.with(|workspace| {
                let Workspace { point, values, loss: buffers, .. } = workspace;
                points.pack(index, point);
                let block = batch.block(0, batch.panels());
                let pass = self.loss.pass(point, &block, Moments::Batch);
                let network = &self.loss.network;
                network.forward_releasing(&pass, block.inputs, values, self.cancel, |_, _| ())?;
                let outputs = network.output_of(block.inputs, values);
                let size = outputs.len() / block.panels();
                let panels = outputs.chunks_exact(size).zip(block.samples.chunks(T::LANES));
                for ((outputs, samples), numbers) in
                    panels.zip(numbers.chunks_mut(self.reduction.numbers()))
                {
                    self.reduction.fill(outputs, samples, buffers, numbers);
                }
                Ok(())
            })
        })
    }

    /// Packs a point, with re-estimated statistics if they are requested, and derives its numbers.
    fn prepare(
        &self,
        points: &dyn PackedPoints<T>,
        index: usize,
        statistics: Statistics<'_, T>,
        prepared: &mut PreparedPoint<T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), Error> {
        let PreparedPoint { point, derived } = prepared;
        points.pack(index, point);
        if let Statistics::Recalibrated(source) = statistics {
            source.recalibrate(point, &mut workspace.values, self.cancel)?;
        }
        let DatasetLoss { isa, network, forward, .. } = self.loss;
        forward.derive(*isa, network, &point.forward, derived);
        Ok(())
    }

    /// Evaluates a run of panels at a point.
    fn evaluate_run(
        &self,
        (index, prepared): (usize, &PreparedPoint<T>),
        panels: Range<usize>,
        workspace: &mut Workspace<T>,
        numbers: &mut [f64],
    ) -> Result<(), Error> {
        let Workspace { fused, loss: buffers, .. } = workspace;
        let DatasetLoss { network, forward, whole, .. } = self.loss;
        let at_once = self.loss.panels_at_once();
        let count = self.reduction.numbers();
        let chunks = panels.step_by(at_once).zip(numbers.chunks_mut(at_once * count));
        for (first, numbers) in chunks {
            self.cancel.check()?;
            let block = whole.block(first, numbers.len() / count);
            let pass = self.loss.pass(&prepared.point, &block, Moments::Stored);
            let products = self.cache.at(index, first);
            let derived = &prepared.derived;
            let outputs = forward.run(network, &pass, derived, block.inputs, &products, fused);
            let outputs = outputs.chunks_exact(outputs.len() / block.panels());
            let samples = block.samples.chunks(T::LANES);
            for ((outputs, samples), numbers) in outputs.zip(samples).zip(numbers.chunks_mut(count))
            {
                self.reduction.fill(outputs, samples, buffers, numbers);
            }
        }
        Ok(())
    }
}
