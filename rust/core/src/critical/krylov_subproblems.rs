//! Problems projected on a Krylov space: least squares within a radius, and the inverse of |T|.

use std::f64::consts::SQRT_2;

use crate::scalar::Scalar;
use crate::spectrum::{KrylovSpace, eigh};

/// Singular values below this many units of rounding of the largest count as zero.
const RANK: f64 = 16.0;
/// Bisections for the damping of a solution of given length.
const BISECTIONS: usize = 60;

/// A singular triplet of T̲: σ, the component of β e₁ along the left vector, and the right vector.
#[derive(Clone, Debug, PartialEq)]
struct Triplet {
    sigma: f64,
    component: f64,
    right: Vec<f64>,
}

/// A solution of the least-squares problem within a radius.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solution {
    /// y, the coefficients of the step p = V y.
    pub y: Vec<f64>,
    /// ‖y‖ = ‖p‖.
    pub length: f64,
    /// ‖β e₁‖² − ‖T̲ y + β e₁‖², the predicted decrease of ‖g‖².
    pub decrease: f64,
}

/// min ‖T̲ y + β e₁‖, where T̲ is T with the row of the coupling that leads out of the space.
///
/// With p = V y this is min ‖H p + g‖ over the Krylov space of g.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LeastSquares {
    triplets: Vec<Triplet>,
    /// T̲ y + β e₁ for the minimum-norm solution y.
    residual: Vec<f64>,
    /// Its norm.
    pub residual_norm: f64,
    /// ‖T̲‖.
    largest: f64,
}

impl LeastSquares {
    /// The problem of the space's own start vector.
    ///
    /// The singular values are computed as eigenvalues ±σ of (0, T̲; T̲ᵀ, 0), whose error is rounding
    /// of σ₁; the eigenvalues of T̲ᵀT̲ would have that of σ₁².
    pub fn from_space<S: Scalar>(space: &KrylovSpace<S>) -> Self {
        let (order, tall) = (space.order(), space.order() + 1);
        let mut matrix = space.matrix();
        let mut last = vec![0.0; order];
        if let Some(entry) = last.last_mut() {
            *entry = space.coupling();
        }
        matrix.push(last);
        let mut augmented = vec![vec![0.0; tall + order]; tall + order];
        for (i, row) in matrix.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                (augmented[i][tall + j], augmented[tall + j][i]) = (*value, *value);
            }
        }
        let pairs = eigh(&augmented);
        let largest = pairs.values.last().copied().unwrap_or(0.0);
        let mut residual = vec![0.0; tall];
        residual[0] = space.start_norm();
        let mut triplets = Vec::new();
        for (value, vector) in pairs.values.iter().zip(&pairs.vectors) {
            if *value > RANK * S::EPSILON * largest {
                // The eigenvectors of ±σ are (u, ±v)/√2.
                let unit: Vec<f64> = vector.iter().map(|x| x * SQRT_2).collect();
                let component = space.start_norm() * unit[0];
                for (entry, u) in residual.iter_mut().zip(&unit) {
                    *entry -= component * u;
                }
                triplets.push(Triplet { sigma: *value, component, right: unit[tall..].to_vec() });
            }
        }
        Self { triplets, residual_norm: euclidean_norm(&residual), residual, largest }
    }

    /// ‖H r‖ / (‖T̲‖ ‖r‖) of the residual r = H p + g, computed in the same space after it has grown:
    /// 0 where no p makes ‖r‖ smaller.
    pub fn relative_slope<S: Scalar>(&self, grown: &KrylovSpace<S>) -> f64 {
        let order = self.residual.len();
        let product =
            |row: &Vec<f64>| row.iter().zip(&self.residual).map(|(a, b)| a * b).sum::<f64>();
        let mut image: Vec<f64> = grown.matrix().iter().map(product).collect();
        if order == grown.order() {
            image.push(grown.coupling() * self.residual[order - 1]);
        }
        if self.residual_norm > 0.0 && self.largest > 0.0 {
            euclidean_norm(&image) / (self.residual_norm * self.largest)
        } else {
            0.0
        }
    }

    /// The minimum over ‖y‖ ≤ `radius`: the minimum-norm solution where it is short enough, else the
    /// minimum of ‖T̲ y + β e₁‖² + δ² ‖y‖² for the δ at which ‖y‖ is the radius.
    pub fn solve_within(&self, radius: f64) -> Solution {
        let undamped = self.solve_damped(0.0);
        if undamped.length <= radius {
            return undamped;
        }
        // The length decreases with δ, and is below ‖β e₁‖ ‖T̲‖ / δ².
        let start = self.triplets.iter().map(|c| c.component * c.component).sum::<f64>().sqrt();
        let (mut low, mut high) = (0.0, (start * self.largest / radius).sqrt());
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if self.solve_damped(middle).length > radius { low = middle } else { high = middle }
        }
        self.solve_damped(high)
    }

    fn solve_damped(&self, delta: f64) -> Solution {
        let order = self.triplets.first().map_or(0, |triplet| triplet.right.len());
        let (mut y, mut decrease) = (vec![0.0; order], 0.0);
        for Triplet { sigma, component, right } in &self.triplets {
            let filter = delta * delta / (sigma * sigma + delta * delta);
            let factor = -component * (1.0 - filter) / sigma;
            for (entry, v) in y.iter_mut().zip(right) {
                *entry += factor * v;
            }
            decrease += component * component * (1.0 - filter * filter);
        }
        Solution { length: euclidean_norm(&y), y, decrease }
    }
}

