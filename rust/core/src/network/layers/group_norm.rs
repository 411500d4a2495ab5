//! Normalisation of groups of a sample's channels, with γ and β for each channel (Wu & He 2018).

use serde::Deserialize;

use crate::error::{Error, require};
use crate::network::kernel::Real;
use crate::network::layers::{BuiltLayer, LayerSpec, sample_norm};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    groups: usize,
    eps: f64,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { groups, eps } = spec.options()?;
    let [shape] = spec.inputs()?;
    require!(
        groups > 0 && shape.channels.is_multiple_of(groups),
        "got {groups} groups for {} channels; pass a divisor",
        shape.channels
    );
    sample_norm::build_sample_norm(spec, groups, shape.positions(), eps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    fn build_norm(mut sketch: Sketch, groups: usize, shape: &[usize], affine: bool) -> Sketch {
        let last = sketch.last();
        let parameters = [sketch.add_varied(&shape[..1]), sketch.add_varied(&shape[..1])];
        let parameters = parameters.map(|index| affine.then_some(index));
        let options = json!({"groups": groups, "eps": 0.01});
        sketch.add_node("group_norm", &[last], &parameters, options, shape);
        sketch
    }

    #[test]
    fn groups_of_channels_are_normalised_by_themselves() {
        let sketch = build_norm(Sketch::new(&[4, 3]), 2, &[4, 3], true);
        let (gamma, beta) = sketch.theta.split_at(4);
        let inputs = sketch.numbers(1, 24);
        let mut expected = Vec::new();
        for (index, x) in inputs.chunks(6).enumerate() {
            let mean = x.iter().sum::<f64>() / 6.0;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 6.0;
            expected.extend(x.iter().enumerate().map(|(feature, x)| {
                let channel = index % 2 * 2 + feature / 3;
                gamma[channel] * (x - mean) / (variance + 0.01).sqrt() + beta[channel]
            }));
        }
        close("group_norm", "output", &sketch.outputs(&inputs), &expected, 1e-13);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        check(&build_norm(Sketch::moving(&[4, 3]), 2, &[4, 3], true));
        check(&build_norm(Sketch::moving(&[6, 2, 2]), 3, &[6, 2, 2], false));
        let whole = build_norm(Sketch::moving(&[2, 2, 2]), 1, &[2, 2, 2], true);
        check(&whole.then("tanh", json!({}), &[2, 2, 2]));
    }

    #[test]
    fn groups_divide_channels() {
        for groups in [0, 3] {
            let sketch = build_norm(Sketch::new(&[4, 2]), groups, &[4, 2], true);
            assert!(sketch.refusal().contains("groups for 4 channels"));
        }
    }
}
