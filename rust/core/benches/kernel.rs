//! Throughput of the kernels relative to the machine's peak.
//!
//! `cargo bench -p landscape-core --bench kernel`. The peak is the throughput of multiply-adds
//! within registers; percentages are of it. One thread.

use std::hint::black_box;
use std::time::Instant;

use landscape_core::Isa;
use landscape_core::network::kernel::{
    Contraction, Epilogue, EpilogueSteps, GatherTable, Number, Panels, Real, Weights,
    add_weight_gradient, erf, exp, expm1, ln, sigmoid, softplus, tanh,
};

const RUNS: usize = 9;
/// Numbers per call of an element-wise function: few enough to stay in the L1 cache.
const VALUES: usize = 256;

fn main() {
    let isa = Isa::detect();
    let peak = peak(isa);
    println!("{isa:?}; GFLOP/s, % of the peak\n");
    table::<f32>("f32", isa, 2.0 * peak);
    table::<f64>("f64", isa, peak);
}

fn table<T: Real>(name: &str, isa: Isa, peak: f64) {
    println!("{name}, peak {peak:.1}     product    gradient");
    for (rows, inner) in [(64, 64), (10, 64), (128, 256), (256, 784), (32, 32)] {
        line::<T>(&format!("{rows}x{inner}"), isa, peak, (rows, inner), &GatherTable::identity());
    }
    for (rows, inner) in [(16, 16), (64, 64)] {
        line::<T>(&format!("{rows}x({inner}*9)@8x8"), isa, peak, (rows, inner), &convolution());
    }
    println!("\n{name} function: ns per number");
    functions::<T>(isa);
    println!();
}

fn line<T: Real>(
    name: &str,
    isa: Isa,
    peak: f64,
    (rows, inner): (usize, usize),
    table: &GatherTable,
) {
    let panels = if table.positions() == 1 { 16 } else { 1 };
    let connections = (0..table.positions() * table.taps())
        .filter(|entry| table.source(entry / table.taps(), entry % table.taps()).is_some())
        .count();
    let operations = 2e-9 * (panels * connections * rows * inner * T::LANES) as f64;
    let (forward, backward) = time_product::<T>(isa, (rows, inner), table, panels);
    let share = |time: f64| {
        let speed = operations / time;
        format!("{speed:6.1} {:3.0}%", 100.0 * speed / peak)
    };
    println!("{name:16} {}  {}", share(forward), share(backward));
}

/// Seconds of the fastest of several runs, for one call.
fn seconds(mut work: impl FnMut()) -> f64 {
    let mut run = |calls: u32| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() / f64::from(calls)
    };
    let calls = std::iter::successors(Some(1), |calls| Some(calls * 2))
        .find(|&calls| run(calls) * f64::from(calls) > 0.01)
        .unwrap_or(1);
    std::iter::repeat_with(|| run(calls)).take(RUNS).fold(f64::INFINITY, f64::min)
}

fn numbers<T: Real>(count: usize) -> Vec<T> {
    (0..count).map(|i| T::narrow((i % 17) as f64 / 17.0 - 0.4)).collect()
}

/// GFLOP/s of f64 multiply-adds that neither leave the registers nor wait for each other.
fn peak(isa: Isa) -> f64 {
    const STEPS: usize = 4096;
    // More than two units times the steps that each takes.
    const CHAINS: usize = 12;
    let factors = black_box([[0.999; f64::LANES]; 2]);
    let mut sums = black_box([[0.0; f64::LANES]; CHAINS]);
    let time = seconds(|| {
        isa.run(|| {
            let mut registers = sums;
            for _ in 0..STEPS {
                for register in &mut registers {
                    for (lane, sum) in register.iter_mut().enumerate() {
                        *sum = f64::mul_add(*sum, factors[0][lane], factors[1][lane]);
                    }
                }
            }
            sums = registers;
        });
        black_box(&mut sums);
    });
    2e-9 * (STEPS * CHAINS * f64::LANES) as f64 / time
}

/// The gather table of a 3 × 3 convolution on 8 × 8 positions with padding.
fn convolution() -> GatherTable {
    let mut sources = Vec::new();
    for (i, j) in (0..8_usize).flat_map(|i| (0..8_usize).map(move |j| (i, j))) {
        for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
            let inside = (1..9).contains(&(i + a)) && (1..9).contains(&(j + b));
            sources.push(inside.then(|| (i + a - 1) * 8 + j + b - 1));
        }
    }
    GatherTable::new(64, sources, 64).expect("these are taps")
}

/// Seconds of a product and of its gradient.
fn time_product<T: Real>(
    isa: Isa,
    (rows, inner): (usize, usize),
    table: &GatherTable,
    panels: usize,
) -> (f64, f64) {
    let contraction = Contraction::new(rows, inner, table.clone());
    let weights = numbers::<T>(contraction.packing().len());
    let mut prepared = vec![T::ZERO; contraction.prepared_len()];
    contraction.prepare(isa, &weights, &mut prepared);
    let (x_size, y_size) = (contraction.input_size::<T>(), contraction.output_size::<T>());
    let (x, mut y) = (numbers::<T>(panels * x_size), numbers::<T>(panels * y_size));
    let shift = numbers::<T>(rows);
    let epilogue =
        Epilogue::Overwrite(EpilogueSteps { shift: Some(&shift), ..EpilogueSteps::default() });
    let weights = Weights { packed: &weights, prepared: &prepared };
    let forward =
        seconds(|| contraction.run(isa, black_box(weights), panels, &x, &epilogue, &mut y));
    let mut out = numbers::<T>(contraction.packing().len());
    let dy = Panels { values: &y[..], channels: rows, stride: y_size };
    let x = Panels { values: &x[..], channels: inner, stride: x_size };
    let backward =
        seconds(|| add_weight_gradient(isa, table, panels, black_box(&dy), &x, &mut out));
    (forward, backward)
}

type Named<T> = (&'static str, fn(Isa, &mut [T]));

fn functions<T: Real>(isa: Isa) {
    let table: [Named<T>; 7] = [
        ("tanh", tanh),
        ("exp", exp),
        ("expm1", expm1),
        ("ln", ln),
        ("sigmoid", sigmoid),
        ("erf", erf),
        ("softplus", softplus),
    ];
    let start: Vec<T> = (1..=VALUES).map(|i| T::narrow(i as f64 / VALUES as f64)).collect();
    let mut values = start.clone();
    let mut time = |function: fn(Isa, &mut [T])| {
        seconds(|| {
            values.copy_from_slice(black_box(&start));
            function(isa, black_box(&mut values));
        })
    };
    let copying = time(|_, _| ());
    for (name, function) in table {
        println!("{name:8} {:.3}", 1e9 * (time(function) - copying) / VALUES as f64);
    }
}
