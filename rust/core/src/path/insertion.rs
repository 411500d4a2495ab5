//! Where a band is too coarse.

/// Where a pivot is wanted: at a share of a segment, and the loss that was seen there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub segment: usize,
    pub share: f64,
    pub loss: f64,
}

/// What losses between the pivots of a band say.
pub(super) struct Profile<'a> {
    /// At the pivots.
    pub pivots: &'a [f64],
    /// Between them, at equal distances, as many in every segment.
    pub between: &'a [f64],
}

impl Profile<'_> {
    /// The largest loss of all.
    pub fn highest(&self) -> f64 {
        self.all().fold(f64::NEG_INFINITY, f64::max)
    }

    fn all(&self) -> impl Iterator<Item = f64> + '_ {
        self.pivots.iter().chain(self.between).copied()
    }

    /// The place of the largest rise above the straight line between two pivots,
    /// in every segment where it exceeds a share of the whole range of losses; the worst `most`.
    ///
    /// # Reference
    /// Draxler, Veschgini, Salmhofer, Hamprecht (2018), *Essentially no barriers in neural network
    /// energy landscape*, section 3.2.
    pub fn coarse(&self, share: f64, most: usize) -> Vec<Place> {
        let range = self.highest() - self.all().fold(f64::INFINITY, f64::min);
        let count = self.between.len() / (self.pivots.len() - 1).max(1);
        let mut found: Vec<_> = self
            .between
            .chunks(count.max(1))
            .enumerate()
            .filter_map(|(segment, losses)| {
                let (excess, place) = self.excess(segment, losses)?;
                (excess > share * range).then_some((excess, place))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(most);
        let mut places: Vec<_> = found.into_iter().map(|(_, place)| place).collect();
        places.sort_by_key(|place| place.segment);
        places
    }

    /// The largest rise above the line of a segment, and its place.
    fn excess(&self, segment: usize, losses: &[f64]) -> Option<(f64, Place)> {
        let (from, to) = (self.pivots[segment], self.pivots[segment + 1]);
        let rises = losses.iter().enumerate().map(|(index, &loss)| {
            let share = (index + 1) as f64 / (losses.len() + 1) as f64;
            (loss - ((1.0 - share) * from + share * to), Place { segment, share, loss })
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
            Profile { pivots: &[0.0, 1.0, 0.0], between: &[0.25, 0.5, 0.8, 0.9, 1.4, 0.2] };
        // Above the lines by 0, 0, 0.05 and 0.15, 0.9, -0.05, of a range of 1.4.
        let first = Place { segment: 0, share: 0.75, loss: 0.8 };
        let second = Place { segment: 1, share: 0.5, loss: 1.4 };
        assert_eq!(profile.coarse(0.2, 9), [second]);
        assert_eq!(profile.coarse(0.01, 9), [first, second]);
        assert_eq!(profile.coarse(0.01, 1), [second]);
    }

    #[test]
    fn a_straight_profile_wants_no_pivot() {
        let profile = Profile { pivots: &[1.0, 2.0], between: &[1.25, 1.5, 1.75] };
        assert!(profile.coarse(0.0, 9).is_empty());
    }
}
