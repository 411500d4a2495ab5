//! The role of a layer in a fused forward pass.

use std::ops::Range;

use crate::isa::Isa;
use crate::network::kernel::{Epilogue, Pool2x2};
use crate::network::pass::Pass;

/// The role of a layer, by which the steps of the pass are planned.
pub enum Fusion<'a, T> {
    /// The layer is evaluated by its forward rule.
    None,
    /// A matrix product, whose epilogue can absorb the layers that follow.
    Product(&'a dyn MatrixProduct<T>),
    /// y = scale x + shift per channel at a point: absorbed by the epilogue of a product.
    Normalisation(&'a dyn Normalisation<T>),
    /// x₀ + x₁: absorbed as a residual.
    Sum,
    /// max(0, x): absorbed by the epilogue of a product.
    Relu,
    /// tanh x: absorbed by a combination of cached products.
    Tanh,
    /// 2 × 2 max-pooling: absorbed by the epilogue of a product.
    MaxPool(Pool2x2),
}

impl<'a, T> Fusion<'a, T> {
    /// The matrix product, if the layer is one.
    pub fn product(self) -> Option<&'a dyn MatrixProduct<T>> {
        match self {
            Self::Product(product) => Some(product),
            _ => None,
        }
    }

    /// The normalisation, if the layer is one.
    pub fn normalisation(self) -> Option<&'a dyn Normalisation<T>> {
        match self {
            Self::Normalisation(normalisation) => Some(normalisation),
            _ => None,
        }
    }
}

/// A layer W x + b.
pub trait MatrixProduct<T>: Sync {
    /// Multiply-adds for one sample.
    fn operations(&self) -> usize;

    /// The range of the weights in a packed point.
    fn weights(&self) -> Range<usize>;

    /// The number of terms in one sum.
    fn depth(&self) -> usize;

    /// Numbers in a panel's output.
    fn output_size(&self) -> usize;

    /// The length of the prepared weights; 0 where the packed weights are used directly.
    fn prepared_len(&self) -> usize;

    /// Prepares the weights of a packed point.
    fn prepare(&self, isa: Isa, forward: &[T], prepared: &mut [T]);

    /// The bias at a packed point.
    fn bias<'p>(&self, forward: &'p [T]) -> Option<&'p [T]>;

    /// y = epilogue(W x) at the pass's point. `prepared` are the prepared weights, or empty.
    fn multiply(
        &self,
        pass: &Pass<'_, T>,
        prepared: &[T],
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    );
}

/// A layer that normalises each channel by a mean and a variance.
pub trait Normalisation<T> {
    /// The number of channels.
    fn channels(&self) -> usize;

    /// The number of values per channel in a batch.
    fn count(&self, samples: usize) -> usize;

    /// Scale and shift of every channel under running statistics, of a product with this bias.
    fn affine(&self, forward: &[T], bias: Option<&[T]>, scale: &mut [T], shift: &mut [T]);

    /// Mean and biased variance of every channel of a batch.
    fn statistics(&self, pass: &Pass<'_, T>, x: &[T]) -> Vec<(f64, f64)>;

    /// Replaces the running statistics of a packed point.
    fn store(&self, forward: &mut [T], statistics: &[(f64, f64)]);
}
