//! Second derivatives at a point, as products with vectors.
//!
//! The R-operator differentiates the gradient's own computation along v (Pearlmutter 1994). With
//! J = ∂outputs/∂θ and the loss's second derivative H_out by the outputs, the Gauss-Newton product
//! Jᵀ H_out J v drops the network's own second derivatives (Schraudolph 2002).

use std::sync::Arc;

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::network::data::Block;
use crate::network::derivatives::total;
use crate::network::head::Curvature;
use crate::network::kernel::Real;
use crate::network::layer::{Moments, Packed, Pass};
use crate::network::loss::{NetworkLoss, Statistics};
use crate::network::points::Rules;
use crate::network::room::Room;
use crate::network::tape::Tape;
use crate::network::threads::install;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// Vectors that share a block's values.
const VECTORS: usize = 8;
/// Bytes that their products may take where the values are kept anyway: from a far cache they would
/// cost more than the sharing saves.
const PRODUCTS_BYTES: usize = 1 << 20;

/// A curvature of a network's loss at a point.
pub struct NetworkCurvature<T> {
    loss: Arc<NetworkLoss<T>>,
    kind: Curvature,
    moments: Moments,
    scale: f64,
    point: Packed<T>,
    /// Values and derivatives of every block, where there is memory for them.
    tapes: Option<Vec<Tape<T>>>,
}

/// Which curvature, in which scale.
pub struct Request<'a, T> {
    /// The matrix.
    pub kind: Curvature,
    /// Where batch normalisation takes its statistics from.
    pub statistics: Statistics<'a, T>,
    /// What the sum over the samples is multiplied by.
    pub scale: f64,
    /// Bytes that may be kept between products.
    pub memory: usize,
}

impl<T: Real> NetworkCurvature<T> {
    /// The curvature at a point of length dim.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another length, statistics without derivatives, or a loss that has no
    /// such curvature.
    pub fn new(
        loss: Arc<NetworkLoss<T>>,
        point: &[T],
        request: &Request<'_, T>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let Request { kind, statistics, scale, memory } = *request;
        require!(
            point.len() == loss.dim(),
            "got a point of {} entries for a network of {} parameters; pass {1}",
            point.len(),
            loss.dim()
        );
        loss.head.admit(kind)?;
        let mut packed = Packed::default();
        loss.network.pack(point, Rules::Both, &mut packed);
        let moments = loss.blocks(statistics, None)?.moments;
        let mut found = Self { loss, kind, moments, scale, point: packed, tapes: None };
        let lanes: usize = found.blocks()?.iter().map(|block| block.panels() * T::LANES).sum();
        if found.loss.network.tape_size() * lanes * size_of::<T>() <= memory {
            found.tapes = Some(install(|| found.recorded(cancel))?);
        }
        Ok(found)
    }

    /// The loss that is curved.
    #[must_use]
    pub fn loss(&self) -> &NetworkLoss<T> {
        &self.loss
    }

    /// Whether values and derivatives are kept between products.
    #[must_use]
    pub fn retained(&self) -> bool {
        self.tapes.is_some()
    }

    fn recorded(&self, cancel: &Cancel) -> Result<Vec<Tape<T>>, Error> {
        use rayon::prelude::*;
        let blocks = self.blocks()?;
        let record = |block: &Block<'_, T>| {
            cancel.check()?;
            let mut room = Room::default();
            self.tape(block, &mut room);
            Ok(room.tape)
        };
        blocks.par_iter().map(record).collect()
    }

    fn blocks(&self) -> Result<Vec<Block<'_, T>>, Error> {
        let statistics = match self.moments {
            Moments::Stored => Statistics::Stored,
            Moments::Batch => Statistics::Batch,
        };
        Ok(self.loss.blocks(statistics, None)?.blocks)
    }

    /// The values of a block, and for the full Hessian its derivatives.
    fn tape(&self, block: &Block<'_, T>, room: &mut Room<T>) {
        self.loss.record(&self.point, block, self.moments, self.scale, room);
        if self.kind == Curvature::Hessian {
            let pass = self.loss.pass(&self.point, block, self.moments);
            let Room { tape: Tape { values, bars }, unwanted, .. } = room;
            unwanted.resize(self.loss.dim(), T::ZERO);
            self.loss.network.pull(&pass, block.inputs, values, bars, unwanted);
        } else {
            room.tape.bars.clear();
        }
    }

    fn products(&self, vectors: &[T], out: &mut [T], cancel: &Cancel) -> Result<(), Error> {
        let dim = self.loss.dim();
        let directions: Vec<_> = vectors.chunks(dim).map(|vector| self.packed(vector)).collect();
        let blocks: Vec<_> = self.blocks()?.into_iter().enumerate().collect();
        let (_, sums) = total(&blocks, vectors.len(), |group, shares| {
            self.loss.rooms.lend(|room| {
                for (index, block) in group {
                    let kept = self.tapes.as_ref().map(|tapes| &tapes[*index]);
                    if kept.is_none() {
                        self.tape(block, room);
                    }
                    let mut tape = std::mem::take(&mut room.tape);
                    for (direction, share) in directions.iter().zip(shares.chunks_mut(dim)) {
                        cancel.check()?;
                        self.add(block, kept.unwrap_or(&tape), direction, room, share);
                    }
                    std::mem::swap(&mut room.tape, &mut tape);
                }
                Ok(0.0)
            })
        })?;
        for (entry, sum) in out.iter_mut().zip(sums) {
            *entry = T::narrow(sum);
        }
        Ok(())
    }

    fn packed(&self, vector: &[T]) -> Packed<T> {
        let mut direction = Packed::default();
        self.loss.network.pack_direction(vector, Rules::Both, &mut direction);
        direction
    }

    /// Adds a block's share of a product.
    fn add(
        &self,
        block: &Block<'_, T>,
        tape: &Tape<T>,
        direction: &Packed<T>,
        room: &mut Room<T>,
        out: &mut [T],
    ) {
        let (network, loss) = (&self.loss.network, &self.loss);
        let pass =
            Pass { direction: Some(direction), ..loss.pass(&self.point, block, self.moments) };
        let Room { along, head, slopes, .. } = room;
        network.push(&pass, block.inputs, &tape.values, &mut along.dots);
        if network.output == 0 {
            return;
        }
        let outputs = &tape.values[network.output];
        let tangent = &along.dots[network.output];
        loss.bend(self.kind, outputs, tangent, block.samples, self.scale, head, slopes);
        network.seed(&pass, slopes, &mut along.bar_dots);
        if self.kind == Curvature::Hessian {
            network.pull_along(&pass, block.inputs, tape, along, out);
        } else {
            network.pull(&pass, block.inputs, &tape.values, &mut along.bar_dots, out);
        }
    }
}

impl<T: Real + Scalar> LinearOperator<T> for NetworkCurvature<T> {
    fn dim(&self) -> usize {
        self.loss.dim()
    }

    fn apply(&self, block: &[T], out: &mut [T], cancel: &Cancel) -> Result<(), Error> {
        let dim = self.loss.dim();
        require!(
            block.len() == out.len() && block.len().is_multiple_of(dim),
            "got {} numbers for vectors of {dim} entries; pass a multiple",
            block.len()
        );
        let near = PRODUCTS_BYTES / (dim * size_of::<T>()).max(1);
        let together = if self.retained() { near.clamp(1, VECTORS) } else { VECTORS };
        let chunk = together * dim;
        let chunks = block.chunks(chunk).zip(out.chunks_mut(chunk));
        for (vectors, out) in chunks {
            install(|| self.products(vectors, out, cancel))?;
        }
        Ok(())
    }
}