/// −S (|Λ| + δ max|Λ|)⁻¹ Sᵀ β e₁ for several dampings δ, where T = S Λ Sᵀ.
pub(super) struct AbsoluteNewton {
    /// One solution a damping.
    pub solutions: Vec<Vec<f64>>,
    /// ⟨V y, g⟩ of each, the derivative of the loss along the step.
    pub slopes: Vec<f64>,
}

impl AbsoluteNewton {
    /// Solves the problem of the space's own start vector.
    pub fn solve<S: Scalar>(space: &KrylovSpace<S>, dampings: &[f64]) -> Self {
        let pairs = eigh(&space.matrix());
        let largest = pairs.values.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        // Without any curvature the step is gradient descent.
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let solve = |damping: &f64| {
            let mut y = vec![0.0; space.order()];
            for (value, vector) in pairs.values.iter().zip(&pairs.vectors) {
                let coefficient =
                    -space.start_norm() * vector[0] / (value.abs() + damping * largest);
                for (entry, s) in y.iter_mut().zip(vector) {
                    *entry += coefficient * s;
                }
            }
            y
        };
        let solutions: Vec<Vec<f64>> = dampings.iter().map(solve).collect();
        let slopes = solutions.iter().map(|y| space.start_norm() * y[0]).collect();
        Self { solutions, slopes }
    }
}

