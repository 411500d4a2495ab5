//! All eigenpairs of a small dense symmetric matrix.
//!
//! Written here, and not taken from a linear algebra crate: the bits of every saved spectrum, trace and
//! path of a walk depend on the order of these operations, and the matrices (at most some hundred rows)
//! take a small share of the time of the operator products.

/// The maximum number of QL sweeps for one eigenvalue; two are usual.
const MAX_SWEEPS: usize = 64;

/// T = Σᵢ λᵢ sᵢ sᵢᵀ, eigenvalues ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eigenpairs {
    /// The eigenvalues.
    pub values: Vec<f64>,
    /// The orthonormal eigenvectors, one a row.
    pub vectors: Vec<Vec<f64>>,
}

/// The eigendecomposition of a symmetric matrix given by its rows.
///
/// Householder tridiagonalisation, then implicit QL with Wilkinson's shifts.
///
/// # Reference
/// Bowdler, Martin, Reinsch, Wilkinson (1968), *The QR and QL algorithms for symmetric matrices*.
#[must_use]
pub fn eigh(matrix: &[Vec<f64>]) -> Eigenpairs {
    let (mut diagonal, mut subdiagonal, mut vectors) = tridiagonalise(matrix);
    diagonalise(&mut diagonal, &mut subdiagonal, &mut vectors);
    let mut order: Vec<usize> = (0..diagonal.len()).collect();
    order.sort_by(|&i, &j| diagonal[i].total_cmp(&diagonal[j]));
    Eigenpairs {
        values: order.iter().map(|&i| diagonal[i]).collect(),
        vectors: order.iter().map(|&i| std::mem::take(&mut vectors[i])).collect(),
    }
}

