//! Weighted Gram matrices of a table, and their Cholesky factors.

use crate::vector::inner_product;

/// Σᵢ dᵢ aᵢ aᵢ', the rows of a table being the entries of a: its lower triangle, by rows.
#[derive(Clone, Debug)]
pub struct Gram {
    rows: Vec<Vec<f64>>,
}

impl Gram {
    /// The matrix of all columns of the table.
    pub fn of(table: &[&[f64]], d: &[f64]) -> Self {
        let mut scaled = vec![0.0; d.len()];
        let row = |(i, a): (usize, &&[f64])| {
            for ((out, a), d) in scaled.iter_mut().zip(*a).zip(d) {
                *out = a * d;
            }
            table[..=i].iter().map(|b| inner_product(&scaled, b)).collect()
        };
        Self { rows: table.iter().enumerate().map(row).collect() }
    }

    /// That of some rows of the table, in increasing order.
    pub fn select(&self, chosen: &[usize]) -> Self {
        let row = |(i, &from): (usize, &usize)| {
            chosen[..=i].iter().map(|&to| self.rows[from][to]).collect()
        };
        Self { rows: chosen.iter().enumerate().map(row).collect() }
    }

    /// That without some of the columns of the table.
    pub fn without(&self, table: &[&[f64]], d: &[f64], columns: &[usize]) -> Self {
        let take = |row: &[f64]| columns.iter().map(|&i| row[i]).collect::<Vec<f64>>();
        let parts: Vec<Vec<f64>> = table.iter().map(|row| take(row)).collect();
        let parts: Vec<&[f64]> = parts.iter().map(Vec::as_slice).collect();
        let removed = Self::of(&parts, &take(d));
        let subtract = |(kept, removed): (&Vec<f64>, Vec<f64>)| {
            kept.iter().zip(removed).map(|(kept, removed)| kept - removed).collect()
        };
        Self { rows: self.rows.iter().zip(removed.rows).map(subtract).collect() }
    }
}

/// L with M = L L', by rows.
#[derive(Clone, Debug)]
pub struct Factor {
    rows: Vec<Vec<f64>>,
}

impl Factor {
    /// Factors the Gram matrix plus ridge I.
    ///
    /// The ridge makes every pivot positive, up to rounding, which is cut at the ridge.
    pub fn of(gram: &Gram, ridge: f64) -> Self {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(gram.rows.len());
        for (i, products) in gram.rows.iter().enumerate() {
            let mut row = Vec::with_capacity(i + 1);
            for (j, product) in products[..i].iter().enumerate() {
                row.push((product - inner_product(&row, &rows[j][..j])) / rows[j][j]);
            }
            let square = products[i] + ridge - inner_product(&row, &row);
            row.push(square.max(ridge).sqrt());
            rows.push(row);
        }
        Self { rows }
    }

    /// Σₖ xₖᵢ² for the columns i of L X = A.
    pub fn squared_norms(&self, table: &[&[f64]]) -> Vec<f64> {
        let mut norms = vec![0.0; table.first().map_or(0, |row| row.len())];
        let mut solved: Vec<Vec<f64>> = Vec::with_capacity(table.len());
        for (row, a) in self.rows.iter().zip(table) {
            let mut x = a.to_vec();
            for (factor, earlier) in row.iter().zip(&solved) {
                for (x, earlier) in x.iter_mut().zip(earlier) {
                    *x -= factor * earlier;
                }
            }
            let pivot = row[solved.len()];
            for (x, norm) in x.iter_mut().zip(&mut norms) {
                *x /= pivot;
                *norm += *x * *x;
            }
            solved.push(x);
        }
        norms
    }

    /// M⁻¹ b.
    pub fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate() {
            b[i] = (b[i] - inner_product(&row[..i], &b[..i])) / row[i];
        }
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

    const TABLE: [&[f64]; 3] = [&[1.0, 2.0, 3.0], &[1.0, -1.0, 0.5], &[0.3, 0.2, -2.0]];
    const D: [f64; 3] = [0.5, 1.0, 2.0];

    fn entry(i: usize, j: usize, columns: &[usize]) -> f64 {
        columns.iter().map(|&k| D[k] * TABLE[i][k] * TABLE[j][k]).sum()
    }

    #[test]
    fn a_system_is_solved() {
        let b = [3.0, -4.0, 1.0];
        let x = Factor::of(&Gram::of(&TABLE, &D), 0.1).solve(b.to_vec());
        for (i, expected) in b.iter().enumerate() {
            let product: f64 = (0..3).map(|j| entry(i, j, &[0, 1, 2]) * x[j]).sum();
            assert!((product + 0.1 * x[i] - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn rows_are_selected_and_columns_removed() {
        let all = Gram::of(&TABLE, &D);
        let selected = all.select(&[0, 2]);
        assert_eq!(selected.rows[1], [entry(2, 0, &[0, 1, 2]), entry(2, 2, &[0, 1, 2])]);
        let rest = all.without(&TABLE, &D, &[1]);
        for (i, row) in rest.rows.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                assert!((value - entry(i, j, &[0, 2])).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn squared_norms_are_quadratic_forms_of_the_inverse() {
        let factor = Factor::of(&Gram::of(&TABLE, &D), 0.1);
        for (i, norm) in factor.squared_norms(&TABLE).iter().enumerate() {
            let column: Vec<f64> = TABLE.iter().map(|row| row[i]).collect();
            let expected = inner_product(&column, &factor.solve(column.clone()));
            assert!((norm - expected).abs() < 1e-12);
        }
    }
}