fn euclidean_norm(x: &[f64]) -> f64 {
    x.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Cancel;
    use crate::operator::Dense;
    use crate::spectrum::CountedOperator;

    impl LeastSquares {
        /// The decrease ‖β e₁‖² − ‖T̲ y + β e₁‖² of any y.
        fn gain(&self, y: &[f64]) -> f64 {
            let along = |c: &Triplet| c.right.iter().zip(y).map(|(v, y)| v * y).sum::<f64>();
            let left = |c: &Triplet| (c.component + c.sigma * along(c)).powi(2);
            self.triplets.iter().map(|c| c.component * c.component - left(c)).sum()
        }
    }

    /// The space of (1, 2, 3, 4) under a diagonal, after so many products.
    fn space(diagonal: [f64; 4], steps: usize) -> KrylovSpace<f64> {
        let entries = (0..16).map(|k| if k % 5 == 0 { diagonal[k / 5] } else { 0.0 }).collect();
        let (matrix, cancel) = (Dense::new(entries, 4).expect("symmetric"), Cancel::new());
        let mut operator = CountedOperator::new(&matrix, &cancel, 0);
        let mut space = KrylovSpace::new(&[1.0, 2.0, 3.0, 4.0], steps).expect("room");
        for _ in 0..steps {
            space.extend(&mut operator).expect("finite");
        }
        space
    }

    #[test]
    fn a_whole_space_solves_the_newton_equation() {
        let space = space([2.0, -1.0, 0.5, 4.0], 4);
        let found = LeastSquares::from_space(&space);
        let best = found.solve_within(100.0);
        assert!((best.decrease - 30.0).abs() < 1e-12 && found.residual_norm < 1e-12, "{best:?}");
        let solution = space.combinations(&[best.y]);
        for (value, expected) in solution.iter().zip([-0.5, 2.0, -6.0, -1.0]) {
            assert!((value - expected).abs() < 1e-12, "{solution:?}");
        }
    }

    #[test]
    fn a_solution_within_a_radius_is_the_best_of_its_length() {
        let found = LeastSquares::from_space(&space([2.0, -1.0, 0.5, 4.0], 4));
        let short = found.solve_within(1.5);
        assert!((short.length - 1.5).abs() < 1e-12, "{short:?}");
        let delta = 0.01;
        let smallest_loss = |angle: f64| -> f64 {
            // Any other vector of the same length decreases ‖g‖² less: rotate y in each plane of two axes.
            let mut least = f64::INFINITY;
            for i in 0..4 {
                for j in 0..i {
                    let mut y = short.y.clone();
                    let (sine, cosine) = angle.sin_cos();
                    (y[i], y[j]) = (cosine * y[i] - sine * y[j], sine * y[i] + cosine * y[j]);
                    least = least.min(short.decrease - found.gain(&y));
                }
            }
            least
        };
        assert!(smallest_loss(delta) > 0.0 && smallest_loss(-delta) > 0.0);
        assert!((found.gain(&short.y) - short.decrease).abs() < 1e-12);
    }

    /// Two unknowns: the minimum of |H (a g + b H g) + g| by the normal equations.
    #[test]
    fn a_small_space_makes_the_residual_least() {
        let diagonal = [2.0, -1.0, 0.5, 4.0];
        let found = LeastSquares::from_space(&space(diagonal, 2));
        let g = [1.0, 2.0, 3.0, 4.0];
        let power = |p: i32| -> Vec<f64> {
            diagonal.iter().zip(g).map(|(d, g): (&f64, f64)| d.powi(p) * g).collect()
        };
        let (x, y) = (power(1), power(2));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (xx, xy, yy) = (dot(&x, &x), dot(&x, &y), dot(&y, &y));
        let (xg, yg) = (dot(&x, &g), dot(&y, &g));
        let determinant = xx * yy - xy * xy;
        let (a, b) = ((xy * yg - yy * xg) / determinant, (xy * xg - xx * yg) / determinant);
        let left: Vec<f64> = (0..4).map(|i| a * x[i] + b * y[i] + g[i]).collect();
        assert!(
            (found.residual_norm - euclidean_norm(&left)).abs() < 1e-12,
            "{} {}",
            found.residual_norm,
            euclidean_norm(&left)
        );
    }

    #[test]
    fn no_step_along_directions_without_curvature() {
        let slope = |d| LeastSquares::from_space(&space(d, 2)).relative_slope(&space(d, 3));
        assert!(slope([2.0, 0.0, 0.0, 4.0]) < 1e-12);
        assert!(slope([2.0, 1.0, 0.0, 4.0]) > 1e-3);
        let space = space([2.0, 0.0, 0.0, 4.0], 3);
        let found = LeastSquares::from_space(&space);
        assert!((found.residual_norm - 13.0_f64.sqrt()).abs() < 1e-12, "{}", found.residual_norm);
        let solution = space.combinations(&[found.solve_within(100.0).y]);
        for (value, expected) in solution.iter().zip([-0.5, 0.0, 0.0, -1.0]) {
            assert!((value - expected).abs() < 1e-12, "{solution:?}");
        }
    }

    #[test]
    fn absolute_values_repel_steps_from_saddles() {
        let space = space([2.0, -1.0, 0.5, 4.0], 4);
        let found = AbsoluteNewton::solve(&space, &[0.0, 0.25]);
        let steps = space.combinations(&found.solutions);
        let expected = [-0.5, -2.0, -6.0, -1.0, -1.0 / 3.0, -1.0, -2.0, -0.8];
        for (value, expected) in steps.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{steps:?}");
        }
        assert!((found.slopes[0] + 0.5 + 4.0 + 18.0 + 4.0).abs() < 1e-12);
    }
}
