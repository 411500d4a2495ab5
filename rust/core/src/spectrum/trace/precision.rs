//! When an estimate is good enough.

use crate::error::{Error, require};

/// A standard error that is small enough, and the products that may be spent on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Relative to the |estimate|.
    pub relative: f64,
    /// In the estimate's own units; either of the two is enough.
    pub absolute: f64,
    /// How many products may be made.
    pub max_products: usize,
    /// The probability with which an interval contains the truth.
    pub level: f64,
}

impl Precision {
    pub(super) fn checked(self) -> Result<Self, Error> {
        let wanted = |error: f64| error.is_finite() && error >= 0.0;
        require!(
            wanted(self.relative) && wanted(self.absolute) && self.relative + self.absolute > 0.0,
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

    /// The largest standard error that is good enough.
    pub(super) fn allowed(&self, value: f64) -> f64 {
        self.absolute.max(self.relative * value.abs())
    }

    /// How many independent samples of this variance have a good enough mean.
    pub(super) fn samples(&self, value: f64, variance: f64) -> f64 {
        if variance == 0.0 {
            return 0.0;
        }
        variance / self.allowed(value).powi(2)
    }
}
