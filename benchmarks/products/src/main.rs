//! The core's matrix product beside those of `faer` and `gemm`, in f32 on one thread.
//!
//!     cargo run --release --manifest-path benchmarks/products/Cargo.toml
//!
//! W x for W of the shapes that small networks have and 256 samples; GFLOP/s, the best of several
//! runs interleaved. Each has its operands in its preferred layout: ours packed weights and panels
//! of 16 samples, the others row-major matrices.

use std::hint::black_box;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use landscape_core::Isa;
use landscape_core::network::kernel::{
    Contraction, Epilogue, EpilogueSteps, GatherTable, Number, Weights,
};

const SAMPLES: usize = 256;
const ROUNDS: usize = 15;
const SHAPES: [(usize, usize); 5] = [(64, 64), (10, 64), (128, 256), (256, 784), (32, 32)];

fn main() {
    println!("{:>9} {:>8} {:>8} {:>8}", "W", "ours", "faer", "gemm");
    for (rows, inner) in SHAPES {
        let weights = numbers(rows * inner);
        let x = numbers(inner * SAMPLES);
        let mut y = numbers(rows * SAMPLES);
        let mut best = [f64::INFINITY; 3];
        for _ in 0..ROUNDS {
            let times = [
                seconds(|| ours(rows, inner, &weights, &x, &mut y)),
                seconds(|| by_faer(rows, inner, &weights, &x, &mut y)),
                seconds(|| by_gemm(rows, inner, &weights, &x, &mut y)),
            ];
            for (best, time) in best.iter_mut().zip(times) {
                *best = best.min(time);
            }
        }
        let [ours, faer, gemm] = best.map(|time| 2e-9 * (rows * inner * SAMPLES) as f64 / time);
        println!("{:>9} {ours:8.1} {faer:8.1} {gemm:8.1}", format!("{rows}x{inner}"));
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i % 17) as f32 / 17.0 - 0.4).collect()
}

/// Seconds of a call, over enough of them for the clock.
fn seconds(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 50;
    work();
    let start = Instant::now();
    (0..CALLS).for_each(|_| work());
    start.elapsed().as_secs_f64() / f64::from(CALLS)
}

fn ours(rows: usize, inner: usize, weights: &[f32], x: &[f32], y: &mut [f32]) {
    let contraction = Contraction::new(rows, inner, GatherTable::identity());
    let weights = Weights { packed: black_box(weights), prepared: &[] };
    let epilogue = Epilogue::Overwrite(EpilogueSteps::default());
    contraction.run(Isa::detect(), weights, SAMPLES / f32::LANES, x, &epilogue, y);
}

fn by_faer(rows: usize, inner: usize, weights: &[f32], x: &[f32], y: &mut [f32]) {
    let w = MatRef::from_row_major_slice(black_box(weights), rows, inner);
    let x = MatRef::from_row_major_slice(x, inner, SAMPLES);
    let y = MatMut::from_row_major_slice_mut(y, rows, SAMPLES);
    matmul(y, Accum::Replace, w, x, 1.0, Par::Seq);
}

fn by_gemm(rows: usize, inner: usize, weights: &[f32], x: &[f32], y: &mut [f32]) {
    let (columns, depth) = (SAMPLES.cast_signed(), inner.cast_signed());
    assert!(weights.len() == rows * inner && x.len() == inner * SAMPLES);
    assert!(y.len() == rows * SAMPLES);
    // SAFETY: the lengths above are those of row-major matrices of these shapes and strides.
    unsafe {
        gemm::gemm(
            rows,
            SAMPLES,
            inner,
            y.as_mut_ptr(),
            1,
            columns,
            false,
            black_box(weights).as_ptr(),
            1,
            depth,
            x.as_ptr(),
            1,
            columns,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