/// Diagonal, subdiagonal (entry i couples i and i + 1) and rows Q with T = Qᵀ (tridiagonal) Q.
fn tridiagonalise(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>, Vec<Vec<f64>>) {
    let order = matrix.len();
    let mut a = matrix.to_vec();
    let mut q: Vec<Vec<f64>> =
        (0..order).map(|i| (0..order).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for column in 0..order.saturating_sub(2) {
        let mut u: Vec<f64> =
            (0..order).map(|i| if i > column { a[i][column] } else { 0.0 }).collect();
        let scale = u[column + 2..].iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        if scale == 0.0 {
            continue;
        }
        let scale = scale.max(u[column + 1].abs());
        for x in &mut u {
            *x /= scale;
        }
        let norm = dot(&u, &u).sqrt();
        u[column + 1] += norm.copysign(u[column + 1]);
        let half = dot(&u, &u) / 2.0;
        reflect_both(&mut a, &u, half);
        // Q <- (1 - u uᵀ/half) Q: the rows of Q are combined.
        let mut along = vec![0.0; order];
        for (row, factor) in q.iter().zip(&u) {
            add_multiple(&mut along, *factor / half, row);
        }
        for (row, factor) in q.iter_mut().zip(&u) {
            add_multiple(row, -factor, &along);
        }
    }
    let diagonal = (0..order).map(|i| a[i][i]).collect();
    let subdiagonal = (0..order).map(|i| if i + 1 < order { a[i + 1][i] } else { 0.0 }).collect();
    (diagonal, subdiagonal, q)
}

/// A <- (1 − uuᵀ/h) A (1 − uuᵀ/h).
fn reflect_both(a: &mut [Vec<f64>], u: &[f64], half: f64) {
    let p: Vec<f64> = a.iter().map(|row| dot(row, u) / half).collect();
    let share = dot(&p, u) / (2.0 * half);
    let q: Vec<f64> = p.iter().zip(u).map(|(p, u)| p - share * u).collect();
    for (i, row) in a.iter_mut().enumerate() {
        for (entry, (u_j, q_j)) in row.iter_mut().zip(u.iter().zip(&q)) {
            *entry -= u[i] * q_j + q[i] * u_j;
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn add_multiple(sum: &mut [f64], factor: f64, row: &[f64]) {
    for (total, value) in sum.iter_mut().zip(row) {
        *total += factor * value;
    }
}

/// Diagonalises a tridiagonal matrix, applying its rotations to the rows of `vectors`.
fn diagonalise(diagonal: &mut [f64], subdiagonal: &mut [f64], vectors: &mut [Vec<f64>]) {
    let order = diagonal.len();
    let size = |d: &[f64], e: &[f64]| d.iter().chain(e).fold(0.0, |max: f64, x| max.max(x.abs()));
    let tiny = f64::EPSILON * f64::EPSILON * size(diagonal, subdiagonal);
    for first in 0..order {
        for _ in 0..MAX_SWEEPS {
            let split = (first..order - 1).find(|&i| {
                let near = f64::EPSILON * (diagonal[i].abs() + diagonal[i + 1].abs());
                subdiagonal[i].abs() <= near.max(tiny)
            });
            let last = split.unwrap_or(order - 1);
            if last == first {
                break;
            }
            sweep(diagonal, subdiagonal, vectors, (first, last));
        }
    }
}

/// One implicit QL step on rows first..=last.
fn sweep(d: &mut [f64], e: &mut [f64], vectors: &mut [Vec<f64>], (first, last): (usize, usize)) {
    let slope = (d[first + 1] - d[first]) / (2.0 * e[first]);
    let root = slope.hypot(1.0);
    let mut g = d[last] - d[first] + e[first] / (slope + root.copysign(slope));
    let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
    for i in (first..last).rev() {
        let (f, b) = (sine * e[i], cosine * e[i]);
        let r = f.hypot(g);
        e[i + 1] = r;
        if r == 0.0 {
            // The rotation is undefined: the matrix has split, and the next sweep continues.
            d[i + 1] -= shift;
            e[last] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = d[i + 1] - shift;
        let r = (d[i] - g) * sine + 2.0 * cosine * b;
        shift = sine * r;
        d[i + 1] = g + shift;
        g = cosine * r - b;
        let (low, high) = vectors.split_at_mut(i + 1);
        for (x, y) in low[i].iter_mut().zip(high[0].iter_mut()) {
            (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
        }
    }
    d[first] -= shift;
    e[first] = g;
    e[last] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(matrix: &[Vec<f64>]) {
        let pairs = eigh(matrix);
        let size = pairs.values.iter().fold(1e-300, |max: f64, x| max.max(x.abs()));
        let near = 1e-14 * matrix.len() as f64;
        for (i, (value, vector)) in pairs.values.iter().zip(&pairs.vectors).enumerate() {
            for (row, entry) in matrix.iter().zip(vector) {
                assert!((dot(row, vector) - value * entry).abs() <= near * size);
            }
            for (j, other) in pairs.vectors.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(vector, other) - expected).abs() <= near);
            }
        }
        assert!(pairs.values.is_sorted());
    }

    fn from_entries(order: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
        (0..order).map(|i| (0..order).map(|j| entry(i.min(j), i.max(j))).collect()).collect()
    }

    #[test]
    fn vectors_are_orthonormal_and_eigenvectors() {
        check(&[]);
        check(&from_entries(1, |_, _| -3.0));
        check(&from_entries(2, |i, j| if i == j { 0.0 } else { 1.0 }));
        check(&from_entries(9, |_, _| 0.0));
        check(&from_entries(12, |i, j| f64::from(u8::from(i == j))));
        check(&from_entries(40, |i, j| ((7 * i * i + 3 * j * j) % 23) as f64 - 11.0));
        check(&from_entries(30, |i, j| if i == j { 10_f64.powf(-(i as f64) / 2.0) } else { 1e-9 }));
        check(&from_entries(
            25,
            |i, j| if i == j { i as f64 } else { f64::from(u8::from(j == 24)) },
        ));
        check(&from_entries(20, |i, j| if i + 1 == j { 1.0 } else { 0.0 }));
        check(&from_entries(15, |_, _| 1e-200));
    }
}
