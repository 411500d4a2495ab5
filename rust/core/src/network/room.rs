//! What one thread needs to evaluate a network: buffers that are made once and used again.

use crate::network::head::Scratch;
use crate::network::layer::Packed;
use crate::network::program::Bench;
use crate::network::tape::{Along, Rooms, Tape};

/// Buffers of a thread.
#[derive(Default)]
pub(crate) struct Room<T> {
    /// A packed point.
    pub point: Packed<T>,
    /// Points that are evaluated in turns.
    pub ready: Vec<Ready<T>>,
    /// Values of the panels that run through the program side by side.
    pub bench: Bench<T>,
    /// Values of a batch that is normalised by itself.
    pub values: Rooms<T>,
    /// Values and derivatives of a block.
    pub tape: Tape<T>,
    /// Their tangents.
    pub along: Along<T>,
    /// A panel's outputs.
    pub head: HeadRoom,
    /// Derivatives by a block's outputs.
    pub slopes: Vec<T>,
    /// A gradient that comes along and that nobody reads.
    pub unwanted: Vec<T>,
}

/// A packed point, and what a program derives from it.
#[derive(Default)]
pub(crate) struct Ready<T> {
    pub point: Packed<T>,
    pub derived: Vec<T>,
}

/// Buffers for a panel's outputs in f64.
#[derive(Default)]
pub(crate) struct HeadRoom {
    pub outputs: Vec<f64>,
    pub tangents: Vec<f64>,
    pub found: Vec<f64>,
    pub lanes: Vec<f64>,
    pub scratch: Scratch,
}
