//! Checks of the layers' rules: small random networks, against central differences.

mod sketch;

pub(super) use sketch::Sketch;

use crate::isa::Isa;
use crate::network::Network;
use crate::network::fused_forward::{FusedBuffers, FusedForward, NoInputProducts};
use crate::network::kernel::Real;
use crate::network::pass::{Moments, Packed, Pass};
use crate::network::tape::{Tape, TapeTangents};

/// Steps of central differences; where one crosses a kink, the other may not.
const STEPS: [f64; 2] = [1e-5, 1e-6];

/// The weight of the squared outputs in L, so that its gradient varies.
const SQUARE: f64 = 0.3;

/// The results of all passes for L = ⟨c, y⟩ + 0.15 ‖y‖² over the samples.
pub(super) struct Outcome {
    /// (samples, features).
    pub outputs: Vec<f64>,
    pub loss: f64,
    pub gradient: Vec<f64>,
    /// The tangent of the outputs.
    pub output_tangent: Vec<f64>,
    /// The tangent of the gradient.
    pub gradient_tangent: Vec<f64>,
}

/// Checks all rules of a network under running and batch statistics, for numbers of samples that
/// fill panels, that fill the last one partly, and that do not fill one.
pub(super) fn check(sketch: &Sketch) {
    for moments in [Moments::Stored, Moments::Batch] {
        for samples in [1, 5, 16, 19] {
            if samples > 1 || moments == Moments::Stored {
                check_block(sketch, moments, samples);
            }
        }
    }
}

/// Checks all rules on one block of samples.
pub(super) fn check_block(sketch: &Sketch, moments: Moments, samples: usize) {
    let network = sketch.network::<f64>().expect("a graph");
    let dim = network.dim();
    let inputs = sketch.numbers(11, samples * network.input().features());
    let (theta, frozen) = (&sketch.theta, &sketch.frozen);
    let (u, v) = (sketch.numbers(12, dim), sketch.numbers(13, dim));
    let at = |theta: &[f64], direction: &[f64]| {
        outcome(&network, moments, theta, frozen, direction, &inputs, samples)
    };
    let (along_u, along_v) = (at(theta, &u), at(theta, &v));
    let ends = |step: f64| {
        let end =
            |step: f64| -> Vec<f64> { theta.iter().zip(&v).map(|(x, v)| x + step * v).collect() };
        (at(&end(step), &v), at(&end(-step), &v))
    };
    let context = format!("{moments:?}, {samples} samples");
    agree(&context, "gradient", &[dot(&along_v.gradient, &v)], 1e-6, |step| {
        let (up, down) = ends(step);
        vec![(up.loss - down.loss) / (2.0 * step)]
    });
    agree(&context, "tangent", &along_v.output_tangent, 1e-6, |step| {
        let (up, down) = ends(step);
        difference(&up.outputs, &down.outputs, step)
    });
    agree(&context, "second order", &along_v.gradient_tangent, 1e-6, |step| {
        let (up, down) = ends(step);
        difference(&up.gradient, &down.gradient, step)
    });
    let (uhv, vhu) = (dot(&u, &along_v.gradient_tangent), dot(&v, &along_u.gradient_tangent));
    let size = 1.0
        + norm(&u) * norm(&along_v.gradient_tangent)
        + norm(&v) * norm(&along_u.gradient_tangent);
    assert!((uhv - vhu).abs() <= 1e-10 * size, "{context}: ⟨u, Hv⟩ = {uhv}, ⟨v, Hu⟩ = {vhu}");
    check_single(sketch, moments, samples, &inputs, &v, &along_v);
    if moments == Moments::Stored {
        let outputs = run_fused(&network, theta, frozen, &inputs, samples);
        close(&context, "fused forward", &outputs, &along_v.outputs, 1e-12);
    }
}

/// Checks that f32 agrees with f64 to its precision.
fn check_single(
    sketch: &Sketch,
    moments: Moments,
    samples: usize,
    inputs: &[f64],
    v: &[f64],
    expected: &Outcome,
) {
    let network = sketch.network::<f32>().expect("a graph");
    let (theta, frozen) = (&sketch.theta, &sketch.frozen);
    let single = outcome(&network, moments, theta, frozen, v, inputs, samples);
    let context = format!("{moments:?}, {samples} samples, f32");
    close(&context, "outputs", &single.outputs, &expected.outputs, 1e-4);
    close(&context, "gradient", &single.gradient, &expected.gradient, 1e-4);
    close(&context, "tangent", &single.output_tangent, &expected.output_tangent, 1e-4);
    close(&context, "second order", &single.gradient_tangent, &expected.gradient_tangent, 1e-3);
}

