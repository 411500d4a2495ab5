//! What one reorthogonalisation costs, against reading the basis three times.
//!
//! `cargo bench -p landscape-core --bench spectrum`. f32, 50 rows of 10^7 numbers, all threads.

use std::hint::black_box;
use std::time::Instant;

use landscape_core::Gaussian;
use landscape_core::spectrum::Basis;
use rayon::prelude::*;

const DIM: usize = 10_000_000;
const ROWS: usize = 50;
const RUNS: usize = 3;
/// Numbers that a thread reads at a time.
const PIECE: usize = 1 << 16;

fn main() {
    let mut basis = Basis::<f32>::new(DIM, ROWS, None).expect("memory");
    let mut w = vec![0.0; DIM];
    for row in 0..ROWS as u64 {
        Gaussian::new(0, row).fill(0, &mut w);
        basis.push(&w, 1.0 / (DIM as f64).sqrt()).expect("memory");
    }
    let read = fastest(|| {
        for _ in 0..3 {
            black_box(basis.numbers().par_chunks(PIECE).map(bits).reduce(|| 0, |a, b| a ^ b));
        }
    });
    let work = fastest(|| {
        black_box(basis.orthogonalise(black_box(&mut w)));
    });
    let bytes = 3e-9 * (4 * DIM * ROWS) as f64;
    println!("reading: {read:.3} s, {:.1} GB/s", bytes / read);
    println!("orthogonalising: {work:.3} s, {:.2} times as long", work / read);
}

/// All bits of a piece: nothing that a vector unit would wait for.
fn bits(piece: &[f32]) -> u32 {
    piece.iter().fold(0, |all, value| all ^ value.to_bits())
}

fn fastest(mut work: impl FnMut()) -> f64 {
    let mut run = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(&mut run).take(RUNS).fold(f64::INFINITY, f64::min)
}
