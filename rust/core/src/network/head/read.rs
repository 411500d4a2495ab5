//! Losses from JSON.

use serde::Deserialize;

use crate::error::Error;
use crate::network::head::bce::Bce;
use crate::network::head::cross_entropy::CrossEntropy;
use crate::network::head::elements::Elements;
use crate::network::head::huber::Huber;
use crate::network::head::l1::L1;
use crate::network::head::mse::Mse;
use crate::network::head::nll::Nll;
use crate::network::head::{Head, Targets};
use crate::network::shape::Shape;

/// A loss and its options, all of which have PyTorch's defaults.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Loss {
    CrossEntropy {
        weight: Option<Vec<f64>>,
        #[serde(default = "ignored")]
        ignore_index: i64,
        #[serde(default)]
        label_smoothing: f64,
    },
    Nll {
        weight: Option<Vec<f64>>,
        #[serde(default = "ignored")]
        ignore_index: i64,
    },
    Mse {},
    L1 {},
    Huber {
        #[serde(default = "one")]
        delta: f64,
    },
    BceWithLogits {
        weight: Option<Vec<f64>>,
        pos_weight: Option<Vec<f64>>,
    },
}

fn ignored() -> i64 {
    -100
}

fn one() -> f64 {
    1.0
}

/// A loss of outputs of a shape, with the targets of all samples.
///
/// The JSON is an object with the field `kind` and PyTorch's options:
///
/// | kind | options |
/// |---|---|
/// | `cross_entropy` | `weight` of each class, `ignore_index`, `label_smoothing` |
/// | `nll` | `weight` of each class, `ignore_index` |
/// | `mse`, `l1` | |
/// | `huber` | `delta` |
/// | `bce_with_logits` | `weight` and `pos_weight` of each output |
///
/// Classes are what `nll` takes, classes or probabilities what `cross_entropy` does, and a number
/// for each output what all others do.
///
/// # Errors
/// [`Error::Invalid`] for other JSON, options out of range, or targets that do not fit the outputs.
pub fn from_json(json: &str, targets: Targets, shape: Shape) -> Result<Box<dyn Head>, Error> {
    let loss: Loss = serde_json::from_str(json)
        .map_err(|cause| Error::Invalid(format!("got a loss that cannot be read: {cause}")))?;
    Ok(match loss {
        Loss::CrossEntropy { weight, ignore_index, label_smoothing } => {
            Box::new(CrossEntropy::new(targets, shape, weight, ignore_index, label_smoothing)?)
        }
        Loss::Nll { weight, ignore_index } => {
            Box::new(Nll::new(targets, shape, weight, ignore_index)?)
        }
        Loss::Mse {} => Box::new(Elements::new(Mse, targets, shape)?),
        Loss::L1 {} => Box::new(Elements::new(L1, targets, shape)?),
        Loss::Huber { delta } => Box::new(Elements::new(Huber::new(delta)?, targets, shape)?),
        Loss::BceWithLogits { weight, pos_weight } => {
            let rule = Bce::new(shape.features(), weight, pos_weight)?;
            Box::new(Elements::new(rule, targets, shape)?)
        }
    })
}
