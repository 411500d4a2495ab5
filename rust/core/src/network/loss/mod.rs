//! Loss functions of network outputs, in f64 from the outputs onward.
//!
//! The loss of a sample is the sum over its elements or positions, as with PyTorch's
//! `reduction="sum"`; the caller divides. Outputs come in panels, `[channel][position][lane]` with the
//! samples as lanes, and every rule works on several lanes at once.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `panel` | panels of outputs, and blocks of their lanes |
//! | `targets` | targets of all samples |
//! | `elements` | losses that are sums over elements, from a rule for one element |
//! | `mse`, `l1`, `huber`, `bce` | rules for one element |
//! | `classes` | class labels, class weights, correct predictions |
//! | `softmax` | softmax and log-softmax without cancellation |
//! | `soft_targets` | coefficients of cross-entropy: labels, smoothing, class weights |
//! | `cross_entropy` | cross-entropy with logits |
//! | `fisher` | the Fisher matrix of cross-entropy |
//! | `nll` | negative log-likelihood |
//! | `read` | any loss from JSON |

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for an instruction set only if its body is inlined"
)]

mod bce;
#[cfg(test)]
mod checks;
mod classes;
mod cross_entropy;
mod elements;
mod fisher;
mod huber;
mod l1;
mod mse;
mod nll;
mod panel;
mod read;
mod soft_targets;
mod softmax;
mod targets;

pub use panel::{Outputs, Scratch};
pub use read::from_json;
pub use targets::Targets;

use crate::error::Error;

/// A curvature of a sample's loss ℓ as a function of its outputs z: a symmetric matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// ∂²ℓ/∂z².
    Hessian,
    /// The positive semidefinite part of the Hessian: all of it where the loss is convex, as all
    /// losses are with weights and targets of the usual signs.
    GaussNewton,
    /// E[s sᵀ], where s = ∂ℓ/∂z at targets drawn from the model's own likelihood: labels
    /// from the softmax (cross-entropy) or the sigmoid (BCE), numbers of variance ½ around the
    /// outputs (MSE, since exp(−(z − t)²) is that density). Targets enter by which are ignored.
    Fisher,
    /// s sᵀ at the actual targets.
    EmpiricalFisher,
}

/// A loss function of a network's outputs, with the targets of all samples.
///
/// Every method takes a panel of outputs; `out` has one number for each lane, or for each output.
/// Lanes that hold no sample get 0, whatever their outputs are. Methods panic when lengths do not
/// fit together, which is a bug of the network, never a user's error.
pub trait Loss: Send + Sync {
    /// The number of samples that have targets.
    fn samples(&self) -> usize;

    /// ℓ of each lane.
    fn losses(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]);

    /// s = ∂ℓ/∂z of each lane, in the order of the outputs.
    fn gradients(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]);

    /// Checks that the loss defines this curvature.
    ///
    /// # Errors
    /// [`Error::Invalid`] for [`Curvature::Fisher`] where the loss has no likelihood.
    fn check_curvature(&self, kind: Curvature) -> Result<(), Error>;

    /// H t of each lane for a tangent t, both in the order of the outputs.
    ///
    /// # Panics
    /// For a kind that [`check_curvature`](Self::check_curvature) rejects.
    fn multiply_curvature(
        &self,
        kind: Curvature,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    );

    /// Counts correct predictions; None for regression losses.
    fn hits(&self) -> Option<&dyn Hits>;
}

/// A loss whose outputs predict classes.
pub trait Hits {
    /// The number of positions or elements of each lane that are predicted correctly.
    fn hits(&self, outputs: &Outputs<'_>, out: &mut [f64]);
}

/// s (sᵀ t) of each lane: the empirical Fisher product of any loss.
fn empirical_fisher(
    loss: &dyn Loss,
    outputs: &Outputs<'_>,
    tangent: &[f64],
    scratch: &mut Scratch,
    out: &mut [f64],
) {
    outputs.check(tangent);
    loss.gradients(outputs, scratch, out);
    outputs.isa.run(
        #[inline(always)]
        || {
            for block in outputs.blocks() {
                let mut inner = panel::ZEROS;
                for row in (0..out.len()).step_by(outputs.lanes) {
                    let (s, t) = (block.read(out, row), block.read(tangent, row));
                    inner = std::array::from_fn(|i| inner[i] + s[i] * t[i]);
                }
                for row in (0..out.len()).step_by(outputs.lanes) {
                    let s = block.read(out, row);
                    block.write(out, row, std::array::from_fn(|i| s[i] * inner[i]));
                }
            }
        },
    );
}
