//! A harness for tests of losses, and the tests that apply to all losses.

use super::{Curvature, Loss, Outputs, Scratch, Targets, from_json};
use crate::isa::Isa;
use crate::network::shape::Shape;
use crate::random::Gaussian;

/// A loss with its targets.
pub(super) struct Case {
    pub loss: Box<dyn Loss>,
    pub shape: Shape,
}

impl Case {
    /// The loss of valid JSON.
    pub fn new(json: &str, channels: usize, positions: usize, targets: Targets) -> Self {
        let shape = Shape::new(channels, 1, positions).expect("small");
        Self { loss: from_json(json, targets, shape).expect(json), shape }
    }

    /// Calls `work` on a panel: outputs (samples, features) in its first lanes, NaN in all others.
    fn on_panel<R>(
        &self,
        lanes: usize,
        samples: &[usize],
        rows: &[Vec<f64>],
        work: impl FnOnce(&Outputs<'_>, &mut Scratch) -> R,
    ) -> R {
        let values = self.panel(lanes, rows);
        let outputs = Outputs { isa: Isa::detect(), values: &values, lanes, samples };
        work(&outputs, &mut Scratch::default())
    }

    fn panel(&self, lanes: usize, rows: &[Vec<f64>]) -> Vec<f64> {
        let mut values = vec![f64::NAN; self.shape.features() * lanes];
        for (lane, row) in rows.iter().enumerate() {
            for (feature, value) in row.iter().enumerate() {
                values[feature * lanes + lane] = *value;
            }
        }
        values
    }

    /// The loss of a sample.
    pub fn loss(&self, sample: usize, z: &[f64]) -> f64 {
        self.on_panel(8, &[sample], &[z.to_vec()], |outputs, scratch| {
            let mut out = [f64::NAN; 8];
            self.loss.losses(outputs, scratch, &mut out);
            assert_eq!(out[1..], [0.0; 7], "lanes without samples");
            out[0]
        })
    }

    /// The gradient of a sample.
    pub fn gradient(&self, sample: usize, z: &[f64]) -> Vec<f64> {
        self.on_panel(8, &[sample], &[z.to_vec()], |outputs, scratch| {
            let mut out = vec![f64::NAN; outputs.values.len()];
            self.loss.gradients(outputs, scratch, &mut out);
            first_lane(&out)
        })
    }

    /// H t of a sample.
    pub fn product(&self, kind: Curvature, sample: usize, z: &[f64], t: &[f64]) -> Vec<f64> {
        let tangent = self.panel(8, &[t.to_vec()]);
        self.on_panel(8, &[sample], &[z.to_vec()], |outputs, scratch| {
            let mut out = vec![f64::NAN; outputs.values.len()];
            self.loss.multiply_curvature(kind, outputs, &tangent, scratch, &mut out);
            first_lane(&out)
        })
    }

    /// H of a sample, by columns.
    pub fn matrix(&self, kind: Curvature, sample: usize, z: &[f64]) -> Vec<Vec<f64>> {
        let column = |j: usize| {
            let unit: Vec<f64> = (0..z.len()).map(|i| if i == j { 1.0 } else { 0.0 }).collect();
            self.product(kind, sample, z, &unit)
        };
        (0..z.len()).map(column).collect()
    }

    /// The hits of a sample.
    pub fn hits(&self, sample: usize, z: &[f64]) -> f64 {
        self.on_panel(8, &[sample], &[z.to_vec()], |outputs, _| {
            let mut out = [f64::NAN; 8];
            self.loss.hits().expect("guesses").hits(outputs, &mut out);
            assert_eq!(out[1..], [0.0; 7], "lanes without samples");
            out[0]
        })
    }
}

/// The numbers of the first lane of eight; all others must be 0.
fn first_lane(out: &[f64]) -> Vec<f64> {
    for row in out.chunks(8) {
        assert_eq!(row[1..], [0.0; 7], "lanes without samples");
    }
    out.iter().step_by(8).copied().collect()
}

/// Normal numbers.
pub(super) fn normals(seed: u64, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    Gaussian::new(seed, 0).fill(0, &mut values);
    values
}

/// Asserts that numbers are close relative to the largest.
pub(super) fn near(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |scale, x| scale.max(x.abs()));
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * scale, "got {actual:?}, expected {expected:?}");
    }
}

/// Classes for positions of samples.
pub(super) fn classes(classes: &[i64], positions: usize) -> Targets {
    Targets::Classes { classes: classes.to_vec(), positions }
}

/// Numbers for outputs of samples.
pub(super) fn dense(values: &[f64], width: usize) -> Targets {
    Targets::Dense { values: values.to_vec(), width }
}

const SAMPLES: usize = 11;

