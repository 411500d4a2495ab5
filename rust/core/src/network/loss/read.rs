//! Loss functions read from JSON.

use serde::Deserialize;

use crate::error::Error;
use crate::network::loss::bce::Bce;
use crate::network::loss::cross_entropy::CrossEntropy;
use crate::network::loss::elements::Elements;
use crate::network::loss::huber::Huber;
use crate::network::loss::l1::L1;
use crate::network::loss::mse::Mse;
use crate::network::loss::nll::Nll;
use crate::network::loss::{Loss, Targets};
use crate::network::shape::Shape;

/// A loss and its options, all of which have PyTorch's defaults.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum LossSpec {
    CrossEntropy {
        weight: Option<Vec<f64>>,
        #[serde(default = "default_ignore_index")]
        ignore_index: i64,
        #[serde(default)]
        label_smoothing: f64,
    },
    Nll {
        weight: Option<Vec<f64>>,
        #[serde(default = "default_ignore_index")]
        ignore_index: i64,
    },
    Mse {},
    L1 {},
    Huber {
        #[serde(default = "default_delta")]
        delta: f64,
    },
    BceWithLogits {
        weight: Option<Vec<f64>>,
        pos_weight: Option<Vec<f64>>,
    },
}

fn default_ignore_index() -> i64 {
    -100
}

fn default_delta() -> f64 {
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
/// Targets are classes for `nll`, classes or probabilities for `cross_entropy`, and a number
/// for each output for all others.
///
/// # Errors
/// [`Error::Invalid`] for other JSON, options out of range, or targets that do not fit the outputs.
pub fn from_json(json: &str, targets: Targets, shape: Shape) -> Result<Box<dyn Loss>, Error> {
    let loss: LossSpec = serde_json::from_str(json)
        .map_err(|cause| Error::Invalid(format!("got a loss that cannot be read: {cause}")))?;
    Ok(match loss {
        LossSpec::CrossEntropy { weight, ignore_index, label_smoothing } => {
            Box::new(CrossEntropy::new(targets, shape, weight, ignore_index, label_smoothing)?)
        }
        LossSpec::Nll { weight, ignore_index } => {
            Box::new(Nll::new(targets, shape, weight, ignore_index)?)
        }
        LossSpec::Mse {} => Box::new(Elements::new(Mse, targets, shape)?),
        LossSpec::L1 {} => Box::new(Elements::new(L1, targets, shape)?),
        LossSpec::Huber { delta } => Box::new(Elements::new(Huber::new(delta)?, targets, shape)?),
        LossSpec::BceWithLogits { weight, pos_weight } => {
            let rule = Bce::new(shape.features(), weight, pos_weight)?;
            Box::new(Elements::new(rule, targets, shape)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::from_json;
    use crate::network::loss::Targets;
    use crate::network::loss::checks::{classes, dense};
    use crate::network::shape::Shape;

    fn refusal(json: &str, targets: Targets) -> String {
        let shape = Shape::new(3, 1, 2).expect("small");
        match from_json(json, targets, shape) {
            Ok(_) => panic!("{json} was read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn errors_name_what_does_not_fit() {
        let labels = || classes(&[0, 1, 2, -100], 2);
        let numbers = || dense(&[0.0; 12], 6);
        for (json, targets, advice) in [
            (r#"{"kind":"hinge"}"#, labels(), "unknown variant `hinge`"),
            (r#"{"kind":"mse","reduction":"sum"}"#, numbers(), "unknown field `reduction`"),
            (r#"{"kind":"nll","label_smoothing":0.1}"#, labels(), "unknown field"),
            (r#"{"kind":"nll","weight":[1e999]}"#, labels(), "out of range"),
            (r#"{"kind":"mse"}"#, labels(), "MSE got classes"),
            (r#"{"kind":"nll"}"#, numbers(), "NLL got numbers"),
            (r#"{"kind":"mse"}"#, dense(&[0.0; 12], 4), "rows of 4; pass rows of 6"),
            (r#"{"kind":"mse"}"#, dense(&[0.0; 13], 6), "got 13 targets"),
            (r#"{"kind":"mse"}"#, dense(&[], 0), "rows of 0"),
            (r#"{"kind":"nll"}"#, classes(&[0; 4], 1), "rows of 1; pass rows of 2"),
            (r#"{"kind":"nll"}"#, classes(&[0; 3], 2), "got 3 classes"),
            (r#"{"kind":"nll"}"#, classes(&[0, 3], 2), "target 3; pass classes 0 to 2"),
            (r#"{"kind":"nll"}"#, classes(&[0, -1], 2), "target -1"),
            (r#"{"kind":"nll"}"#, classes(&[0, i64::MAX], 2), "target 9223372036854775807"),
            (r#"{"kind":"nll","ignore_index":0}"#, labels(), "target -100"),
            (r#"{"kind":"nll","weight":[1,2]}"#, labels(), "got 2 numbers as weight; pass 3"),
            (r#"{"kind":"cross_entropy","label_smoothing":1.5}"#, labels(), "from 0 to 1"),
            (r#"{"kind":"huber","delta":0}"#, numbers(), "delta 0"),
            (r#"{"kind":"bce_with_logits","weight":[1,2]}"#, numbers(), "2 numbers as weight"),
            (r#"{"kind":"bce_with_logits","pos_weight":[]}"#, numbers(), "0 numbers as pos_weight"),
        ] {
            let refusal = refusal(json, targets);
            assert!(refusal.contains(advice), "{json}: {refusal}");
        }
    }

    #[test]
    fn absent_options_may_be_null_and_no_samples_may_be_given() {
        let shape = Shape::new(3, 1, 2).expect("small");
        let json = r#"{"kind":"cross_entropy","weight":null,"ignore_index":-100}"#;
        assert_eq!(from_json(json, classes(&[], 2), shape).expect("none").samples(), 0);
        let json = r#"{"kind":"bce_with_logits","weight":null}"#;
        assert_eq!(from_json(json, dense(&[0.0; 12], 6), shape).expect("two").samples(), 2);
    }

    fn anything() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            Just("null".to_owned()),
            any::<f64>().prop_map(|x| format!("{x:?}")),
            any::<i64>().prop_map(|x| x.to_string()),
            proptest::collection::vec(any::<f32>(), 0..8).prop_map(|x| format!("{x:?}")),
            ".{0,8}",
        ];
        let name = prop_oneof![
            Just("weight"),
            Just("pos_weight"),
            Just("ignore_index"),
            Just("label_smoothing"),
            Just("delta"),
            Just("kind"),
        ];
        let kind = prop_oneof![
            Just("cross_entropy"),
            Just("nll"),
            Just("mse"),
            Just("l1"),
            Just("huber"),
            Just("bce_with_logits"),
        ];
        (kind, proptest::collection::vec((name, value), 0..4)).prop_map(|(kind, fields)| {
            let fields = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#));
            let kind = format!(r#""kind":"{kind}""#);
            format!("{{{}}}", iter::once(kind).chain(fields).collect::<Vec<_>>().join(","))
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            json in prop_oneof![anything(), ".{0,40}"],
            labels in proptest::collection::vec(-101_i64..4, 0..8),
            numbers in proptest::collection::vec(any::<f64>(), 0..13),
            row in 0_usize..8,
        ) {
            let shape = Shape::new(3, 1, 2).expect("small");
            let _ = from_json(&json, Targets::Classes { classes: labels, positions: row }, shape);
            let _ = from_json(&json, Targets::Dense { values: numbers, width: row }, shape);
        }
    }
}
