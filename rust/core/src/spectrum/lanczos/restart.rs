//! What a full basis is replaced by.

use super::Lanczos;
use crate::scalar::Scalar;

impl<S: Scalar> Lanczos<S> {
    /// Replaces V by the wanted Ritz vectors and half of the others, those nearest to them. Returns
    /// the coupling of each to the next direction: β s_m.
    pub(super) fn restart(&mut self) -> Vec<f64> {
        let (held, wanted) = (self.projected.len(), self.wanted());
        let keep = (wanted + (held - wanted) / 2).clamp(1, held - 1);
        let mut kept = self.options.which.best(&self.ritz.values, keep);
        kept.sort_unstable();
        let rows: Vec<_> = kept.iter().map(|&i| self.ritz.vectors[i].clone()).collect();
        self.basis.recombine(self.deflated, &rows);
        self.projected = kept
            .iter()
            .enumerate()
            .map(|(place, &i)| {
                let mut row = vec![0.0; kept.len()];
                row[place] = self.ritz.values[i];
                row
            })
            .collect();
        self.restarts += 1;
        rows.iter().map(|row| self.beta * row[held - 1]).collect()
    }
}