/// Every loss with every option, on eleven samples.
fn all() -> Vec<Case> {
    let labels = |count: i64, positions: usize| -> Vec<i64> {
        let all = (0..).map(|i: i64| (i * 7 + i / 3) % count).take(SAMPLES * positions);
        all.map(|class| if class == 2 { -100 } else { class }).collect()
    };
    let some = |width: usize| dense(&normals(3, SAMPLES * width), width);
    let shares: Vec<f64> = normals(4, SAMPLES * 6).iter().map(|x| x.abs() / 3.0).collect();
    let weighted = r#""weight":[0.5,2.0,1.0,0.25]"#;
    let smooth = format!(r#"{{"kind":"cross_entropy",{weighted},"label_smoothing":0.1}}"#);
    let negative = r#"{"kind":"cross_entropy","weight":[0.5,-2.0,1.0,0.25]}"#;
    let shared = r#"{"kind":"cross_entropy","weight":[1,2,0.5],"label_smoothing":0.2}"#;
    let bce = r#"{"kind":"bce_with_logits","weight":[1,2,0.5],"pos_weight":[3,0.5,1]}"#;
    vec![
        Case::new(r#"{"kind":"cross_entropy"}"#, 10, 1, classes(&labels(10, 1), 1)),
        Case::new(&smooth, 4, 3, classes(&labels(4, 3), 3)),
        Case::new(negative, 4, 1, classes(&labels(4, 1), 1)),
        Case::new(shared, 3, 2, dense(&shares, 6)),
        Case::new(&format!(r#"{{"kind":"nll",{weighted}}}"#), 4, 2, classes(&labels(4, 2), 2)),
        Case::new(r#"{"kind":"mse"}"#, 1, 1, some(1)),
        Case::new(r#"{"kind":"l1"}"#, 3, 2, some(6)),
        Case::new(r#"{"kind":"huber","delta":0.7}"#, 5, 1, some(5)),
        Case::new(bce, 3, 1, some(3)),
    ]
}

#[test]
fn gradients_agree_with_differences_of_losses() {
    for case in all() {
        for sample in 0..SAMPLES {
            let z = normals(sample as u64, case.shape.features());
            let differences: Vec<f64> = (0..z.len())
                .map(|i| {
                    let at = |step: f64| {
                        let mut z = z.clone();
                        z[i] += step;
                        case.loss(sample, &z)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                })
                .collect();
            near(&case.gradient(sample, &z), &differences, 1e-8);
        }
    }
}

#[test]
fn hessians_agree_with_differences_of_gradients() {
    for case in all() {
        for sample in 0..SAMPLES {
            let (z, t) =
                (normals(sample as u64, case.shape.features()), normals(99, case.shape.features()));
            let at = |step: f64| {
                let z: Vec<f64> = z.iter().zip(&t).map(|(z, t)| z + step * t).collect();
                case.gradient(sample, &z)
            };
            let differences: Vec<f64> =
                at(1e-5).iter().zip(at(-1e-5)).map(|(a, b)| (a - b) / 2e-5).collect();
            near(&case.product(Curvature::Hessian, sample, &z, &t), &differences, 1e-8);
        }
    }
}

#[test]
fn curvature_is_symmetric_and_semidefinite_where_expected() {
    let kinds = [Curvature::GaussNewton, Curvature::Fisher, Curvature::EmpiricalFisher];
    for case in all() {
        for kind in kinds.into_iter().chain([Curvature::Hessian]) {
            if case.loss.check_curvature(kind).is_err() {
                continue;
            }
            let (z, t) = (normals(5, case.shape.features()), normals(6, case.shape.features()));
            for sample in 0..SAMPLES {
                let matrix = case.matrix(kind, sample, &z);
                let product: Vec<f64> =
                    (0..z.len()).map(|i| (0..z.len()).map(|j| matrix[j][i] * t[j]).sum()).collect();
                near(&case.product(kind, sample, &z, &t), &product, 1e-13);
                let transposed: Vec<f64> =
                    (0..z.len()).map(|i| (0..z.len()).map(|j| matrix[i][j] * t[j]).sum()).collect();
                near(&transposed, &product, 1e-13);
                let form: f64 = t.iter().zip(&product).map(|(t, h)| t * h).sum();
                assert!(kind == Curvature::Hessian || form >= -1e-13, "{kind:?} is {form}");
            }
        }
    }
}

#[test]
fn empirical_fisher_is_the_outer_product_of_gradients() {
    for case in all() {
        let (z, t) = (normals(7, case.shape.features()), normals(8, case.shape.features()));
        let gradient = case.gradient(4, &z);
        let inner: f64 = gradient.iter().zip(&t).map(|(s, t)| s * t).sum();
        let expected: Vec<f64> = gradient.iter().map(|s| s * inner).collect();
        near(&case.product(Curvature::EmpiricalFisher, 4, &z, &t), &expected, 1e-14);
    }
}

#[test]
fn a_sample_has_the_same_numbers_in_any_lane_of_any_panel() {
    for case in all() {
        for lanes in [8, 16] {
            let samples = &[9, 3, 0, 10, 4, 8, 1, 6, 2, 7, 5][..lanes.min(SAMPLES) - 1];
            let rows: Vec<Vec<f64>> =
                samples.iter().map(|&s| normals(s as u64, case.shape.features())).collect();
            case.on_panel(lanes, samples, &rows, |outputs, scratch| {
                let mut losses = vec![f64::NAN; lanes];
                case.loss.losses(outputs, scratch, &mut losses);
                let mut gradients = vec![f64::NAN; outputs.values.len()];
                case.loss.gradients(outputs, scratch, &mut gradients);
                for (lane, (&sample, z)) in samples.iter().zip(&rows).enumerate() {
                    assert_eq!(losses[lane], case.loss(sample, z));
                    let gradient: Vec<f64> =
                        gradients.iter().skip(lane).step_by(lanes).copied().collect();
                    assert_eq!(gradient, case.gradient(sample, z));
                }
                assert!(losses[samples.len()..].iter().all(|&loss| loss == 0.0));
            });
        }
    }
}
