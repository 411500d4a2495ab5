//! What can go wrong in a computation, and who is to blame.

use std::error::Error as StdError;
use std::fmt;

/// Why a computation ended without a result.
#[derive(Debug)]
pub enum Error {
    /// The caller's arguments: what was given, what was expected, what to do.
    Invalid(String),
    /// The supplier of the loss failed. Its own error travels unchanged, so that a Python exception
    /// leaves the core as the object it entered as, although the core knows no Python.
    Supplier(Box<dyn StdError + Send + Sync>),
    /// A number that must be finite is not, and the algorithm cannot go on: where it was seen, and
    /// what is likely to have made it.
    NonFinite(String),
    /// What was asked for does not fit into memory: the bytes that it would take.
    Memory(String),
    /// Somebody raised the flag that asks a computation to stop.
    Cancelled,
}

impl Error {
    /// The error of a supplier that failed for its own reasons.
    pub fn supplier(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Supplier(cause.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(advice) | Self::NonFinite(advice) | Self::Memory(advice) => {
                f.write_str(advice)
            }
            Self::Supplier(cause) => write!(f, "the supplier of the loss failed: {cause}"),
            Self::Cancelled => f.write_str("the computation was cancelled"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Supplier(cause) => Some(cause.as_ref()),
            Self::Invalid(_) | Self::NonFinite(_) | Self::Memory(_) | Self::Cancelled => None,
        }
    }
}

/// Returns early with [`Error::Invalid`] unless a condition on the caller's arguments holds.
macro_rules! require {
    ($condition:expr, $($advice:tt)+) => {
        if !$condition {
            return Err($crate::error::Error::Invalid(format!($($advice)+)));
        }
    };
}
pub(crate) use require;
