//! Filter normalisation against its definition, entry by entry.

use crate::common::{assert_close, on_threads};
use landscape_core::Gaussian;
use landscape_core::surface::{Normalisation, TensorLayout, normalise};
use proptest::prelude::*;

fn normals(stream: u64, count: usize) -> Vec<f64> {
    let mut out = vec![0.0; count];
    Gaussian::new(30, stream).fill(0, &mut out);
    out
}

fn tensor(offset: usize, [blocks, outer, filters, inner]: [usize; 4]) -> TensorLayout {
    TensorLayout { offset, blocks, outer, filters, inner }
}

/// Positions of the entries of filter (b, f), straight from the definition of the layout.
fn entries(t: TensorLayout, b: usize, f: usize) -> Vec<usize> {
    let mut entries = Vec::new();
    for o in 0..t.outer {
        for i in 0..t.inner {
            entries.push(t.offset + ((b * t.outer + o) * t.filters + f) * t.inner + i);
        }
    }
    entries
}

/// The parts that one factor scales.
fn parts(tensors: &[TensorLayout], kind: Normalisation) -> Vec<Vec<usize>> {
    let filters = |t: &TensorLayout| -> Vec<Vec<usize>> {
        let t = *t;
        (0..t.blocks).flat_map(|b| (0..t.filters).map(move |f| entries(t, b, f))).collect()
    };
    match kind {
        Normalisation::Filter => tensors.iter().flat_map(filters).collect(),
        Normalisation::Layer => tensors.iter().map(|t| filters(t).concat()).collect(),
        Normalisation::Model => vec![tensors.iter().flat_map(filters).collect::<Vec<_>>().concat()],
    }
}

/// The definition, with naive sums.
fn twin(
    direction: &[f64],
    reference: &[f64],
    tensors: &[TensorLayout],
    kind: Normalisation,
) -> Vec<f64> {
    let mut scaled = vec![0.0; direction.len()];
    for part in parts(tensors, kind) {
        let norm = |x: &[f64]| part.iter().map(|&k| x[k] * x[k]).sum::<f64>().sqrt();
        if norm(direction) > 0.0 {
            for &k in &part {
                scaled[k] = direction[k] / norm(direction) * norm(reference);
            }
        }
    }
    scaled
}

fn kinds() -> impl Strategy<Value = Normalisation> {
    use Normalisation::{Filter, Layer, Model};
    prop_oneof![Just(Filter), Just(Layer), Just(Model)]
}

