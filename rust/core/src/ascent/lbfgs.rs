//! Projected L-BFGS with a line search.

use serde::{Deserialize, Serialize};

use super::constraint::Constraint;
use super::curvature_pairs::CurvaturePairs;
use super::options::{AscentMethod, AscentOptions};
use super::rule::{Evaluation, Next, Rule};
use crate::error::{Error, require};
use crate::scalar::Scalar;
use crate::solver::Status;
use crate::vector::{inner_product, norm};

/// The share of the linear model's increase that a step must gain (Armijo 1966).
const SUFFICIENT: f64 = 1e-4;
/// A failed step is shortened by a factor in this range.
const SHORTEN: (f64, f64) = (0.1, 0.5);
/// Evaluations of a line search, after which its direction is given up.
const MAX_FAILURES: usize = 12;
/// Halvings without an evaluation, where a projected step does not lead up.
const MAX_HALVINGS: usize = 40;
/// The length of a step without curvature as a share of the radius: the diameter.
const FIRST_STEP: f64 = 2.0;
/// Coordinates of a box whose distance to a bound is below this share of the radius are moved to it
/// where the gradient points there; the share decreases with the projected gradient.
const NEAR: f64 = 1e-3;

/// A quasi-Newton method in the active set, with backtracking along the projection arc P(u + t d).
///
/// In the box, coordinates at a bound to which the gradient points are active; of the others d is the
/// L-BFGS direction (two-metric projection). In the ball, a point on the sphere whose gradient
/// h points outwards is followed along the sphere: with λ = ⟨h, u⟩/ρ² the tangent part h − λ u is the
/// gradient of the Lagrangian, and the pairs are its differences, projected onto the tangent space of
/// each new point, so that L-BFGS learns the Hessian H − λ of the Lagrangian, which is negative at a
/// maximum also where the loss is convex. Without a usable pair d is (h − λ u)/λ on the sphere, which
/// is exact for linear functions, and else the steepest direction with the length of the diameter.
///
/// # Reference
/// Bertsekas (1982), *Projected Newton methods for optimization problems with simple constraints*;
/// Nocedal, Wright (2006), *Numerical optimization*, section 7.2; Absil, Mahony, Sepulchre
/// (2008), *Optimization algorithms on matrix manifolds*, section 4.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Default")]
pub(super) struct Lbfgs<S> {
    /// At the point from which the line search starts.
    loss: f64,
    /// The norm of the largest gradient so far.
    largest: f64,
    /// The factor t of the direction that is tried, and those that failed.
    length: f64,
    failures: usize,
    /// The increase of the linear model at the point that is tried.
    increase: f64,
    is_on_sphere: bool,
    #[serde(skip)]
    u: Vec<S>,
    #[serde(skip)]
    h: Vec<S>,
    #[serde(skip)]
    direction: Vec<S>,
    #[serde(skip)]
    pairs: CurvaturePairs<S>,
}

impl<S: Scalar> Lbfgs<S> {
    /// λ = ⟨h, u⟩/ρ².
    fn multiplier(&self, radius: f64) -> f64 {
        inner_product(&self.h, &self.u) / (radius * radius)
    }

    /// The gradient without what the active constraints take up.
    fn projected_gradient(&self, options: &AscentOptions) -> Vec<f64> {
        match options.constraint {
            Constraint::Ball if self.is_on_sphere => tangent(&self.h, &self.u),
            Constraint::Ball => self.h.iter().map(|slope| slope.widen()).collect(),
            Constraint::Box => self.free_part(&self.free(options.radius, 0.0)),
        }
    }

    /// The gradient by free coordinates; 0 for the others.
    fn free_part(&self, free: &[bool]) -> Vec<f64> {
        let entry = |(slope, free): (&S, &bool)| if *free { slope.widen() } else { 0.0 };
        self.h.iter().zip(free).map(entry).collect()
    }

    /// Whether each coordinate of a box is free: not within a share of the radius of the bound to which
    /// the gradient points.
    fn free(&self, radius: f64, share: f64) -> Vec<bool> {
        let bound = S::narrow(radius).widen() * (1.0 - share);
        let is_free = |(u, slope): (&S, &S)| {
            let (u, slope) = (u.widen(), slope.widen());
            !(u >= bound && slope > 0.0 || u <= -bound && slope < 0.0)
        };
        self.u.iter().zip(&self.h).map(is_free).collect()
    }

