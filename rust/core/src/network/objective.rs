//! The mean loss of a network as an [`Objective`].

use std::sync::Arc;

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::network::affine_subspace::NetworkSubspace;
use crate::network::curvature::{CurvatureOptions, NetworkCurvature};
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::gradients::GradientOptions;
use crate::network::kernel::Real;
use crate::network::loss::Curvature;
use crate::network::reductions::SampleSum;
use crate::objective::{Objective, Subspace};
use crate::operator::LinearOperator;
use crate::subspace::HostSubspace;

/// L(θ) = Σᵢ ℓᵢ / W under stored statistics, for a network of either precision.
pub struct NetworkObjective<T> {
    loss: Arc<DatasetLoss<T>>,
    scale: f64,
    memory: usize,
}

impl<T: Real> NetworkObjective<T> {
    /// The mean over samples: the sum of losses by the sum W of the samples' weights. Operators may
    /// keep `memory` bytes of what their products share.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the weights do not add up to a positive number.
    pub fn new(loss: Arc<DatasetLoss<T>>, memory: usize) -> Result<Self, Error> {
        let weight: f64 = loss.weights.iter().sum();
        let positive = weight > 0.0;
        require!(positive, "got samples of total weight {weight}; pass one above 0");
        Ok(Self { loss, scale: 1.0 / weight, memory })
    }
}

impl<T: Real> Objective<T> for NetworkObjective<T> {
    fn dim(&self) -> usize {
        self.loss.dim()
    }

    fn losses(&self, points: &[T], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        self.loss.sums(points, &[SampleSum::Loss], Statistics::Stored, cancel, out)?;
        for loss in out {
            *loss *= self.scale;
        }
        Ok(())
    }

    fn gradients(
        &self,
        points: &[T],
        losses: &mut [f64],
        gradients: &mut [T],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let scale = vec![self.scale; losses.len()];
        let scope =
            GradientOptions { statistics: Statistics::Stored, scale: &scale, batches: None };
        self.loss.gradients(points, &scope, cancel, losses, gradients)
    }

    fn curvature_at<'a>(&'a self, point: &[T]) -> Result<Box<dyn LinearOperator<T> + 'a>, Error> {
        let options = CurvatureOptions {
            kind: Curvature::Hessian,
            statistics: Statistics::Stored,
            scale: self.scale,
            memory: self.memory,
        };
        let loss = Arc::clone(&self.loss);
        Ok(Box::new(NetworkCurvature::new(loss, point, &options, &Cancel::new())?))
    }

    fn subspace<'a>(
        &'a self,
        origin: &[T],
        basis: &[&[T]],
    ) -> Result<Box<dyn Subspace + 'a>, Error> {
        let plane = NetworkSubspace::new(Arc::clone(&self.loss), origin, basis, &Cancel::new())?;
        let host = HostSubspace::new(self, origin, basis)?;
        Ok(Box::new(Restricted { scale: self.scale, plane, host }))
    }
}

/// The mean loss on a subspace.
struct Restricted<'a, T: Real> {
    scale: f64,
    plane: NetworkSubspace<T>,
    /// Forms points in full, for gradients.
    host: HostSubspace<'a, T>,
}

impl<T: Real> Subspace for Restricted<'_, T> {
    fn dim(&self) -> usize {
        self.plane.dim()
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        self.plane.sums(coords, &[SampleSum::Loss], Statistics::Stored, cancel, out)?;
        for loss in out {
            *loss *= self.scale;
        }
        Ok(())
    }

    fn gradients(
        &self,
        coords: &[f64],
        losses: &mut [f64],
        gradients: &mut [f64],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.host.gradients(coords, losses, gradients, cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Network, Samples, loss};

    /// The mean of (a x + b − t)² over (x, t) = (0, 1), (1, 3), (2, 5): zero at a = 2, b = 1.
    fn regression() -> NetworkObjective<f64> {
        let graph = r#"{"version": 1, "input": [1], "output": 1, "parameters": [
            {"shape": [1, 1], "offset": 0, "held": false}, {"shape": [1], "offset": 1, "held": false}],
            "nodes": [{"kind": "linear", "inputs": [0], "parameters": [0, 1], "shape": [1]}]}"#;
        let network = Network::from_json(graph, 2, Vec::new()).expect("well formed");
        let targets = loss::Targets::Dense { values: vec![1.0, 3.0, 5.0], width: 1 };
        let loss = loss::from_json(r#"{"kind": "mse"}"#, targets, network.output()).expect("fits");
        let samples =
            Samples { inputs: vec![0.0, 1.0, 2.0], weights: vec![1.0; 3], split: Vec::new() };
        let loss = DatasetLoss::new(network, samples, loss).expect("fits");
        NetworkObjective::new(Arc::new(loss), 1 << 20).expect("positive weight")
    }

    #[test]
    fn least_squares_in_closed_form() {
        let objective = regression();
        let (mut losses, mut gradients) = ([0.0; 2], [0.0; 4]);
        let points = [2.0, 1.0, 3.0, 1.0];
        objective
            .gradients(&points, &mut losses, &mut gradients, &Cancel::new())
            .expect("no failure");
        // With residuals a − 2 times x: the mean of x² is 5/3, that of x is 1.
        let near = |a: f64, b: f64| (a - b).abs() < 1e-14;
        assert!(near(losses[0], 0.0) && near(losses[1], 5.0 / 3.0), "{losses:?}");
        assert!(near(gradients[2], 10.0 / 3.0) && near(gradients[3], 2.0), "{gradients:?}");
        let mut product = [0.0; 2];
        let hessian = objective.curvature_at(&points[..2]).expect("smooth");
        hessian.apply(&[1.0, 0.0], &mut product, &Cancel::new()).expect("no failure");
        assert!(near(product[0], 10.0 / 3.0) && near(product[1], 2.0), "{product:?}");
    }

    #[test]
    fn no_points_have_no_losses() {
        let objective = regression();
        objective.losses(&[], &mut [], &Cancel::new()).expect("nothing to do");
        let plane = objective.subspace(&[2.0, 1.0], &[&[1.0, 1.0]]).expect("fits");
        plane.evaluate(&[], &mut [], &Cancel::new()).expect("nothing to do");
        plane.gradients(&[], &mut [], &mut [], &Cancel::new()).expect("nothing to do");
    }

    #[test]
    fn a_plane_has_the_losses_and_slopes_of_its_points() {
        let objective = regression();
        let plane = objective.subspace(&[2.0, 1.0], &[&[1.0, 1.0]]).expect("fits");
        let (mut values, mut losses, mut slopes) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        plane.evaluate(&[0.0, 0.5], &mut values, &Cancel::new()).expect("no failure");
        plane.gradients(&[0.0, 0.5], &mut losses, &mut slopes, &Cancel::new()).expect("smooth");
        // Along (1, 1) residuals are c (x + 1), whose squares have the mean 14/3.
        assert!((values[1] - 0.25 * 14.0 / 3.0).abs() < 1e-14, "{values:?}");
        assert!((slopes[1] - 14.0 / 3.0).abs() < 1e-14, "{slopes:?}");
        assert_eq!(values, losses);
    }
}