/// Runs all passes.
pub(super) fn outcome<T: Real>(
    network: &Network<T>,
    moments: Moments,
    theta: &[f64],
    frozen: &[f64],
    direction: &[f64],
    inputs: &[f64],
    samples: usize,
) -> Outcome {
    let point = pack_point(network, theta, frozen);
    let direction = pack_point(network, direction, &[]);
    let panels = samples.div_ceil(T::LANES);
    let along = Some(&direction);
    let isa = Isa::detect();
    let pass = Pass { isa, point: &point, direction: along, panels, samples, moments };
    let input = arrange_panels::<T>(inputs, network.input().features(), samples);
    let (mut tape, mut along) = (Tape::default(), TapeTangents::default());
    network.evaluate(&pass, &input, &mut tape.values);
    network.propagate_tangents(&pass, &input, &tape.values, &mut along.dots);
    let features = network.output().features();
    let outputs = scatter_samples(&tape.values[network.output], features, samples);
    let output_tangent = scatter_samples(&along.dots[network.output], features, samples);
    let plain = Sketch::normals(14, outputs.len());
    let output_gradient: Vec<f64> =
        outputs.iter().zip(&plain).map(|(y, c)| c + SQUARE * y).collect();
    let output_gradient_tangent: Vec<f64> =
        output_tangent.iter().map(|y_dot| SQUARE * y_dot).collect();
    let loss = dot(&outputs, &plain) + 0.5 * SQUARE * dot(&outputs, &outputs);
    let mut gradient = vec![T::ZERO; network.dim()];
    let mut gradient_tangent = gradient.clone();
    network.seed_adjoints(
        &pass,
        &arrange_panels::<T>(&output_gradient, features, samples),
        &mut tape.bars,
    );
    network.backpropagate(&pass, &input, &tape.values, &mut tape.bars, &mut gradient);
    network.seed_adjoints(
        &pass,
        &arrange_panels::<T>(&output_gradient_tangent, features, samples),
        &mut along.bar_dots,
    );
    network.backpropagate_tangents(&pass, &input, &tape, &mut along, &mut gradient_tangent);
    let wide = |values: Vec<T>| values.into_iter().map(T::widen).collect();
    Outcome {
        outputs,
        loss,
        gradient: wide(gradient),
        output_tangent,
        gradient_tangent: wide(gradient_tangent),
    }
}

/// The outputs of the fused forward pass.
fn run_fused<T: Real>(
    network: &Network<T>,
    theta: &[f64],
    frozen: &[f64],
    inputs: &[f64],
    samples: usize,
) -> Vec<f64> {
    let point = pack_point(network, theta, frozen);
    let fused = FusedForward::new(network);
    let mut derived = Vec::new();
    fused.derive(Isa::detect(), network, &point.forward, &mut derived);
    let input = arrange_panels::<T>(inputs, network.input().features(), samples);
    let mut buffers = FusedBuffers::default();
    let mut outputs = Vec::new();
    for (panel, input) in input.chunks(network.input().features() * T::LANES).enumerate() {
        let samples = (samples - panel * T::LANES).min(T::LANES);
        let isa = Isa::detect();
        let moments = Moments::Stored;
        let pass = Pass { isa, point: &point, direction: None, panels: 1, samples, moments };
        outputs.extend_from_slice(fused.run(
            network,
            &pass,
            &derived,
            input,
            &NoInputProducts,
            &mut buffers,
        ));
    }
    scatter_samples(&outputs, network.output().features(), samples)
}

fn pack_point<T: Real>(network: &Network<T>, theta: &[f64], frozen: &[f64]) -> Packed<T> {
    let narrow = |values: &[f64]| values.iter().map(|&x| T::narrow(x)).collect::<Vec<T>>();
    let (theta, frozen) = (narrow(theta), narrow(frozen));
    let mut point = Packed::default();
    network.forward.pack(&theta, &frozen, &mut point.forward);
    network.backward.pack(&theta, &frozen, &mut point.backward);
    point
}

/// (samples, features) in panels, with zeros in the other lanes.
fn arrange_panels<T: Real>(rows: &[f64], features: usize, samples: usize) -> Vec<T> {
    let mut panels = vec![T::ZERO; samples.div_ceil(T::LANES) * features * T::LANES];
    for (index, &value) in rows.iter().enumerate() {
        panels[panel_index::<T>(index, features)] = T::narrow(value);
    }
    panels
}

fn scatter_samples<T: Real>(panels: &[T], features: usize, samples: usize) -> Vec<f64> {
    (0..samples * features).map(|index| panels[panel_index::<T>(index, features)].widen()).collect()
}

fn panel_index<T: Real>(index: usize, features: usize) -> usize {
    let (sample, feature) = (index / features, index % features);
    (sample / T::LANES * features + feature) * T::LANES + sample % T::LANES
}

/// Asserts that the difference with one of the steps is as expected.
fn agree(context: &str, what: &str, actual: &[f64], bound: f64, by: impl Fn(f64) -> Vec<f64>) {
    let differences = STEPS.map(by);
    let near = |expected: &Vec<f64>| distance(actual, expected) <= bound * (1.0 + norm(expected));
    assert!(differences.iter().any(near), "{context}: {what} is {actual:?}, not {differences:?}");
}

/// Asserts that two vectors are close relative to the second.
pub(super) fn close(context: &str, what: &str, actual: &[f64], expected: &[f64], bound: f64) {
    let far = distance(actual, expected);
    let near = far <= bound * (1.0 + norm(expected));
    assert!(near, "{context}: {what} is {actual:?}, not {expected:?} ({far:e})");
}

fn difference(up: &[f64], down: &[f64], step: f64) -> Vec<f64> {
    up.iter().zip(down).map(|(up, down)| (up - down) / (2.0 * step)).collect()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
