//! How near the kernels come to what the machine can do.
//!
//! `cargo bench -p landscape-core --bench kernel`

use std::hint::black_box;
use std::time::Instant;

use landscape_core::network::kernel::{
    Finish, Isa, Packing, Panels, Real, Rectify, Taps, erf, exp, expm1, ln, product, reduce,
    sigmoid, softplus, tanh,
};

const RUNS: usize = 9;

/// GFLOP/s of multiply-adds that never leave the registers nor wait for each other.
macro_rules! peak {
    ($number:ident, $isa:expr) => {{
        const STEPS: usize = 4096;
        let factors = black_box([[0.999; $number::LANES]; 2]);
        let mut sums = black_box([[0.0; $number::LANES]; 6]);
        let time = seconds(|| {
            $isa.run(|| {
                let mut registers = sums;
                for _ in 0..STEPS {
                    for register in &mut registers {
                        for (lane, sum) in register.iter_mut().enumerate() {
                            *sum = $number::mul_add(*sum, factors[0][lane], factors[1][lane]);
                        }
                    }
                }
                sums = registers;
            });
            black_box(&mut sums);
        });
        2e-9 * (STEPS * 6 * $number::LANES) as f64 / time
    }};
}

fn main() {
    let isa = Isa::detect();
    println!("{isa:?}");
    let clock = 1.0;
    let _ = clock;
    println!("\nelement-wise, ns per 8 f32 and per 4 f64");
    functions::<f32>(isa, 8);
    functions::<f64>(isa, 4);
    for (name, peak) in [("f32", 2.0 * peak!(f64, isa)), ("f64", peak!(f64, isa))] {
        println!("\n{name}: peak {peak:.1} GFLOP/s");
        let shapes = [(64, 64), (10, 64), (128, 256), (256, 784), (32, 32)];
        for (rows, inner) in shapes {
            let line = if name == "f32" {
                linear::<f32>(isa, rows, inner)
            } else {
                linear::<f64>(isa, rows, inner)
            };
            println!(
                "{rows}x{inner}: product {:.1} ({:.0}%), reduce {:.1} ({:.0}%)",
                line.0,
                100.0 * line.0 / peak,
                line.1,
                100.0 * line.1 / peak
            );
        }
        for (rows, inner) in [(16, 16), (64, 64)] {
            let line = if name == "f32" {
                convolution::<f32>(isa, rows, inner)
            } else {
                convolution::<f64>(isa, rows, inner)
            };
            println!(
                "{rows}x({inner}*9)@8x8: product {:.1} ({:.0}%), reduce {:.1} ({:.0}%)",
                line.0,
                100.0 * line.0 / peak,
                line.1,
                100.0 * line.1 / peak
            );
        }
    }
}

/// Seconds of the fastest of several runs, for one call.
fn seconds(mut work: impl FnMut()) -> f64 {
    let mut calls = 1;
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        if start.elapsed().as_secs_f64() > 0.01 {
            break;
        }
        calls *= 2;
    }
    let run = || {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() / f64::from(calls)
    };
    std::iter::repeat_with(run).take(RUNS).fold(f64::INFINITY, f64::min)
}

fn numbers<T: Real>(count: usize) -> Vec<T> {
    (0..count).map(|i| T::from_f64((i % 17) as f64 / 17.0 - 0.4)).collect()
}

fn linear<T: Real>(isa: Isa, rows: usize, inner: usize) -> (f64, f64) {
    figures::<T>(isa, rows, inner, &Taps::identity(), 16)
}

fn convolution<T: Real>(isa: Isa, rows: usize, inner: usize) -> (f64, f64) {
    let mut sources = Vec::new();
    for (i, j) in (0..8_usize).flat_map(|i| (0..8_usize).map(move |j| (i, j))) {
        for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
            let inside = (1..9).contains(&(i + a)) && (1..9).contains(&(j + b));
            sources.push(inside.then(|| (i + a - 1) * 8 + j + b - 1));
        }
    }
    figures::<T>(isa, rows, inner, &Taps::new(64, sources, 64).unwrap(), 1)
}

fn figures<T: Real>(isa: Isa, rows: usize, inner: usize, taps: &Taps, panels: usize) -> (f64, f64) {
    let packing = Packing::new(rows, taps.taps(), inner);
    let weights = numbers::<T>(packing.len());
    let (x_size, y_size) =
        (inner * taps.source_positions() * T::LANES, rows * taps.positions() * T::LANES);
    let x = numbers::<T>(panels * x_size);
    let mut y = numbers::<T>(panels * y_size);
    let shift = numbers::<T>(rows);
    let finish =
        Finish::Store { scale: None, shift: Some(&shift), residual: None, relu: Rectify::None };
    let fed = (0..taps.positions())
        .flat_map(|p| (0..taps.taps()).map(move |t| (p, t)))
        .filter(|&(p, t)| taps.source(p, t).is_some())
        .count();
    let operations = 2e-9 * (panels * fed * rows * inner * T::LANES) as f64;
    let forward = seconds(|| {
        for (x, y) in x.chunks_exact(x_size).zip(y.chunks_exact_mut(y_size)) {
            product(isa, &packing, black_box(&weights), taps, x, &finish, y);
        }
    });
    let mut out = numbers::<T>(packing.len());
    let dy = Panels { values: &y[..], channels: rows, stride: y_size };
    let x = Panels { values: &x[..], channels: inner, stride: x_size };
    let backward = seconds(|| reduce(isa, taps, panels, black_box(&dy), &x, &mut out));
    (operations / forward, operations / backward)
}

type Named<T> = (&'static str, fn(Isa, &mut [T]));

fn functions<T: Real>(isa: Isa, unit: usize) {
    let table: [Named<T>; 7] = [
        ("tanh", tanh),
        ("exp", exp),
        ("expm1", expm1),
        ("ln", ln),
        ("sigmoid", sigmoid),
        ("erf", erf),
        ("softplus", softplus),
    ];
    let start: Vec<T> =
        numbers::<T>(1024).into_iter().map(|x| x.abs() + T::from_f64(0.1)).collect();
    let mut values = start.clone();
    let time = |function: Option<fn(Isa, &mut [T])>| {
        seconds(|| {
            values.copy_from_slice(black_box(&start));
            if let Some(function) = function {
                function(isa, &mut values);
            }
            black_box(&mut values);
        })
    };
    let mut time = time;
    let copying = time(None);
    for (name, function) in table {
        print!("{name} {:.2}  ", 1e9 * (time(Some(function)) - copying) * unit as f64 / 1024.0);
    }
    println!();
}
