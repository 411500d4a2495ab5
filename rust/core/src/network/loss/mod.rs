//! Losses of network outputs, in f64 from the outputs onward.
//!
//! A loss of a sample is the sum over its elements or positions, as PyTorch's `reduction="sum"`
//! has it; what L is divided by is the caller's business. Outputs come by panels, samples side by
//! side as `[channel][position][lane]`, and every rule works on several lanes at once.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `panel` | panels of outputs, and blocks of their lanes |
//! | `targets` | what outputs are compared with |
//! | `elements` | losses that are sums over elements, by a rule for one |
//! | `mse`, `l1`, `huber`, `bce` | such rules |
//! | `classes` | class labels, weights of classes, right guesses |
//! | `softmax` | what cross-entropy needs of exponentials |
//! | `cross_entropy` with `amounts` and `fisher`, `nll` | losses of classes |
//! | `read` | any of them from JSON |

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for an instruction set only if nothing in it stays a call"
)]

mod amounts;
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
mod softmax;
mod targets;

pub use panel::{Outputs, Scratch};
pub use read::from_json;
pub use targets::Targets;

use crate::error::Error;

/// A symmetric matrix of a sample's outputs z that stands for the second derivative of its loss ℓ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// ∂²ℓ/∂z².
    Hessian,
    /// The same without what is negative, so that the matrix is positive semidefinite: for convex
    /// losses, which all are with weights and targets of the usual signs, exactly the Hessian.
    GaussNewton,
    /// E[s sᵀ], where s = ∂ℓ/∂z at targets drawn from the likelihood that the model claims: labels
    /// from the softmax (cross-entropy) or the sigmoid (BCE), numbers of variance ½ around the
    /// outputs (MSE, since exp(−(z − t)²) is that density). Targets enter by which are ignored.
    Fisher,
    /// s sᵀ at the targets at hand.
    EmpiricalFisher,
}

/// A loss of a network's outputs, with the targets of all samples.
///
/// Every method takes a panel of outputs; `out` has a number for each lane, or for each output.
/// Lanes that hold no sample get 0, whatever their outputs are. Methods panic when the lengths of
/// what they are given do not fit together, which is the network's own fault, never a user's.
pub trait Loss: Send + Sync {
    /// The number of samples that have targets.
    fn samples(&self) -> usize;

    /// ℓ of each lane.
    fn losses(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]);

    /// s = ∂ℓ/∂z of each lane, in the order of the outputs.
    fn gradients(&self, outputs: &Outputs<'_>, scratch: &mut Scratch, out: &mut [f64]);

    /// Asks whether the loss has this curvature.
    ///
    /// # Errors
    /// [`Error::Invalid`] for [`Curvature::Fisher`] where the loss has no likelihood.
    fn check_curvature(&self, kind: Curvature) -> Result<(), Error>;

    /// H t of each lane, in the order of the outputs, as the tangent t is.
    ///
    /// # Panics
    /// For a kind that [`check_curvature`](Self::check_curvature) refuses.
    fn multiply_curvature(
        &self,
        kind: Curvature,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    );

    /// How right guesses are counted; None where a guess is a number and cannot be right.
    fn hits(&self) -> Option<&dyn Hits>;
}

/// A loss whose outputs are guesses.
pub trait Hits {
    /// How many positions or elements of each lane are guessed right.
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
                let mut inner = panel::NOTHING;
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
