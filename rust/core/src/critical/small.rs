//! Small problems in a Krylov space: least squares, and the inverse of an absolute value.

use std::f64::consts::SQRT_2;

use crate::scalar::Scalar;
use crate::spectrum::{Krylov, eigen};

/// Singular values below so many units of rounding of the largest are none.
const RANK: f64 = 16.0;
/// Halvings of the interval in which a damping is looked for.
const BISECTIONS: usize = 60;

/// One singular value σ of T̲, what its left vector has of β e₁, and its right vector.
#[derive(Clone, Debug, PartialEq)]
struct Component {
    sigma: f64,
    share: f64,
    right: Vec<f64>,
}

/// A solution of the least-squares problem among vectors of bounded length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solution {
    /// y; V y has its length.
    pub y: Vec<f64>,
    /// ‖y‖.
    pub length: f64,
    /// ‖β e₁‖² − ‖T̲ y + β e₁‖²: by how much the squared norm falls if H does not change.
    pub gain: f64,
}

/// min ‖T̲ y + β e₁‖, T̲ being T above the row of the coupling that leads out of the space.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Residual {
    components: Vec<Component>,
    /// T̲ y + β e₁ for the shortest of the best y.
    left: Vec<f64>,
    /// Its norm.
    pub rest: f64,
    /// ‖T̲‖.
    top: f64,
}

impl Residual {
    /// The problem of a space for its own start.
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
        let mut left = vec![0.0; tall];
        left[0] = space.start();
        let mut components = Vec::new();
        for (value, vector) in pairs.values.iter().zip(&pairs.vectors) {
            if *value > RANK * S::EPSILON * top {
                // An eigenvector is (u, v)/√2, and comes with (u, −v)/√2 for −σ.
                let unit: Vec<f64> = vector.iter().map(|x| x * SQRT_2).collect();
                let share = space.start() * unit[0];
                for (entry, u) in left.iter_mut().zip(&unit) {
                    *entry -= share * u;
                }
                components.push(Component { sigma: *value, share, right: unit[tall..].to_vec() });
            }
        }
        Self { components, rest: size(&left), left, top }
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

    /// The best y no longer than `radius`: that of ‖T̲ y + β e₁‖² + δ² ‖y‖² for the δ that makes it
    /// so long, or the shortest of the best where that is short enough.
    pub fn within(&self, radius: f64) -> Solution {
        let free = self.damped(0.0);
        if free.length <= radius {
            return free;
        }
        // The length falls with δ, and is below ‖β e₁‖ ‖T̲‖ / δ².
        let start = self.components.iter().map(|c| c.share * c.share).sum::<f64>().sqrt();
        let (mut low, mut high) = (0.0, (start * self.top / radius).sqrt());
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if self.damped(middle).length > radius { low = middle } else { high = middle }
        }
        self.damped(high)
    }

    fn damped(&self, delta: f64) -> Solution {
        let order = self.components.first().map_or(0, |component| component.right.len());
        let (mut y, mut gain) = (vec![0.0; order], 0.0);
        for Component { sigma, share, right } in &self.components {
            let kept = delta * delta / (sigma * sigma + delta * delta);
            let factor = -share * (1.0 - kept) / sigma;
            for (entry, v) in y.iter_mut().zip(right) {
                *entry += factor * v;
            }
            gain += share * share * (1.0 - kept * kept);
        }
        Solution { length: size(&y), y, gain }
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

    impl Residual {
        /// By how much any y lowers the square, from the singular vectors.
        fn gain(&self, y: &[f64]) -> f64 {
            let along = |c: &Component| c.right.iter().zip(y).map(|(v, y)| v * y).sum::<f64>();
            let kept = |c: &Component| (c.share + c.sigma * along(c)).powi(2);
            self.components.iter().map(|c| c.share * c.share - kept(c)).sum()
        }
    }

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
        let best = found.within(100.0);
        assert!((best.gain - 30.0).abs() < 1e-12 && found.rest < 1e-12, "{best:?}");
        let solution = space.combinations(&[best.y]);
        for (value, wanted) in solution.iter().zip([-0.5, 2.0, -6.0, -1.0]) {
            assert!((value - wanted).abs() < 1e-12, "{solution:?}");
        }
    }

    #[test]
    fn a_short_solution_is_the_best_of_its_length() {
        let found = Residual::of(&space([2.0, -1.0, 0.5, 4.0], 4));
        let short = found.within(1.5);
        assert!((short.length - 1.5).abs() < 1e-12, "{short:?}");
        let delta = 0.01;
        let turned = |angle: f64| -> f64 {
            // Any other vector of the same length gains less: turn y in each plane of two axes.
            let mut least = f64::INFINITY;
            for i in 0..4 {
                for j in 0..i {
                    let mut y = short.y.clone();
                    let (sine, cosine) = angle.sin_cos();
                    (y[i], y[j]) = (cosine * y[i] - sine * y[j], sine * y[i] + cosine * y[j]);
                    least = least.min(short.gain - found.gain(&y));
                }
            }
            least
        };
        assert!(turned(delta) > 0.0 && turned(-delta) > 0.0);
        assert!((found.gain(&short.y) - short.gain).abs() < 1e-12);
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
        let solution = space.combinations(&[found.within(100.0).y]);
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