    /// The direction with curvature, where there is any.
    fn newton_direction(&self, options: &AscentOptions, gradient: &[f64]) -> Option<Vec<f64>> {
        if options.constraint == Constraint::Ball {
            return self.pairs.newton_direction(gradient, &vec![true; gradient.len()]);
        }
        let free = self.free(options.radius, NEAR * norm(gradient) / self.largest);
        let mut direction = self.pairs.newton_direction(&self.free_part(&free), &free)?;
        for ((entry, slope), is_free) in direction.iter_mut().zip(&self.h).zip(&free) {
            if !is_free {
                *entry = options.radius * slope.widen().signum();
            }
        }
        Some(direction)
    }

    /// The direction without curvature.
    fn plain_direction(&self, options: &AscentOptions, gradient: &[f64]) -> Vec<f64> {
        if self.is_on_sphere {
            let multiplier = self.multiplier(options.radius);
            return gradient.iter().map(|slope| slope / multiplier).collect();
        }
        let length = FIRST_STEP * options.radius;
        options.constraint.steepest(&self.h).iter().map(|entry| length * entry).collect()
    }

    /// The first point of a line search from the current point, or the end.
    fn start_search(&mut self, options: &AscentOptions) -> Next<S> {
        let tolerance = match options.method {
            AscentMethod::Lbfgs { tolerance } => tolerance,
            _ => 0.0,
        };
        let gradient = self.projected_gradient(options);
        if norm(&gradient) <= tolerance * self.largest {
            return Next::End(Status::Converged);
        }
        if let Some(direction) = self.newton_direction(options, &gradient)
            && let Some(trial) = self.search_along(options, &direction)
        {
            return Next::Evaluate(trial);
        }
        self.restart_search(options)
    }

    /// The same without the pairs.
    fn restart_search(&mut self, options: &AscentOptions) -> Next<S> {
        self.pairs.clear();
        let direction = self.plain_direction(options, &self.projected_gradient(options));
        match self.search_along(options, &direction) {
            Some(trial) => Next::Evaluate(trial),
            None => Next::End(Status::Stalled),
        }
    }

    fn search_along(&mut self, options: &AscentOptions, direction: &[f64]) -> Option<Vec<S>> {
        self.direction = direction.iter().map(|entry| S::narrow(*entry)).collect();
        (self.length, self.failures) = (1.0, 0);
        self.trial(options)
    }

    /// The point P(u + t d) with a linear model that leads up, for the current t or a smaller one. None
    /// where it leads up by less than the rounding of the loss, which no evaluation could show.
    fn trial(&mut self, options: &AscentOptions) -> Option<Vec<S>> {
        let rounding = S::EPSILON * self.loss.abs();
        for _ in 0..MAX_HALVINGS {
            let step = |(u, d): (&S, &S)| u.widen() + self.length * d.widen();
            let moved: Vec<_> = self.u.iter().zip(&self.direction).map(step).collect();
            let trial: Vec<S> = options.constraint.project(options.radius, &moved);
            self.increase = inner_product(&self.h, &difference(&trial, &self.u));
            if self.increase > 0.0 && self.increase.is_finite() {
                return (self.increase > rounding).then_some(trial);
            }
            self.length /= 2.0;
        }
        None
    }

    /// Shortens a step that failed, to the maximum of a parabola where that is sensible.
    fn backtrack(&mut self, options: &AscentOptions, loss: f64) -> Next<S> {
        self.failures += 1;
        if self.failures < MAX_FAILURES {
            let missing = self.increase - (loss - self.loss);
            self.length *= (self.increase / (2.0 * missing)).clamp(SHORTEN.0, SHORTEN.1);
            if let Some(trial) = self.trial(options) {
                return Next::Evaluate(trial);
            }
        }
        if self.pairs.is_empty() {
            Next::End(Status::Stalled)
        } else {
            self.restart_search(options)
        }
    }

