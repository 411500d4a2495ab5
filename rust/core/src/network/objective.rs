//! A network's loss as an objective of the solvers.

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
use crate::objective::{BatchedObjective, Objective, Subspace};
use crate::operator::LinearOperator;
use crate::subspace::HostSubspace;

/// The options of an objective: denominators, batch statistics and memory.
pub struct ObjectiveOptions<T: 'static> {
    /// The denominator W of L on all samples.
    pub weight: f64,
    /// The denominators of the mean losses on single batches of the split.
    pub batch_weights: Vec<f64>,
    /// Where batch normalisation takes its statistics from: stored, or of the batch.
    pub statistics: Statistics<'static, T>,
    /// The memory in bytes that a Hessian may use for values shared by its products.
    pub memory: usize,
}

/// L(θ) = Σᵢ ℓᵢ / W for a network of either precision, on all samples and on mini-batches.
pub struct NetworkObjective<T: 'static> {
    loss: Arc<DatasetLoss<T>>,
    options: ObjectiveOptions<T>,
}

impl<T: Real> NetworkObjective<T> {
    /// The objective of a network with its data.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the denominator is not positive.
    pub fn new(loss: Arc<DatasetLoss<T>>, options: ObjectiveOptions<T>) -> Result<Self, Error> {
        let positive = options.weight > 0.0;
        require!(positive, "got samples of total weight {}; pass one above 0", options.weight);
        Ok(Self { loss, options })
    }

    /// The network with its data.
    #[must_use]
    pub fn loss(&self) -> &DatasetLoss<T> {
        &self.loss
    }

    /// ∇²L at a point.
    ///
    /// # Errors
    /// [`Error::Cancelled`] on request.
    pub fn hessian_at(&self, point: &[T], cancel: &Cancel) -> Result<NetworkCurvature<T>, Error> {
        let request = CurvatureOptions {
            kind: Curvature::Hessian,
            statistics: self.options.statistics,
            scale: 1.0 / self.options.weight,
            memory: self.options.memory,
        };
        NetworkCurvature::new(Arc::clone(&self.loss), point, &request, cancel)
    }

    /// Losses and gradients on all samples or on one batch for each point, divided by `weights`.
    ///
    /// A mean over samples of total weight 0 is NaN, and its gradient 0.
    fn weighted_gradients(
        &self,
        points: &[T],
        batches: Option<&[usize]>,
        weights: &[f64],
        (losses, gradients): (&mut [f64], &mut [T]),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let reciprocal = |&weight: &f64| if weight > 0.0 { 1.0 / weight } else { 0.0 };
        let scale: Vec<f64> = weights.iter().map(reciprocal).collect();
        let scope = GradientOptions { statistics: self.options.statistics, scale: &scale, batches };
        self.loss.gradients(points, &scope, cancel, losses, gradients)?;
        for (loss, scale) in losses.iter_mut().zip(scale) {
            if scale == 0.0 {
                *loss = f64::NAN;
            }
        }
        Ok(())
    }
}

impl<T: Real> Objective<T> for NetworkObjective<T> {
    fn dim(&self) -> usize {
        self.loss.dim()
    }

    fn losses(&self, points: &[T], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        self.loss.sums(points, &[SampleSum::Loss], self.options.statistics, cancel, out)?;
        for loss in out {
            *loss /= self.options.weight;
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
        let weights = vec![self.options.weight; losses.len()];
        self.weighted_gradients(points, None, &weights, (losses, gradients), cancel)
    }

    fn curvature_at<'a>(&'a self, point: &[T]) -> Result<Box<dyn LinearOperator<T> + 'a>, Error> {
        Ok(Box::new(self.hessian_at(point, &Cancel::new())?))
    }

    fn subspace<'a>(
        &'a self,
        origin: &[T],
        basis: &[&[T]],
    ) -> Result<Box<dyn Subspace + 'a>, Error> {
        let subspace = NetworkSubspace::new(Arc::clone(&self.loss), origin, basis, &Cancel::new())?;
        let host = HostSubspace::new(self, origin, basis)?;
        Ok(Box::new(MeanLossSubspace { options: &self.options, subspace, host }))
    }
}

impl<T: Real> BatchedObjective<T> for NetworkObjective<T> {
    fn batches(&self) -> Result<usize, Error> {
        Ok(self.options.batch_weights.len())
    }

