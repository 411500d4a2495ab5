//! The Cholesky factor of a small positive definite matrix.

use crate::vector::inner_product;

/// L with M = L L', by rows.
#[derive(Clone, Debug)]
pub struct Factor {
    rows: Vec<Vec<f64>>,
}

impl Factor {
    /// Factors Σᵢ dᵢ aᵢ aᵢ' + ridge I, the rows of `table` being the entries of a.
    ///
    /// The ridge makes every pivot positive, up to rounding, which is cut at the ridge.
    pub fn of_gram(table: &[&[f64]], d: &[f64], ridge: f64) -> Self {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(table.len());
        let mut scaled = vec![0.0; d.len()];
        for (i, a) in table.iter().enumerate() {
            for ((out, a), d) in scaled.iter_mut().zip(*a).zip(d) {
                *out = a * d;
            }
            let mut row = Vec::with_capacity(i + 1);
            for (j, b) in table[..i].iter().enumerate() {
                let product = inner_product(&scaled, b);
                row.push((product - inner_product(&row, &rows[j][..j])) / rows[j][j]);
            }
            let square = inner_product(&scaled, a) + ridge - inner_product(&row, &row);
            row.push(square.max(ridge).sqrt());
            rows.push(row);
        }
        Self { rows }
    }

    /// L⁻¹ b.
    pub fn solve_lower(&self, mut b: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate() {
            b[i] = (b[i] - inner_product(&row[..i], &b[..i])) / row[i];
        }
        b
    }

    /// M⁻¹ b.
    pub fn solve(&self, b: Vec<f64>) -> Vec<f64> {
        let mut b = self.solve_lower(b);
        for (i, row) in self.rows.iter().enumerate().rev() {
            let value = b[i] / row[i];
            b[i] = value;
            for (b, l) in b.iter_mut().zip(&row[..i]) {
                *b -= l * value;
            }
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        let table: [&[f64]; 2] = [&[1.0, 2.0, 3.0], &[1.0, -1.0, 0.5]];
        let (d, ridge) = ([0.5, 1.0, 2.0], 0.1);
        let entry = |i: usize, j: usize| {
            let sum: f64 = (0..3).map(|k| d[k] * table[i][k] * table[j][k]).sum();
            sum + if i == j { ridge } else { 0.0 }
        };
        let x = Factor::of_gram(&table, &d, ridge).solve(vec![3.0, -4.0]);
        for (i, expected) in [(0, 3.0), (1, -4.0)] {
            let product = entry(i, 0) * x[0] + entry(i, 1) * x[1];
            assert!((product - expected).abs() < 1e-12);
        }
    }
}
