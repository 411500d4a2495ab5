//! Partial sums by point and panel, added up in an order that does not depend on the threads.

/// The numbers of every panel at every point.
pub(crate) struct PartialSums<'a> {
    /// (points, panels, numbers of a panel).
    pub numbers: Vec<f64>,
    /// The samples of the lanes in order, one slice for each batch.
    pub order: Vec<&'a [usize]>,
    /// The lanes of a panel.
    pub lanes: usize,
    /// The number of numbers of a panel.
    pub numbers_of_panel: usize,
}

impl PartialSums<'_> {
    /// Sums over the panels of each point, into (points, numbers).
    pub fn sum_panels(&self, out: &mut [f64]) {
        let count = self.numbers_of_panel;
        let panels: usize = self.order.iter().map(|order| order.len().div_ceil(self.lanes)).sum();
        for (out, panels) in out.chunks_mut(count).zip(self.numbers.chunks(panels.max(1) * count)) {
            out.fill(0.0);
            for numbers in panels.chunks(count) {
                for (sum, number) in out.iter_mut().zip(numbers) {
                    *sum += number;
                }
            }
        }
    }

    /// Scatters one number for each lane to its sample, into (points, samples).
    pub fn scatter(&self, samples: usize, out: &mut [f64]) {
        let mut numbers = self.numbers.as_slice();
        for out in out.chunks_mut(samples.max(1)) {
            for order in &self.order {
                for samples in order.chunks(self.lanes) {
                    let (panel, rest) = numbers.split_at(self.lanes);
                    for (&sample, &number) in samples.iter().zip(panel) {
                        out[sample] = number;
                    }
                    numbers = rest;
                }
            }
        }
    }
}
