//! A network with its data and its loss: L as a function of the network's parameters.

use std::sync::OnceLock;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::data::{Block, Data, check_split};
use crate::network::graph::Network;
use crate::network::head::Head;
use crate::network::kernel::Real;
use crate::network::layer::{Moments, Packed, Pass};
use crate::network::program::Program;
use crate::network::room::Room;
use crate::network::threads::Rooms;

/// Where batch normalisation takes its statistics from.
#[derive(Clone, Copy)]
pub enum Statistics<'a, T> {
    /// The running statistics that the network holds.
    Stored,
    /// Re-estimated at every point, on the batches of these data: one pass, in which every layer
    /// normalises by the batch; batch means and unbiased variances are averaged with the batches'
    /// sizes as weights.
    Recalibrated(&'a NetworkLoss<T>),
    /// The batch at hand, in the data's own split.
    Batch,
}

/// The data of a network.
pub struct Samples<T> {
    /// Inputs, row-major (samples, features).
    pub inputs: Vec<T>,
    /// What each sample adds to the denominator of L.
    pub weights: Vec<f64>,
    /// The fixed split into batches, as indices of samples; empty for one batch of all.
    pub split: Vec<Vec<usize>>,
}

/// The sum of a network's losses over samples, and whatever can be derived from it.
pub struct NetworkLoss<T> {
    pub(crate) network: Network<T>,
    pub(crate) head: Box<dyn Head>,
    pub(crate) program: Program,
    pub(crate) isa: Isa,
    pub(crate) weights: Vec<f64>,
    /// All samples in their order.
    pub(crate) whole: Data<T>,
    /// Work rooms, one for each thread that works here.
    pub(crate) rooms: Rooms<Room<T>>,
    split: Vec<Vec<usize>>,
    batches: OnceLock<Vec<Data<T>>>,
    inputs: Vec<T>,
}

impl<T: Real> NetworkLoss<T> {
    /// A network on samples; the head holds their targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] when numbers of inputs, targets, weights or batches do not fit together.
    pub fn new(
        network: Network<T>,
        samples: Samples<T>,
        head: Box<dyn Head>,
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
            head.samples() == count,
            "got targets of {} samples and weights of {count}; pass as many",
            head.samples()
        );
        check_split(&split, count)?;
        let whole = Data::arranged(&inputs, network.input(), (0..count).collect());
        Ok(Self {
            program: Program::new(&network),
            isa: Isa::detect(),
            network,
            head,
            weights,
            whole,
            rooms: Rooms::default(),
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

    /// Numbers that one sample's values and derivatives take.
    #[must_use]
    pub fn tape_size(&self) -> usize {
        self.network.tape_size()
    }

    /// Whether every batch has more than one value per channel of every batch norm: the variance
    /// of a single one is unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a batch has not.
    pub(crate) fn check_batches(&self) -> Result<(), Error> {
        let smallest = self.batches().iter().map(|batch| batch.order.len()).min().unwrap_or(0);
        let norms = self.network.nodes.iter().filter_map(|node| node.layer.as_normalisation());
        for norm in norms {
            require!(
                norm.count(smallest) != 1,
                "got a batch with one value per channel, whose variance is unknown; pass larger \
                 batches"
            );
        }
        Ok(())
    }

    /// The batches of the fixed split, each from a panel of its own.
    pub(crate) fn batches(&self) -> &[Data<T>] {
        self.batches.get_or_init(|| {
            let all = [(0..self.samples()).collect()];
            let split = if self.split.is_empty() { &all[..] } else { &self.split };
            let arranged = |batch: &Vec<usize>| {
                Data::arranged(&self.inputs, self.network.input(), batch.clone())
            };
            split.iter().filter(|batch| !batch.is_empty()).map(arranged).collect()
        })
    }

    /// A pass over a block at a point.
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
