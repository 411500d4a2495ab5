//! The workspace of a thread that evaluates a network: buffers that are allocated once.

use crate::network::fused_forward::FusedBuffers;
use crate::network::loss::Scratch;
use crate::network::pass::Packed;
use crate::network::tape::{Tape, TapeTangents, ValueBuffers};

/// Buffers of a thread.
#[derive(Default)]
pub(crate) struct Workspace<T> {
    /// A packed point.
    pub point: Packed<T>,
    /// Points that are evaluated round-robin.
    pub prepared: Vec<PreparedPoint<T>>,
    /// Values of the fused forward pass.
    pub fused: FusedBuffers<T>,
    /// Values of a pass with batch statistics.
    pub values: ValueBuffers<T>,
    /// Values and derivatives of a block.
    pub tape: Tape<T>,
    /// The tangents of the tape.
    pub tangents: TapeTangents<T>,
    /// Buffers of the loss function.
    pub loss: LossBuffers,
    /// The derivative of the loss by a block's outputs, or its tangent.
    pub output_gradient: Vec<T>,
    /// Discarded parameter gradient.
    pub discarded_gradient: Vec<T>,
}

/// A packed point, and the numbers that the fused forward pass derives from it.
#[derive(Default)]
pub(crate) struct PreparedPoint<T> {
    pub point: Packed<T>,
    pub derived: Vec<T>,
}

/// A panel's outputs and what the loss function computes from them, in f64.
#[derive(Default)]
pub(crate) struct LossBuffers {
    pub outputs: Vec<f64>,
    pub tangents: Vec<f64>,
    /// One number for each output.
    pub derivatives: Vec<f64>,
    /// One number for each lane.
    pub lanes: Vec<f64>,
    pub scratch: Scratch,
}
