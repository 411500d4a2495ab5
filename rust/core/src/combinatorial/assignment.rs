//! The linear assignment problem: a permutation of maximal total weight.
//!
//! Written here because saved results of weight matching depend on which of several optimal
//! permutations is returned, and another implementation breaks ties in another order.

use crate::error::{Error, require};

/// The permutation p that maximises Σᵢ wᵢ,ₚ₍ᵢ₎ over a square matrix of weights, row-major (n, n).
///
/// One shortest augmenting path a row, in reduced costs that dual potentials keep non-negative: O(n³)
/// at worst. Of several optimal permutations it returns one, always the same.
///
/// # Errors
/// [`Error::Invalid`] unless the matrix is square and finite.
///
/// # Reference
/// Crouse (2016), *On implementing 2D rectangular assignment algorithms*, section II, after Jonker and
/// Volgenant (1987).
pub fn solve_assignment(weights: &[f64], count: usize) -> Result<Vec<usize>, Error> {
    require!(
        weights.len() == count * count,
        "got {} weights for {count} rows; pass a square matrix",
        weights.len()
    );
    require!(
        weights.iter().all(|weight| weight.is_finite()),
        "got weights that are NaN or infinite; pass finite ones"
    );
    let mut solver = AugmentingPaths::new(weights, count);
    for row in 0..count {
        let end = solver.find_shortest_path(row);
        solver.augment(row, end);
    }
    Ok(solver.column_of)
}

/// The index of an unassigned row or column.
const NONE: usize = usize::MAX;

/// A partial assignment with dual potentials u and v.
struct AugmentingPaths<'a> {
    weights: &'a [f64],
    count: usize,
    /// u and v: −w − u − v is non-negative, and 0 where assigned.
    row_potentials: Vec<f64>,
    column_potentials: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// The length of the shortest known path to each column, and the row before the column on it.
    cost: Vec<f64>,
    previous_row: Vec<usize>,
    /// Columns whose shortest path is final, and the others.
    closed: Vec<usize>,
    open: Vec<usize>,
}

impl<'a> AugmentingPaths<'a> {
    fn new(weights: &'a [f64], count: usize) -> Self {
        Self {
            weights,
            count,
            row_potentials: vec![0.0; count],
            column_potentials: vec![0.0; count],
            column_of: vec![NONE; count],
            row_of: vec![NONE; count],
            cost: vec![0.0; count],
            previous_row: vec![NONE; count],
            closed: Vec::with_capacity(count),
            open: Vec::with_capacity(count),
        }
    }

    /// The unassigned column nearest to a row (Dijkstra's algorithm); updates the potentials.
    fn find_shortest_path(&mut self, start: usize) -> usize {
        self.cost.fill(f64::INFINITY);
        self.closed.clear();
        self.open.clear();
        self.open.extend(0..self.count);
        let (mut row, mut distance) = (start, 0.0);
        loop {
            let weights = &self.weights[row * self.count..][..self.count];
            let (mut nearest, mut lowest) = (0, f64::INFINITY);
            for (index, &column) in self.open.iter().enumerate() {
                let through = distance
                    - weights[column]
                    - self.row_potentials[row]
                    - self.column_potentials[column];
                if through < self.cost[column] {
                    self.cost[column] = through;
                    self.previous_row[column] = row;
                }
                let cost = self.cost[column];
                // Of equally near columns an unassigned one, which ends the search.
                if cost < lowest || (cost == lowest && self.row_of[column] == NONE) {
                    (nearest, lowest) = (index, cost);
                }
            }
            distance = lowest;
            let column = self.open.swap_remove(nearest);
            self.closed.push(column);
            if self.row_of[column] == NONE {
                self.update_potentials(start, distance);
                return column;
            }
            row = self.row_of[column];
        }
    }

    fn update_potentials(&mut self, start: usize, distance: f64) {
        self.row_potentials[start] += distance;
        for &column in &self.closed {
            let row = self.row_of[column];
            if row != NONE {
                self.row_potentials[row] += distance - self.cost[column];
            }
            self.column_potentials[column] -= distance - self.cost[column];
        }
    }

    /// Assigns the rows of the path to its columns.
    fn augment(&mut self, start: usize, end: usize) {
        let mut column = end;
        loop {
            let row = self.previous_row[column];
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
                let found = solve_assignment(&weights, count).expect("square");
                let mut sorted = found.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>());
                let expected = best(&weights, count, 0, &mut vec![false; count]);
                assert!((value(&weights, &found) - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn only_finite_square_matrices_are_accepted() {
        assert!(solve_assignment(&[1.0; 6], 2).is_err());
        assert!(solve_assignment(&[1.0, f64::NAN, 0.0, 0.0], 2).is_err());
        assert_eq!(solve_assignment(&[], 0).expect("nothing to assign"), Vec::<usize>::new());
    }
}
