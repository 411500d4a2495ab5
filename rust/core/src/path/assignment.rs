//! The best one-to-one assignment of rows to columns.

use crate::error::{Error, require};

/// The permutation p that maximises Σᵢ wᵢ,ₚ₍ᵢ₎ over a square matrix of weights, row-major (n, n).
///
/// One shortest augmenting path a row, in reduced costs that dual potentials keep from being
/// negative: O(n³) at worst. Of equally good permutations it finds one, always the same.
///
/// # Errors
/// [`Error::Invalid`] unless the matrix is square and finite.
///
/// # Reference
/// Crouse (2016), *On implementing 2D rectangular assignment algorithms*, section II, after Jonker and
/// Volgenant (1987).
pub fn assignment(weights: &[f64], count: usize) -> Result<Vec<usize>, Error> {
    require!(
        weights.len() == count * count,
        "got {} weights for {count} rows; pass a square matrix",
        weights.len()
    );
    require!(
        weights.iter().all(|weight| weight.is_finite()),
        "got weights that are NaN or infinite; pass finite ones"
    );
    let mut search = Search::new(weights, count);
    for row in 0..count {
        let end = search.shortest_path(row);
        search.augment(row, end);
    }
    Ok(search.column_of)
}

const NONE: usize = usize::MAX;

struct Search<'a> {
    weights: &'a [f64],
    count: usize,
    /// Potentials of rows and columns: −w − u − v is nowhere negative, and 0 where assigned.
    rows: Vec<f64>,
    columns: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// The cheapest known way to each column, and the row before it.
    cost: Vec<f64>,
    before: Vec<usize>,
    /// Columns that are reached for good, and those that are not.
    reached: Vec<usize>,
    open: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(weights: &'a [f64], count: usize) -> Self {
        Self {
            weights,
            count,
            rows: vec![0.0; count],
            columns: vec![0.0; count],
            column_of: vec![NONE; count],
            row_of: vec![NONE; count],
            cost: vec![0.0; count],
            before: vec![NONE; count],
            reached: Vec::with_capacity(count),
            open: Vec::with_capacity(count),
        }
    }

    /// The free column that is cheapest to reach from a row; brings the potentials up to date.
    fn shortest_path(&mut self, start: usize) -> usize {
        self.cost.fill(f64::INFINITY);
        self.reached.clear();
        self.open.clear();
        self.open.extend(0..self.count);
        let (mut row, mut least) = (start, 0.0);
        loop {
            let weights = &self.weights[row * self.count..][..self.count];
            let (mut nearest, mut lowest) = (0, f64::INFINITY);
            for (place, &column) in self.open.iter().enumerate() {
                let through = least - weights[column] - self.rows[row] - self.columns[column];
                if through < self.cost[column] {
                    self.cost[column] = through;
                    self.before[column] = row;
                }
                let cost = self.cost[column];
                // Of equally near columns a free one, which ends the search.
                if cost < lowest || (cost == lowest && self.row_of[column] == NONE) {
                    (nearest, lowest) = (place, cost);
                }
            }
            least = lowest;
            let column = self.open.swap_remove(nearest);
            self.reached.push(column);
            if self.row_of[column] == NONE {
                self.settle(start, least);
                return column;
            }
            row = self.row_of[column];
        }
    }

    fn settle(&mut self, start: usize, least: f64) {
        self.rows[start] += least;
        for &column in &self.reached {
            let row = self.row_of[column];
            if row != NONE {
                self.rows[row] += least - self.cost[column];
            }
            self.columns[column] -= least - self.cost[column];
        }
    }

    /// Assigns every row on the way to the column before it.
    fn augment(&mut self, start: usize, end: usize) {
        let mut column = end;
        loop {
            let row = self.before[column];
            self.row_of[column] = row;
            std::mem::swap(&mut self.column_of[row], &mut column);
            if row == start {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Gaussian;

    fn value(weights: &[f64], columns: &[usize]) -> f64 {
        columns.iter().enumerate().map(|(row, &column)| weights[row * columns.len() + column]).sum()
    }

    /// The best value of all permutations.
    fn best(weights: &[f64], count: usize, row: usize, taken: &mut [bool]) -> f64 {
        if row == count {
            return 0.0;
        }
        let mut found = f64::NEG_INFINITY;
        for column in 0..count {
            if !taken[column] {
                taken[column] = true;
                let rest = best(weights, count, row + 1, taken);
                found = found.max(weights[row * count + column] + rest);
                taken[column] = false;
            }
        }
        found
    }

    #[test]
    fn no_permutation_is_better() {
        for count in 1..8_usize {
            for seed in 0..40 {
                let mut weights = vec![0.0_f64; count * count];
                Gaussian::new(seed, 0).fill(0, &mut weights);
                if seed % 3 == 0 {
                    for weight in &mut weights {
                        *weight = weight.round();
                    }
                }
                let found = assignment(&weights, count).expect("square");
                let mut sorted = found.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>());
                let expected = best(&weights, count, 0, &mut vec![false; count]);
                assert!((value(&weights, &found) - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_is_no_finite_square_is_refused() {
        assert!(assignment(&[1.0; 6], 2).is_err());
        assert!(assignment(&[1.0, f64::NAN, 0.0, 0.0], 2).is_err());
        assert_eq!(assignment(&[], 0).expect("nothing to assign"), Vec::<usize>::new());
    }
}