    /// Moves to an evaluated point, and learns the curvature between.
    fn accept(&mut self, options: &AscentOptions, evaluation: Evaluation<'_, S>) {
        let before = self.projected_gradient(options);
        let (u, h) = (evaluation.u.to_vec(), evaluation.h.to_vec());
        let (last_u, last_h) =
            (std::mem::replace(&mut self.u, u), std::mem::replace(&mut self.h, h));
        let was_on_sphere = self.is_on_sphere;
        self.loss = evaluation.loss;
        self.largest = self.largest.max(norm(&self.h));
        self.is_on_sphere = self.follows_sphere(options);
        let s = difference(&self.u, &last_u);
        if self.is_on_sphere != was_on_sphere {
            self.pairs.clear();
        } else if self.is_on_sphere {
            let u = self.u.clone();
            self.pairs.map(|vector| *vector = narrow(&tangent(vector, &u)));
            let y = difference(&before, &self.projected_gradient(options));
            self.pairs.push(narrow(&tangent(&s, &u)), narrow(&tangent(&narrow::<S>(&y), &u)));
        } else {
            let y = difference(&last_h, &self.h);
            self.pairs.push(s, y);
        }
    }

    /// Whether the point is on the sphere of a ball, with a gradient that points outwards.
    fn follows_sphere(&self, options: &AscentOptions) -> bool {
        options.constraint.is_on_sphere(options.radius, &self.u)
            && self.multiplier(options.radius) > 0.0
    }
}

impl<S: Scalar> Rule<S> for Lbfgs<S> {
    fn begin(options: &AscentOptions, start: Evaluation<'_, S>) -> (Self, Next<S>) {
        let mut rule = Self {
            loss: start.loss,
            largest: norm(start.h),
            length: 1.0,
            failures: 0,
            increase: 0.0,
            is_on_sphere: false,
            u: start.u.to_vec(),
            h: start.h.to_vec(),
            direction: Vec::new(),
            pairs: CurvaturePairs::default(),
        };
        rule.is_on_sphere = rule.follows_sphere(options);
        let next = rule.start_search(options);
        (rule, next)
    }

    fn advance(&mut self, options: &AscentOptions, evaluation: Evaluation<'_, S>) -> Next<S> {
        if evaluation.loss - self.loss < SUFFICIENT * self.increase {
            return self.backtrack(options, evaluation.loss);
        }
        self.accept(options, evaluation);
        self.start_search(options)
    }

    fn vectors(&self) -> Vec<&[S]> {
        let own: [&[S]; 3] = [&self.u, &self.h, &self.direction];
        own.into_iter().chain(self.pairs.vectors()).collect()
    }

    fn restore(&mut self, mut vectors: Vec<Vec<S>>) -> Result<(), Error> {
        let count = vectors.len();
        let pairs = (count >= 3).then(|| CurvaturePairs::from_vectors(vectors.split_off(3)));
        let own = <[Vec<S>; 3]>::try_from(vectors);
        let (Some(pairs), Ok([u, h, direction])) = (pairs.flatten(), own) else {
            return Err(Error::Invalid(format!(
                "got {count} vectors of L-BFGS; pass those of its checkpoint"
            )));
        };
        let positive = [self.largest, self.length, self.increase];
        require!(
            self.loss.is_finite()
                && positive.iter().all(|n| n.is_finite() && *n >= 0.0)
                && self.failures < MAX_FAILURES,
            "got a state of L-BFGS that cannot be; pass that of its checkpoint"
        );
        (self.u, self.h, self.direction, self.pairs) = (u, h, direction, pairs);
        Ok(())
    }
}

/// v − u ⟨v, u⟩/⟨u, u⟩.
fn tangent<S: Scalar>(v: &[S], u: &[S]) -> Vec<f64> {
    let share = inner_product(v, u) / inner_product(u, u);
    v.iter().zip(u).map(|(v, u)| v.widen() - share * u.widen()).collect()
}

fn difference<S: Scalar>(left: &[S], right: &[S]) -> Vec<S> {
    left.iter().zip(right).map(|(a, b)| S::narrow(a.widen() - b.widen())).collect()
}

fn narrow<S: Scalar>(values: &[f64]) -> Vec<S> {
    values.iter().map(|value| S::narrow(*value)).collect()
}
