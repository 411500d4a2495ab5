//! Hessian and Gauss-Newton products at a point.
//!
//! The R-operator differentiates the gradient's own computation along v (Pearlmutter 1994). With
//! J = ∂outputs/∂θ and the loss's second derivative H_out by the outputs, the Gauss-Newton product
//! Jᵀ H_out J v drops the network's own second derivatives (Schraudolph 2002).

use std::sync::Arc;

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::network::data::Block;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::derivatives::sum_over_groups;
use crate::network::kernel::Real;
use crate::network::loss::Curvature;
use crate::network::packed_points::WeightLayouts;
use crate::network::pass::{Moments, Packed, Pass};
use crate::network::tape::Tape;
use crate::network::workspace::Workspace;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::threads::install;

/// The maximum number of vectors that are multiplied at once and share a block's tape.
const MAX_VECTORS: usize = 8;
/// The maximum bytes of their products where tapes are retained: products that do not fit the near
/// caches cost more than sharing saves.
const PRODUCTS_BYTES: usize = 1 << 20;

/// A curvature of a network's loss at a point.
pub struct NetworkCurvature<T> {
    loss: Arc<DatasetLoss<T>>,
    kind: Curvature,
    moments: Moments,
    scale: f64,
    point: Packed<T>,
    /// The tapes of all blocks, if the memory allows.
    tapes: Option<Vec<Tape<T>>>,
}

/// The kind, the statistics and the scale of a curvature.
pub struct CurvatureOptions<'a, T> {
    /// The kind of curvature.
    pub kind: Curvature,
    /// The source of the statistics of batch normalisation.
    pub statistics: Statistics<'a, T>,
    /// The factor of the sum over the samples.
    pub scale: f64,
    /// Bytes of tapes that may be retained between products.
    pub memory: usize,
}

impl<T: Real> NetworkCurvature<T> {
    /// The curvature at a point of length dim.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another length, statistics without derivatives, or a loss that has no
    /// such curvature.
    pub fn new(
        loss: Arc<DatasetLoss<T>>,
        point: &[T],
        options: &CurvatureOptions<'_, T>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let CurvatureOptions { kind, statistics, scale, memory } = *options;
        require!(
            point.len() == loss.dim(),
            "got a point of {} entries for a network of {} parameters; pass {1}",
            point.len(),
            loss.dim()
        );
        loss.loss_function.check_curvature(kind)?;
        let mut packed = Packed::default();
        loss.network.pack(point, WeightLayouts::ForwardAndBackward, &mut packed);
        let moments = loss.blocks(statistics, None)?.moments;
        let mut curvature = Self { loss, kind, moments, scale, point: packed, tapes: None };
        let lanes: usize = curvature.blocks()?.iter().map(|block| block.panels() * T::LANES).sum();
        if curvature.loss.network.tape_size() * lanes * size_of::<T>() <= memory {
            curvature.tapes = Some(install(|| curvature.record_tapes(cancel))?);
        }
        Ok(curvature)
    }

    /// The loss.
    #[must_use]
    pub fn loss(&self) -> &DatasetLoss<T> {
        &self.loss
    }

    /// Whether tapes are retained between products.
    #[must_use]
    pub fn retained(&self) -> bool {
        self.tapes.is_some()
    }

    fn record_tapes(&self, cancel: &Cancel) -> Result<Vec<Tape<T>>, Error> {
        use rayon::prelude::*;
        let blocks = self.blocks()?;
        let record = |block: &Block<'_, T>| {
            cancel.check()?;
            let mut workspace = Workspace::default();
            self.record_tape(block, &mut workspace);
            Ok(workspace.tape)
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

    /// Records the values of a block, and for the full Hessian its adjoints.
    fn record_tape(&self, block: &Block<'_, T>, workspace: &mut Workspace<T>) {
        self.loss.record_tape(&self.point, block, self.moments, self.scale, workspace);
        if self.kind == Curvature::Hessian {
            let pass = self.loss.pass(&self.point, block, self.moments);
            let Workspace { tape: Tape { values, bars }, discarded_gradient, .. } = workspace;
            discarded_gradient.resize(self.loss.dim(), T::ZERO);
            self.loss.network.backpropagate(&pass, block.inputs, values, bars, discarded_gradient);
        } else {
            workspace.tape.bars.clear();
        }
    }

    fn products(&self, vectors: &[T], out: &mut [T], cancel: &Cancel) -> Result<(), Error> {
        let dim = self.loss.dim();
        let directions: Vec<_> =
            vectors.chunks(dim).map(|vector| self.pack_direction(vector)).collect();
        let blocks: Vec<_> = self.blocks()?.into_iter().enumerate().collect();
        let (_, sums) = sum_over_groups(&blocks, vectors.len(), |group, shares| {
            self.loss.workspaces.with(|workspace| {
                for (index, block) in group {
                    let retained = self.tapes.as_ref().map(|tapes| &tapes[*index]);
                    if retained.is_none() {
                        self.record_tape(block, workspace);
                    }
                    let mut tape = std::mem::take(&mut workspace.tape);
                    for (direction, share) in directions.iter().zip(shares.chunks_mut(dim)) {
                        cancel.check()?;
                        self.add_product(
                            block,
                            retained.unwrap_or(&tape),
                            direction,
                            workspace,
                            share,
                        );
                    }
                    std::mem::swap(&mut workspace.tape, &mut tape);
                }
                Ok(0.0)
            })
        })?;
        for (entry, sum) in out.iter_mut().zip(sums) {
            *entry = T::narrow(sum);
        }
        Ok(())
    }

    fn pack_direction(&self, vector: &[T]) -> Packed<T> {
        let mut direction = Packed::default();
        self.loss.network.pack_direction(vector, WeightLayouts::ForwardAndBackward, &mut direction);
        direction
    }

    /// Adds a block's share of a product.
    fn add_product(
        &self,
        block: &Block<'_, T>,
        tape: &Tape<T>,
        direction: &Packed<T>,
        workspace: &mut Workspace<T>,
        out: &mut [T],
    ) {
        let (network, loss) = (&self.loss.network, &self.loss);
        let pass =
            Pass { direction: Some(direction), ..loss.pass(&self.point, block, self.moments) };
        let Workspace { tangents, loss: buffers, output_gradient, .. } = workspace;
        network.propagate_tangents(&pass, block.inputs, &tape.values, &mut tangents.dots);
        if network.output == 0 {
            return;
        }
        let outputs = &tape.values[network.output];
        let tangent = &tangents.dots[network.output];
        loss.multiply_output_curvature(
            self.kind,
            outputs,
            tangent,
            block.samples,
            self.scale,
            buffers,
            output_gradient,
        );
        network.seed_adjoints(&pass, output_gradient, &mut tangents.bar_dots);
        if self.kind == Curvature::Hessian {
            network.backpropagate_tangents(&pass, block.inputs, tape, tangents, out);
        } else {
            network.backpropagate(&pass, block.inputs, &tape.values, &mut tangents.bar_dots, out);
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
        let fitting = PRODUCTS_BYTES / (dim * size_of::<T>()).max(1);
        let at_once = if self.retained() { fitting.clamp(1, MAX_VECTORS) } else { MAX_VECTORS };
        let chunk = at_once * dim;
        let chunks = block.chunks(chunk).zip(out.chunks_mut(chunk));
        for (vectors, out) in chunks {
            install(|| self.products(vectors, out, cancel))?;
        }
        Ok(())
    }
}
