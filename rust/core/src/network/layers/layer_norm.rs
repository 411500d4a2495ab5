//! Normalisation of all features of a sample, with γ and β for each (Ba, Kiros & Hinton 2016).

use serde::Deserialize;

use crate::error::Error;
use crate::network::kernel::Real;
use crate::network::layers::{BuiltLayer, LayerSpec, sample_norm};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    eps: f64,
}

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    let Options { eps } = spec.options()?;
    sample_norm::build_sample_norm(spec, 1, 1, eps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check, close};

    fn build_norm(mut sketch: Sketch, shape: &[usize], affine: bool) -> Sketch {
        let last = sketch.last();
        let parameters = [sketch.add_varied(shape), sketch.add_varied(shape)];
        let parameters = parameters.map(|index| affine.then_some(index));
        sketch.add_node("layer_norm", &[last], &parameters, json!({"eps": 0.01}), shape);
        sketch
    }

    #[test]
    fn a_sample_is_normalised_by_itself() {
        let sketch = build_norm(Sketch::new(&[2, 2]), &[2, 2], true);
        let (gamma, beta) = sketch.theta.split_at(4);
        let inputs = sketch.numbers(1, 12);
        let mut expected = Vec::new();
        for x in inputs.chunks(4) {
            let mean = x.iter().sum::<f64>() / 4.0;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
            let parameters = gamma.iter().zip(beta);
            expected.extend(
                x.iter()
                    .zip(parameters)
                    .map(|(x, (gamma, beta))| gamma * (x - mean) / (variance + 0.01).sqrt() + beta),
            );
        }
        close("layer_norm", "output", &sketch.outputs(&inputs), &expected, 1e-13);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        check(&build_norm(Sketch::moving(&[5]), &[5], true));
        check(&build_norm(Sketch::moving(&[5]), &[5], false));
        check(&build_norm(Sketch::moving(&[2, 3]), &[2, 3], true).then("tanh", json!({}), &[2, 3]));
    }

    /// Lanes without a sample are all zeros and have no standard deviation.
    #[test]
    fn empty_lanes_have_no_effect_even_without_epsilon() {
        let mut sketch = Sketch::new(&[3]);
        sketch.add_node("layer_norm", &[0], &[None, None], json!({"eps": 0.0}), &[3]);
        let weight = sketch.add_varied(&[2, 3]);
        sketch.add_node("linear", &[1], &[Some(weight), None], json!({}), &[2]);
        check(&sketch);
    }

    #[test]
    fn malformed_norms_are_refused() {
        let said = |eps: f64, count: usize| {
            let mut sketch = Sketch::new(&[2, 2]);
            let gamma = Some(sketch.add_varied(&[count]));
            sketch.add_node("layer_norm", &[0], &[gamma, None], json!({"eps": eps}), &[2, 2]);
            sketch.refusal()
        };
        assert!(said(-1.0, 4).contains("eps = -1"));
        assert!(said(0.1, 2).contains("pass 4 numbers"));
    }
}
