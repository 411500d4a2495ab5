//! The arguments of a layer's rules: the point, the direction, the panels, the values.

use crate::isa::Isa;

/// The source of the mean and variance of batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moments {
    /// The running statistics, which are part of the point.
    Stored,
    /// The batch itself: all panels of the pass are one batch.
    Batch,
}

/// A point or a direction, packed in the layouts that the kernels read.
#[derive(Clone, Debug, Default)]
pub struct Packed<T> {
    /// The layout of the forward rules.
    pub forward: Vec<T>,
    /// The transposed layout of the adjoint rules; empty where only values are computed.
    pub backward: Vec<T>,
}

/// The arguments that all rules of a pass share.
pub struct Pass<'a, T> {
    /// The instruction set.
    pub isa: Isa,
    /// The parameters.
    pub point: &'a Packed<T>,
    /// The direction of a tangent pass.
    pub direction: Option<&'a Packed<T>>,
    /// The number of panels, which are contiguous.
    pub panels: usize,
    /// The number of lanes that hold samples; they come first.
    pub samples: usize,
    /// The source of batch statistics.
    pub moments: Moments,
}

impl<'a, T> Pass<'a, T> {
    /// The packed direction.
    ///
    /// # Panics
    /// Outside of a tangent pass.
    pub fn tangent_direction(&self) -> &'a Packed<T> {
        self.direction.expect("a tangent pass has a direction")
    }
}

/// The primal values that the adjoint and second-order rules of a layer start from.
pub struct Primal<'a, T> {
    /// Inputs.
    pub x: &'a [&'a [T]],
    /// The output.
    pub y: &'a [T],
    /// ȳ = ∂L/∂y.
    pub y_bar: &'a [T],
}

/// The tangents of these values along the direction.
pub struct Tangent<'a, T> {
    /// ẋ; None for inputs that depend on no varied parameter.
    pub x: &'a [Option<&'a [T]>],
    /// The tangent of ȳ.
    pub y_bar: &'a [T],
}
