//! Refinement of a band: where it needs further pivots.

/// A new pivot: its segment, its relative position on it, and the loss there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NewPivot {
    pub segment: usize,
    pub position: f64,
    pub loss: f64,
}

/// The losses along a band.
pub(super) struct LossProfile<'a> {
    /// At the pivots.
    pub pivots: &'a [f64],
    /// Between them, at equal distances, the same number in every segment.
    pub between: &'a [f64],
}

impl LossProfile<'_> {
    /// The maximum of all losses.
    pub fn max(&self) -> f64 {
        self.all().fold(f64::NEG_INFINITY, f64::max)
    }

    fn all(&self) -> impl Iterator<Item = f64> + '_ {
        self.pivots.iter().chain(self.between).copied()
    }

    /// New pivots where the loss rises most above the linear interpolation between two pivots, in
    /// every segment where the rise exceeds a share of the range of all losses; the `max_pivots`
    /// largest rises, in the order of the band.
    ///
    /// # Reference
    /// Draxler, Veschgini, Salmhofer, Hamprecht (2018), *Essentially no barriers in neural network
    /// energy landscape*, section 3.2.
    pub fn find_new_pivots(&self, share: f64, max_pivots: usize) -> Vec<NewPivot> {
        let range = self.max() - self.all().fold(f64::INFINITY, f64::min);
        let count = self.between.len() / (self.pivots.len() - 1).max(1);
        let mut rises: Vec<_> = self
            .between
            .chunks(count.max(1))
            .enumerate()
            .filter_map(|(segment, losses)| {
                let (rise, pivot) = self.find_largest_rise(segment, losses)?;
                (rise > share * range).then_some((rise, pivot))
            })
            .collect();
        rises.sort_by(|a, b| b.0.total_cmp(&a.0));
        rises.truncate(max_pivots);
        let mut pivots: Vec<_> = rises.into_iter().map(|(_, pivot)| pivot).collect();
        pivots.sort_by_key(|pivot| pivot.segment);
        pivots
    }

    /// The largest rise above the linear interpolation in a segment, and where it is.
    fn find_largest_rise(&self, segment: usize, losses: &[f64]) -> Option<(f64, NewPivot)> {
        let (from, to) = (self.pivots[segment], self.pivots[segment + 1]);
        let rises = losses.iter().enumerate().map(|(index, &loss)| {
            let position = (index + 1) as f64 / (losses.len() + 1) as f64;
            let interpolation = (1.0 - position) * from + position * to;
            (loss - interpolation, NewPivot { segment, position, loss })
        });
        rises.max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pivot_goes_where_the_loss_rises_most_above_the_line() {
        let profile =
            LossProfile { pivots: &[0.0, 1.0, 0.0], between: &[0.25, 0.5, 0.8, 0.9, 1.4, 0.2] };
        // Above the lines by 0, 0, 0.05 and 0.15, 0.9, -0.05, of a range of 1.4.
        let first = NewPivot { segment: 0, position: 0.75, loss: 0.8 };
        let second = NewPivot { segment: 1, position: 0.5, loss: 1.4 };
        assert_eq!(profile.find_new_pivots(0.2, 9), [second]);
        assert_eq!(profile.find_new_pivots(0.01, 9), [first, second]);
        assert_eq!(profile.find_new_pivots(0.01, 1), [second]);
    }

    #[test]
    fn a_straight_profile_needs_no_pivot() {
        let profile = LossProfile { pivots: &[1.0, 2.0], between: &[1.25, 1.5, 1.75] };
        assert!(profile.find_new_pivots(0.0, 9).is_empty());
    }
}
