//! Numbers of panels at points, put together in an order that no thread decides.

/// Numbers of panels at points.
pub(crate) struct Table<'a> {
    /// (points, panels, numbers of a panel).
    pub numbers: Vec<f64>,
    /// Samples in the order of lanes, one slice for each stretch of panels.
    pub order: Vec<&'a [usize]>,
    pub lanes: usize,
    /// How many a panel has.
    pub numbers_of_panel: usize,
}

impl Table<'_> {
    /// Sums over the panels of each point, into (points, numbers).
    pub fn sums(&self, out: &mut [f64]) {
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

    /// Numbers that are one a lane, put where their samples belong, into (points, samples).
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
