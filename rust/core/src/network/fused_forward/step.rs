//! The steps of a fused forward pass, with the locations of their inputs and outputs.

use smallvec::SmallVec;

use crate::network::kernel::{FinalActivation, Pool2x2, Rectify};

/// The location of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// The panels' input.
    Input,
    /// A buffer of [`FusedBuffers`](super::FusedBuffers).
    Slot(usize),
}

/// A product with the layers that are fused to it.
#[derive(Clone, Debug)]
pub(super) struct FusedProduct {
    /// The product's own node.
    pub node: usize,
    /// The node of the batch normalisation that is folded into scale and shift.
    pub normalisation: Option<usize>,
    /// The value that is added as a residual.
    pub residual: Option<usize>,
    pub rectify: Rectify,
    pub pool: Option<Pool2x2>,
    /// The activation of a product that reads the network's input. If the product is cached, its
    /// combination is bound by memory, and the activation costs little.
    pub activation: FinalActivation,
    /// The last node that is fused.
    pub end: usize,
    /// The offset of its scale and shift among the derived numbers of a point.
    pub affine: usize,
    /// The offset of its prepared weights among the derived numbers.
    pub prepared: usize,
}

/// The operation of a step.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// One layer.
    Layer { node: usize, in_place: bool },
    /// A product with the layers that are fused to it; `input_product` is its index among the products that read
    /// the network's input.
    Product { fused: FusedProduct, input_product: Option<usize> },
}

/// One step, with the locations of its inputs and the slot of its output.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub operation: Operation,
    pub inputs: SmallVec<[Location; 4]>,
    pub output: usize,
}
