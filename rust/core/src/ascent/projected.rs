//! Projected gradient ascent.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::options::{AscentMethod, AscentOptions};
use super::rule::{Evaluation, Next, Rule};
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// A step of the default length is this share of the radius over the number of steps, so that the
/// boundary can be reached from any start, and followed (Madry et al. 2018).
const LENGTH: f64 = 2.5;

/// u ← P(u + η v) with the steepest direction v of radius 1 and a fixed η.
///
/// One step of the length of the radius from u = 0 is the perturbation of sharpness-aware
/// minimisation: s ρ v, with v = (s g) / ‖s g‖ in the ball.
///
/// # Reference
/// Madry, Makelov, Schmidt, Tsipras, Vladu (2018), *Towards deep learning models resistant to
/// adversarial attacks*; Foret, Kleiner, Mobahi, Neyshabur (2021), *Sharpness-aware minimization for
/// efficiently improving generalization*, equation 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Projected<S>(PhantomData<S>);

impl<S: Scalar> Rule<S> for Projected<S> {
    fn begin(options: &AscentOptions, start: Evaluation<'_, S>) -> (Self, Next<S>) {
        let mut rule = Self(PhantomData);
        let next = rule.advance(options, start);
        (rule, next)
    }

    fn advance(&mut self, options: &AscentOptions, evaluation: Evaluation<'_, S>) -> Next<S> {
        let default = LENGTH / options.steps as f64;
        let share = match options.method {
            AscentMethod::Projected { step } => step.unwrap_or(default),
            _ => default,
        };
        let length = share * options.radius;
        let direction = options.constraint.steepest(evaluation.h);
        let moved: Vec<_> =
            evaluation.u.iter().zip(&direction).map(|(u, v)| u.widen() + length * v).collect();
        Next::Evaluate(options.constraint.project(options.radius, &moved))
    }

    fn vectors(&self) -> Vec<&[S]> {
        Vec::new()
    }

    fn restore(&mut self, vectors: Vec<Vec<S>>) -> Result<(), Error> {
        require!(vectors.is_empty(), "got vectors of a rule that has none; pass its checkpoint");
        Ok(())
    }
}
