//! Small problems in a Krylov space: least squares, and the inverse of an absolute value.

use crate::scalar::Scalar;
use crate::spectrum::{Krylov, eigen};

/// Singular values below so many units of rounding of the largest are none.
const RANK: f64 = 16.0;

/// The shortest y that makes ‖T̲ y + β e₁‖ least, T̲ being T above the row of the coupling that leads
/// out of the space.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Residual {
    /// y.
    pub solution: Vec<f64>,
    /// T̲ y, which is H V y in the basis of the space and the next vector.
    pub image: Vec<f64>,
    /// T̲ y + β e₁.
    left: Vec<f64>,
    /// Its norm.
    pub rest: f64,
    /// ‖T̲‖.
    top: f64,
}

impl Residual {
    /// Solves the problem of a space for its own start.
    ///
    /// The symmetric matrix (0, T̲; T̲ᵀ, 0) has the singular values ±σ for eigenvalues and both
    /// singular vectors for eigenvectors, with an error of rounding in σ₁ and not of its square.
    pub fn of<S: Scalar>(space: &Krylov<S>) -> Self {
        let (order, tall) = (space.order(), space.order() + 1);
        let mut matrix = space.matrix();
        let mut last = vec![0.0; order];
        if let Some(entry) = last.last_mut() {
            *entry = space.rest();
        }
        matrix.push(last);
        let mut whole = vec![vec![0.0; tall + order]; tall + order];
        for (i, row) in matrix.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                (whole[i][tall + j], whole[tall + j][i]) = (*value, *value);
            }
        }
        let pairs = eigen(&whole);
        let top = pairs.values.last().copied().unwrap_or(0.0);
        let mut solution = vec![0.0; order];
        for (value, vector) in pairs.values.iter().zip(&pairs.vectors) {
            if *value > RANK * S::EPSILON * top {
                // An eigenvector is (u, v)/√2, and comes with (u, −v)/√2 for −σ.
                let share = -2.0 * space.start() * vector[0] / value;
                for (entry, v) in solution.iter_mut().zip(&vector[tall..]) {
                    *entry += share * v;
                }
            }
        }
        let product = |row: &Vec<f64>| row.iter().zip(&solution).map(|(a, b)| a * b).sum::<f64>();
        let image: Vec<f64> = matrix.iter().map(product).collect();
        let mut left = image.clone();
        left[0] += space.start();
        Self { solution, image, rest: size(&left), left, top }
    }

    /// ‖H r‖ / (‖T̲‖ ‖r‖) for the residual r = H p + g, seen from the same space after it has grown:
    /// 0 where no p makes it smaller.
    pub fn slope<S: Scalar>(&self, grown: &Krylov<S>) -> f64 {
        let order = self.left.len();
        let product = |row: &Vec<f64>| row.iter().zip(&self.left).map(|(a, b)| a * b).sum::<f64>();
        let mut image: Vec<f64> = grown.matrix().iter().map(product).collect();
        if order == grown.order() {
            image.push(grown.rest() * self.left[order - 1]);
        }
        if self.rest > 0.0 && self.top > 0.0 { size(&image) / (self.rest * self.top) } else { 0.0 }
    }
}

/// −S (|Λ| + δ max|Λ|)⁻¹ Sᵀ β e₁ for every damping δ, where T = S Λ Sᵀ.
pub(super) struct Absolute {
    /// One solution a damping.
    pub solutions: Vec<Vec<f64>>,
    /// ⟨V y, g⟩ of each.
    pub slopes: Vec<f64>,
}

impl Absolute {
    /// Solves the problems of a space for its own start.
    pub fn of<S: Scalar>(space: &Krylov<S>, dampings: &[f64]) -> Self {
        let pairs = eigen(&space.matrix());
        let top = pairs.values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        // A function without any curvature is walked down by its gradient.
        let top = if top > 0.0 { top } else { 1.0 };
        let solve = |damping: &f64| {
            let mut y = vec![0.0; space.order()];
            for (value, vector) in pairs.values.iter().zip(&pairs.vectors) {
                let share = -space.start() * vector[0] / (value.abs() + damping * top);
                for (entry, s) in y.iter_mut().zip(vector) {
                    *entry += share * s;
                }
            }
            y
        };
        let solutions: Vec<Vec<f64>> = dampings.iter().map(solve).collect();
        let slopes = solutions.iter().map(|y| space.start() * y[0]).collect();
        Self { solutions, slopes }
    }
}

fn size(x: &[f64]) -> f64 {
    x.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Cancel;
    use crate::operator::Dense;
    use crate::spectrum::Products;

    /// The space of (1, 2, 3, 4) under a diagonal, after so many products.
    fn space(diagonal: [f64; 4], steps: usize) -> Krylov<f64> {
        let entries = (0..16).map(|k| if k % 5 == 0 { diagonal[k / 5] } else { 0.0 }).collect();
        let (matrix, cancel) = (Dense::new(entries, 4).expect("symmetric"), Cancel::new());
        let mut products = Products::new(&matrix, &cancel, 0);
        let mut space = Krylov::new(&[1.0, 2.0, 3.0, 4.0], steps).expect("room");
        for _ in 0..steps {
            space.advance(&mut products).expect("finite");
        }
        space
    }

    #[test]
    fn a_whole_space_solves_the_newton_equation() {
        let space = space([2.0, -1.0, 0.5, 4.0], 4);
        let found = Residual::of(&space);
        let solution = space.combinations(&[found.solution]);
        for (value, wanted) in solution.iter().zip([-0.5, 2.0, -6.0, -1.0]) {
            assert!((value - wanted).abs() < 1e-12, "{solution:?}");
        }
        assert!(found.rest < 1e-12 && found.image[0] + space.start() < 1e-12);
    }

    /// Two unknowns: the minimum of |H (a g + b H g) + g| by the normal equations.
    #[test]
    fn a_small_space_makes_the_residual_least() {
        let diagonal = [2.0, -1.0, 0.5, 4.0];
        let found = Residual::of(&space(diagonal, 2));
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
        assert!((found.rest - size(&left)).abs() < 1e-12, "{} {}", found.rest, size(&left));
    }

    #[test]
    fn what_has_no_curvature_is_not_moved_along() {
        let slope = |d| Residual::of(&space(d, 2)).slope(&space(d, 3));
        assert!(slope([2.0, 0.0, 0.0, 4.0]) < 1e-12);
        assert!(slope([2.0, 1.0, 0.0, 4.0]) > 1e-3);
        let space = space([2.0, 0.0, 0.0, 4.0], 3);
        let found = Residual::of(&space);
        assert!((found.rest - 13.0_f64.sqrt()).abs() < 1e-12, "{}", found.rest);
        let solution = space.combinations(&[found.solution]);
        for (value, wanted) in solution.iter().zip([-0.5, 0.0, 0.0, -1.0]) {
            assert!((value - wanted).abs() < 1e-12, "{solution:?}");
        }
    }

    #[test]
    fn absolute_values_turn_steps_off_saddles() {
        let space = space([2.0, -1.0, 0.5, 4.0], 4);
        let found = Absolute::of(&space, &[0.0, 0.25]);
        let steps = space.combinations(&found.solutions);
        let expected = [-0.5, -2.0, -6.0, -1.0, -1.0 / 3.0, -1.0, -2.0, -0.8];
        for (value, wanted) in steps.iter().zip(expected) {
            assert!((value - wanted).abs() < 1e-12, "{steps:?}");
        }
        assert!((found.slopes[0] + 0.5 + 4.0 + 18.0 + 4.0).abs() < 1e-12);
    }
}