    fn gradients_on(
        &self,
        points: &[T],
        batches: &[usize],
        losses: &mut [f64],
        gradients: &mut [T],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let known = self.options.batch_weights.len();
        if let Some(batch) = batches.iter().find(|batch| **batch >= known) {
            return Err(Error::Invalid(format!("got batch {batch}; there are {known}")));
        }
        let weights: Vec<f64> =
            batches.iter().map(|&batch| self.options.batch_weights[batch]).collect();
        self.weighted_gradients(points, Some(batches), &weights, (losses, gradients), cancel)
    }
}

/// L on an affine subspace.
struct MeanLossSubspace<'a, T: Real> {
    options: &'a ObjectiveOptions<T>,
    subspace: NetworkSubspace<T>,
    /// Computes the points themselves, for gradients.
    host: HostSubspace<'a, T>,
}

impl<T: Real> Subspace for MeanLossSubspace<'_, T> {
    fn dim(&self) -> usize {
        self.subspace.dim()
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        self.subspace.sums(coords, &[SampleSum::Loss], self.options.statistics, cancel, out)?;
        for loss in out {
            *loss /= self.options.weight;
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
        let samples = Samples {
            inputs: vec![0.0, 1.0, 2.0],
            weights: vec![1.0; 3],
            split: vec![vec![0], vec![1, 2]],
        };
        let loss = DatasetLoss::new(network, samples, loss).expect("fits");
        let options = ObjectiveOptions {
            weight: 3.0,
            batch_weights: vec![1.0, 2.0],
            statistics: Statistics::Stored,
            memory: 1 << 20,
        };
        NetworkObjective::new(Arc::new(loss), options).expect("positive weight")
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
        let is_close = |a: f64, b: f64| (a - b).abs() < 1e-14;
        assert!(is_close(losses[0], 0.0) && is_close(losses[1], 5.0 / 3.0), "{losses:?}");
        assert!(is_close(gradients[2], 10.0 / 3.0) && is_close(gradients[3], 2.0), "{gradients:?}");
        let mut product = [0.0; 2];
        let hessian = objective.curvature_at(&points[..2]).expect("smooth");
        hessian.apply(&[1.0, 0.0], &mut product, &Cancel::new()).expect("no failure");
        assert!(is_close(product[0], 10.0 / 3.0) && is_close(product[1], 2.0), "{product:?}");
    }

    #[test]
    fn batches_have_their_own_means() {
        let objective = regression();
        let (mut losses, mut gradients) = ([0.0; 2], [0.0; 4]);
        let points = [3.0, 1.0, 3.0, 1.0];
        objective
            .gradients_on(&points, &[0, 1], &mut losses, &mut gradients, &Cancel::new())
            .expect("no failure");
        // Residuals are x: that of the first sample is 0, those of the others are 1 and 2.
        assert_eq!(losses, [0.0, 2.5]);
        assert_eq!(gradients, [0.0, 0.0, 5.0, 3.0]);
        let unknown =
            objective.gradients_on(&[0.0; 2], &[2], &mut [0.0], &mut [0.0; 2], &Cancel::new());
        assert!(unknown.expect_err("two batches").to_string().contains("batch 2; there are 2"));
    }

    #[test]
    fn no_points_have_no_losses() {
        let objective = regression();
        objective.losses(&[], &mut [], &Cancel::new()).expect("nothing to do");
        let subspace = objective.subspace(&[2.0, 1.0], &[&[1.0, 1.0]]).expect("fits");
        subspace.evaluate(&[], &mut [], &Cancel::new()).expect("nothing to do");
        subspace.gradients(&[], &mut [], &mut [], &Cancel::new()).expect("nothing to do");
    }

    #[test]
    fn subspaces_have_the_losses_and_derivatives_of_their_points() {
        let objective = regression();
        let subspace = objective.subspace(&[2.0, 1.0], &[&[1.0, 1.0]]).expect("fits");
        let (mut values, mut losses, mut derivatives) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        subspace.evaluate(&[0.0, 0.5], &mut values, &Cancel::new()).expect("no failure");
        subspace
            .gradients(&[0.0, 0.5], &mut losses, &mut derivatives, &Cancel::new())
            .expect("smooth");
        // Along (1, 1) residuals are c (x + 1), whose squares have the mean 14/3.
        assert!((values[1] - 0.25 * 14.0 / 3.0).abs() < 1e-14, "{values:?}");
        assert!((derivatives[1] - 14.0 / 3.0).abs() < 1e-14, "{derivatives:?}");
        // Losses alone are divided by the weight; those of gradients are scaled by its reciprocal.
        let last_bit = |(a, b): (&f64, &f64)| (a - b).abs() <= f64::EPSILON * a.abs();
        assert!(values.iter().zip(&losses).all(last_bit), "{values:?} {losses:?}");
    }
}
