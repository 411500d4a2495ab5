//! The loss of a network on a data set, as a function of the network's parameters.

use std::sync::OnceLock;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::data::{Block, Data, check_split};
use crate::network::fused_forward::FusedForward;
use crate::network::graph::Network;
use crate::network::kernel::Real;
use crate::network::loss::Loss;
use crate::network::pass::{Moments, Packed, Pass};
use crate::network::workspace::Workspace;
use crate::threads::WorkspacePool;

/// The source of the statistics of batch normalisation.
#[derive(Clone, Copy)]
pub enum Statistics<'a, T> {
    /// The network's running statistics.
    Stored,
    /// Re-estimated at every point, in one pass over the batches of these data in which every layer
    /// normalises by the batch; batch means and unbiased variances are averaged with the batch sizes
    /// as weights.
    Recalibrated(&'a DatasetLoss<T>),
    /// Those of the current batch, in the data's own split.
    Batch,
}

/// The inputs of a data set.
pub struct Samples<T> {
    /// Inputs, row-major (samples, features).
    pub inputs: Vec<T>,
    /// The weight of each sample in the denominator of L.
    pub weights: Vec<f64>,
    /// The fixed split into batches, as indices of samples; empty for one batch of all.
    pub split: Vec<Vec<usize>>,
}

/// The sum of a network's losses over a data set, with its gradients and curvatures.
pub struct DatasetLoss<T> {
    pub(crate) network: Network<T>,
    pub(crate) loss_function: Box<dyn Loss>,
    pub(crate) forward: FusedForward,
    pub(crate) isa: Isa,
    pub(crate) weights: Vec<f64>,
    /// All samples in their order.
    pub(crate) whole: Data<T>,
    /// The workspaces of the threads that evaluate it.
    pub(crate) workspaces: WorkspacePool<Workspace<T>>,
    split: Vec<Vec<usize>>,
    batches: OnceLock<Vec<Data<T>>>,
    inputs: Vec<T>,
}

impl<T: Real> DatasetLoss<T> {
    /// A network on samples, whose targets are part of the loss function.
    ///
    /// # Errors
    /// [`Error::Invalid`] when numbers of inputs, targets, weights or batches do not fit together.
    pub fn new(
        network: Network<T>,
        samples: Samples<T>,
        loss_function: Box<dyn Loss>,
    ) -> Result<Self, Error> {
        let Samples { inputs, weights, split } = samples;
        let (count, features) = (weights.len(), network.input().features());
        require!(
            inputs.len() == count * features,
            "got {} inputs for {count} samples of {features} features; pass {}",
            inputs.len(),
            count * features
        );
        require!(
            loss_function.samples() == count,
            "got targets of {} samples and weights of {count}; pass as many",
            loss_function.samples()
        );
        check_split(&split, count)?;
        let whole = Data::arrange(&inputs, network.input(), (0..count).collect());
        Ok(Self {
            forward: FusedForward::new(&network),
            isa: Isa::detect(),
            network,
            loss_function,
            weights,
            whole,
            workspaces: WorkspacePool::default(),
            split,
            batches: OnceLock::new(),
            inputs,
        })
    }

    /// The number of varied parameters.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.network.dim()
    }

    /// The number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.weights.len()
    }

    /// Multiply-adds of one sample's matrix products.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.network.operations()
    }

    /// Numbers in the tape of one sample: its values and derivatives.
    #[must_use]
    pub fn tape_size(&self) -> usize {
        self.network.tape_size()
    }

    /// Checks that every batch has more than one value per channel of every batch norm, as a variance
    /// needs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch that has one value per channel.
    pub(crate) fn check_batches(&self) -> Result<(), Error> {
        let smallest = self.batches().iter().map(|batch| batch.order.len()).min().unwrap_or(0);
        let norms =
            self.network.nodes.iter().filter_map(|node| node.layer.fusion().normalisation());
        for norm in norms {
            require!(
                norm.count(smallest) != 1,
                "got a batch with one value per channel, whose variance is unknown; pass larger \
                 batches"
            );
        }
        Ok(())
    }

    /// The batches of the fixed split; each starts a new panel.
    pub(crate) fn batches(&self) -> &[Data<T>] {
        self.batches.get_or_init(|| {
            let all = [(0..self.samples()).collect()];
            let split = if self.split.is_empty() { &all[..] } else { &self.split };
            let arrange = |batch: &Vec<usize>| {
                Data::arrange(&self.inputs, self.network.input(), batch.clone())
            };
            split.iter().filter(|batch| !batch.is_empty()).map(arrange).collect()
        })
    }

    /// The arguments of a pass over a block at a point.
    pub(crate) fn pass<'a>(
        &self,
        point: &'a Packed<T>,
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
