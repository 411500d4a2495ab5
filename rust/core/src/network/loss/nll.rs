//! Negative log-likelihood of given log-probabilities: −w_y z_y, summed over positions.

use crate::error::{Error, require};
use crate::network::loss::classes::{IGNORED, Labels, class_weights};
use crate::network::loss::panel::{Block, Outputs, Scratch};
use crate::network::loss::softmax::Position;
use crate::network::loss::{Curvature, Hits, Loss, Targets, empirical_fisher};
use crate::network::shape::Shape;

const NAME: &str = "NLL";

pub(super) struct Nll {
    shape: Shape,
    labels: Labels,
    weights: Vec<f64>,
}

impl Nll {
    /// # Errors
    /// [`Error::Invalid`] when targets or weights do not fit the outputs.
    pub fn new(
        targets: Targets,
        shape: Shape,
        weights: Option<Vec<f64>>,
        ignored: i64,
    ) -> Result<Self, Error> {
        let weights = class_weights(NAME, weights, shape)?;
        Ok(Self { shape, labels: Labels::new(NAME, targets, shape, ignored)?, weights })
    }

    /// Calls `work` with the block, its lane, the index among the outputs, and the weight of every label.
    fn each(&self, outputs: &Outputs<'_>, mut work: impl FnMut(&Block<'_>, usize, usize, f64)) {
        for block in outputs.blocks() {
            for position in 0..self.shape.positions() {
                let rows = Position::new(outputs, position, self.shape.positions());
                for (lane, label) in self.labels.at(&block, position).into_iter().enumerate() {
                    if label != IGNORED {
                        let index = rows.row(label as usize) + block.lane(lane);
                        work(&block, lane, index, self.weights[label as usize]);
                    }
                }
            }
        }
    }
}

impl Loss for Nll {
    fn samples(&self) -> usize {
        self.labels.samples()
    }

    fn losses(&self, outputs: &Outputs<'_>, _scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_lanes(self.shape.features(), out);
        out.fill(0.0);
        self.each(outputs, |block, lane, index, weight| {
            out[block.lane(lane)] -= weight * outputs.values[index];
        });
    }

    fn gradients(&self, outputs: &Outputs<'_>, _scratch: &mut Scratch, out: &mut [f64]) {
        outputs.check_all(self.shape.features(), out);
        out.fill(0.0);
        self.each(outputs, |_, _, index, weight| out[index] = -weight);
    }

    fn check_curvature(&self, kind: Curvature) -> Result<(), Error> {
        require!(
            kind != Curvature::Fisher,
            "{NAME} has no likelihood of its lane, so no Fisher matrix; pass another curvature, or \
             cross-entropy on a network without log-softmax"
        );
        Ok(())
    }

    /// The loss is linear in its outputs.
    fn multiply_curvature(
        &self,
        kind: Curvature,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        outputs.check_all(self.shape.features(), out);
        match kind {
            Curvature::Hessian | Curvature::GaussNewton => out.fill(0.0),
            Curvature::EmpiricalFisher => empirical_fisher(self, outputs, tangent, scratch, out),
            Curvature::Fisher => unreachable!("{NAME} has no likelihood"),
        }
    }

    fn hits(&self) -> Option<&dyn Hits> {
        Some(self)
    }
}

impl Hits for Nll {
    fn hits(&self, outputs: &Outputs<'_>, out: &mut [f64]) {
        self.labels.count_hits(outputs, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::network::loss::Curvature;
    use crate::network::loss::checks::{Case, classes};

    #[test]
    fn nll_is_the_weighted_output_at_the_label() {
        let json = r#"{"kind":"nll","weight":[0.5,2],"ignore_index":7}"#;
        let case = Case::new(json, 2, 2, classes(&[1, 0, 7, 1], 2));
        let z = [-1.0, -2.0, -3.0, f64::NEG_INFINITY];
        assert_eq!(case.loss(0, &z), 7.0);
        assert_eq!(case.loss(1, &z), f64::INFINITY);
        assert_eq!(case.gradient(0, &z), [0.0, -0.5, -2.0, 0.0]);
        assert_eq!(case.gradient(1, &z), [0.0, 0.0, 0.0, -2.0], "whatever the outputs are");
        assert_eq!(case.product(Curvature::Hessian, 0, &z, &[1.0; 4]), [0.0; 4]);
        assert_eq!(case.hits(0, &z), 1.0);
        let error = case.loss.check_curvature(Curvature::Fisher).expect_err("no likelihood");
        assert!(error.to_string().contains("no likelihood"), "{error}");
    }
}