/// Tensors of all shapes, in order, with gaps that nothing covers.
fn layouts() -> impl Strategy<Value = Vec<TensorLayout>> {
    let shape = [1_usize..4, 0..12, 0..12, 0..12];
    prop::collection::vec((shape, 0_usize..5), 1..4).prop_map(|shapes| {
        let mut offset = 0;
        let place = |(shape, gap): ([usize; 4], usize)| {
            offset += gap;
            let placed = tensor(offset, shape);
            offset += shape.iter().product::<usize>();
            placed
        };
        shapes.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn parts_get_the_norm_of_the_reference(
        tensors in layouts(), kind in kinds(), rest in 0_usize..5, zeroed in 0_usize..20,
    ) {
        let last = tensors.last().expect("one at least");
        let length = last.offset + last.blocks * last.outer * last.filters * last.inner + rest;
        let [mut direction, mut reference] = [0, 1].map(|stream| normals(stream, length));
        // Some filters of either vector vanish altogether.
        for (k, part) in parts(&tensors, Normalisation::Filter).iter().enumerate() {
            let vanishing = if k % 2 == 0 { &mut direction } else { &mut reference };
            if k % 20 == zeroed {
                for &entry in part {
                    vanishing[entry] = 0.0;
                }
            }
        }
        let scaled = normalise(&direction, &reference, &tensors, kind).expect("a fitting layout");
        assert_close(&scaled, &twin(&direction, &reference, &tensors, kind), 1e-14);
    }

    #[test]
    fn threads_do_not_change_the_bits(
        shape in [1_usize..3, 1..40, 1..40, 1..40], kind in kinds(), threads in 2_usize..5,
    ) {
        let length = shape.iter().product();
        let [direction, reference] = [0, 1].map(|stream| normals(stream, length));
        let scaled = || normalise(&direction, &reference, &[tensor(0, shape)], kind).expect("fits");
        prop_assert_eq!(on_threads(threads, scaled), on_threads(1, scaled));
    }
}

/// Long runs, long columns and long rows take different ways through memory.
#[test]
fn large_tensors_of_every_aspect_agree_with_the_definition() {
    for shape in [[1, 1, 2, 9_000], [1, 9_000, 2, 1], [1, 2, 9_000, 1], [2, 100, 30, 9]] {
        let length = shape.iter().product();
        let (direction, reference) = (normals(2, length), normals(3, length));
        let layout = [tensor(0, shape)];
        let scaled = normalise(&direction, &reference, &layout, Normalisation::Filter);
        let expected = twin(&direction, &reference, &layout, Normalisation::Filter);
        assert_close(&scaled.expect("a fitting layout"), &expected, 1e-13);
    }
}

/// Scaling a filter's incoming weights by c scales its direction by c: the property that makes
/// filter-normalised surfaces comparable.
#[test]
fn rescaling_a_filter_rescales_its_direction_alone() {
    let layout = [tensor(0, [1, 1, 4, 8])];
    let (direction, reference) = (normals(4, 32), normals(5, 32));
    let mut rescaled = reference.clone();
    rescaled[8..16].iter_mut().for_each(|weight| *weight *= 10.0);
    let scale = |theta: &[f64]| normalise(&direction, theta, &layout, Normalisation::Filter);
    let (before, after) = (scale(&reference).expect("fits"), scale(&rescaled).expect("fits"));
    assert_close(&after[8..16], &before[8..16].iter().map(|x| 10.0 * x).collect::<Vec<_>>(), 1e-15);
    assert_eq!((&after[..8], &after[16..]), (&before[..8], &before[16..]));
}

#[test]
fn filters_of_norm_zero_give_zero() {
    let layout = [tensor(0, [1, 1, 3, 2])];
    let direction = [0.0, 0.0, 1.0, 2.0, 3.0, 4.0];
    let reference = [5.0, 6.0, 0.0, 0.0, 3.0, 4.0];
    let scaled = normalise(&direction, &reference, &layout, Normalisation::Filter);
    assert_eq!(scaled.expect("fits"), [0.0, 0.0, 0.0, 0.0, 3.0, 4.0]);
}

#[test]
fn single_precision_is_the_rounding_of_double_precision() {
    let layout = [tensor(0, [1, 3, 5, 7])];
    let [single, reference]: [Vec<f32>; 2] = [6, 7].map(|stream| {
        let mut out = vec![0.0; 105];
        Gaussian::new(30, stream).fill(0, &mut out);
        out
    });
    let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
    let scaled = normalise(&single, &reference, &layout, Normalisation::Filter).expect("fits");
    let exact =
        normalise(&wide(&single), &wide(&reference), &layout, Normalisation::Filter).expect("fits");
    #[expect(clippy::cast_possible_truncation, reason = "the rounding that is tested")]
    let rounded: Vec<f32> = exact.iter().map(|&x| x as f32).collect();
    assert_eq!(scaled, rounded);
}

#[test]
fn layouts_that_do_not_fit_are_refused() {
    let x = [1.0; 8];
    let refusal = |tensors: &[TensorLayout], reference: &[f64]| {
        let result = normalise(&x, reference, tensors, Normalisation::Filter);
        result.expect_err("a bad layout").to_string()
    };
    assert!(refusal(&[], &[1.0; 7]).starts_with("got vectors of 8 and of 7 entries"));
    assert!(refusal(&[tensor(1, [1, 1, 2, 4])], &x).contains("outside the vector of 8"));
    assert!(refusal(&[tensor(0, [usize::MAX, 2, 1, 1])], &x).contains("outside"));
    let overlapping = [tensor(4, [1, 1, 1, 4]), tensor(0, [1, 1, 1, 5])];
    assert!(refusal(&overlapping, &x).contains("tensors 1 and 0 overlap"));
}
