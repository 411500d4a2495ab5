//! Proof that the machine has a register type.

use std::marker::PhantomData;

/// Proof that this machine has registers of type V. Only the dispatch on an
/// [`Isa`](crate::isa::Isa) creates one, so that safe code cannot run instructions that the machine lacks.
pub struct Simd<V>(pub(super) PhantomData<V>);

impl<V> Clone for Simd<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Simd<V> {}
