//! The stopping criterion of an estimate: a standard error, and a limit on products.

use crate::error::{Error, require};

/// The minimum number of samples of an estimate: with fewer, the standard error itself is too uncertain
/// for a confidence interval.
pub(super) const MIN_SAMPLES: usize = 30;

/// A sufficiently small standard error, and the products that it may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// The standard error relative to the |estimate|.
    pub relative: f64,
    /// The standard error in the units of the estimate; either of the two suffices.
    pub absolute: f64,
    /// The maximum number of products.
    pub max_products: usize,
    /// The confidence level of intervals.
    pub level: f64,
}

impl Precision {
    pub(super) fn validate(self) -> Result<Self, Error> {
        let valid = |error: f64| error.is_finite() && error >= 0.0;
        require!(
            valid(self.relative) && valid(self.absolute) && self.relative + self.absolute > 0.0,
            "got errors of {} relative and {} absolute; pass a positive one",
            self.relative,
            self.absolute
        );
        require!(self.max_products > 0, "got max_products 0; pass at least 1");
        require!(
            self.level > 0.0 && self.level < 1.0,
            "got level {}; pass a probability between 0 and 1, such as 0.95",
            self.level
        );
        Ok(self)
    }

    /// The largest sufficient standard error.
    pub(super) fn allowed_error(&self, value: f64) -> f64 {
        self.absolute.max(self.relative * value.abs())
    }

    /// The number of independent samples of this variance whose mean has a sufficient standard error.
    pub(super) fn required_samples(&self, value: f64, variance: f64) -> f64 {
        if variance == 0.0 {
            return 0.0;
        }
        variance / self.allowed_error(value).powi(2)
    }
}
