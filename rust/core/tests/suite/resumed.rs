//! Everything that `resume` reads: records and arrays that were changed are refused, or give a solver
//! that works; none panics, asks for absurd memory or never ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use landscape_core::analytic::{DoubleWell, MuellerBrown, Rosenbrock};
use landscape_core::ascent::{Ascent, AscentMethod, AscentOptions, Constraint, Neighbourhood};
use landscape_core::critical::{Method, Search, SearchOptions};
use landscape_core::path::{
    AutoNeb, AutoNebOptions, CurveKind, CurveTraining, CurveTrainingOptions, Cycle, OptimizerKind,
    SimplexTraining, SimplexTrainingOptions,
};
use landscape_core::sampling::{GradientData, Langevin, LangevinOptions, Noise, Preconditioner};
use landscape_core::spectrum::{
    Density, Lanczos, LanczosOptions, Precision, QuadraticForm, Quadrature, RelativeTo, Trace,
    TraceOptions, Which,
};
use landscape_core::walk::{WalkOptions, Walker};
use landscape_core::{
    BatchedObjective, Cancel, Checkpoint, Dense, Error, Gaussian, Objective, Resumable, Solver,
};
use serde_json::Value;

/// Steps after a resume that succeeded.
const STEPS: usize = 3;

/// The texts that a field of a record is replaced by.
const TEXTS: [&str; 14] = [
    "null",
    "true",
    "0",
    "1",
    "2",
    "-1",
    "3.5",
    "1e308",
    "-1e308",
    "18446744073709551615",
    "9007199254740993",
    "\"Running\"",
    "\"nonsense\"",
    "[]",
];

/// Every record that differs from this one in one value, or lacks it.
fn mutated(record: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(record).expect("a record");
    let mut paths = Vec::new();
    list_paths(&value, String::new(), &mut paths);
    let mut records =
        vec![String::new(), "{}".into(), "[".into(), record[..record.len() / 2].into()];
    for path in paths {
        for text in TEXTS {
            let mut changed = value.clone();
            *changed.pointer_mut(&path).expect("its own path") =
                serde_json::from_str(text).expect("JSON");
            records.push(changed.to_string());
        }
        let mut changed = value.clone();
        let (parent, name) = path.rsplit_once('/').expect("a path");
        match changed.pointer_mut(parent).expect("its own path") {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(items) => drop(items.pop()),
            _ => continue,
        }
        records.push(changed.to_string());
        for status in [
            "Converged",
            "Complete",
            "Exhausted",
            "Reached",
            "Flat",
            "Stalled",
            "MaxSteps",
            "Diverged",
        ] {
            let mut changed = value.clone();
            *changed.pointer_mut(&path).expect("its own path") = status.into();
            records.push(changed.to_string());
        }
    }
    records
}

fn list_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                list_paths(child, format!("{path}/{name}"), paths);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                list_paths(child, format!("{path}/{index}"), paths);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

/// Every array that differs from this one in length or in one entry.
fn mutated_array(array: &[f64]) -> Vec<Vec<f64>> {
    let mut arrays = vec![Vec::new(), [array, array].concat(), [array, &[0.5]].concat()];
    if let Some((_, rest)) = array.split_last() {
        arrays.push(rest.to_vec());
    }
    for index in [0, array.len() / 2, array.len().saturating_sub(1)] {
        for entry in [f64::NAN, f64::INFINITY, -1e300, 0.0] {
            let mut changed = array.to_vec();
            if let Some(number) = changed.get_mut(index) {
                *number = entry;
                arrays.push(changed);
            }
        }
    }
    arrays
}

/// Every checkpoint that differs from this one in one place.
fn mutated_checkpoints(checkpoint: &Checkpoint<f64>) -> Vec<Checkpoint<f64>> {
    let mut all = vec![checkpoint.clone()];
    for record in mutated(&checkpoint.record) {
        all.push(Checkpoint { record, ..checkpoint.clone() });
    }
    for dim in [0, 1, 2, 3, checkpoint.dim + 1, usize::MAX] {
        all.push(Checkpoint { dim, ..checkpoint.clone() });
    }
    for index in 0..checkpoint.vectors.len() {
        for array in mutated_array(&checkpoint.vectors[index].1) {
            let mut changed = checkpoint.clone();
            changed.vectors[index].1 = array;
            all.push(changed);
        }
        let mut changed = checkpoint.clone();
        changed.vectors.remove(index);
        all.push(changed);
    }
    for index in 0..checkpoint.numbers.len() {
        for array in mutated_array(&checkpoint.numbers[index].1) {
            let mut changed = checkpoint.clone();
            changed.numbers[index].1 = array;
            all.push(changed);
        }
    }
    all
}

/// Resumes every mutated checkpoint and works with what comes out; returns how many were refused.
#[track_caller]
fn survive<T: Solver<Scalar = f64>>(
    checkpoint: &Checkpoint<f64>,
    resume: impl Fn(Checkpoint<f64>) -> Result<T, Error>,
    work: impl Fn(&mut T) -> Result<(), Error>,
) {
    let (mut refused, mut accepted) = (0, 0);
    for changed in mutated_checkpoints(checkpoint) {
        let shown = format!("{} {} {:?}", changed.dim, changed.record, changed.vectors);
        let outcome = catch_unwind(AssertUnwindSafe(|| match resume(changed) {
            Err(Error::Invalid(_) | Error::Memory(_)) => false,
            Err(other) => panic!("another error: {other}"),
            Ok(mut solver) => {
                let _ = work(&mut solver);
                true
            }
        }));
        if outcome.unwrap_or_else(|_| panic!("a panic for {shown}")) {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    assert!(accepted > 0 && refused > 20, "{accepted} accepted, {refused} refused");
}

fn few_steps<T: Solver>(solver: &mut T, problem: &T::Problem<'_>) -> Result<(), Error> {
    let mut left = STEPS;
    solver.run(problem, &Cancel::new(), |_| {
        left -= 1;
        Ok(left > 0)
    })?;
    Ok(())
}

/// A symmetric matrix of standard normal entries.
fn matrix(dim: usize) -> Dense {
    let mut entries = vec![0.0; dim * dim];
    Gaussian::new(1, 0).fill(0, &mut entries);
    let symmetric = (0..dim * dim).map(|i| entries[i] + entries[i % dim * dim + i / dim]);
    Dense::new(symmetric.collect(), dim).expect("symmetric")
}

#[test]
fn lanczos() {
    let (dim, operator) = (9, matrix(9));
    let options = LanczosOptions {
        dim,
        count: 2,
        which: Which::Both,
        tolerance: 1e-8,
        relative_to: RelativeTo::End,
        basis: 7,
        max_products: 100,
        seed: 0,
    };
    for steps in [0, 3, 9, 40] {
        let mut solver = Lanczos::<f64>::new(options, None, &[]).expect("options fit");
        let mut left = steps;
        while left > 0 && solver.status() == landscape_core::Status::Running {
            solver.step(&operator, &Cancel::new()).expect("finite");
            left -= 1;
        }
        survive(
            &solver.checkpoint(),
            |checkpoint| Lanczos::resume(checkpoint, None),
            |solver| {
                few_steps(solver, &operator)?;
                let _ = (solver.vectors(), solver.bounds(), solver.values(), solver.residuals());
                Ok(())
            },
        );
    }
}

#[test]
fn traces() {
    let (dim, operator) = (80, matrix(80));
    let precision = Precision { relative: 1e-3, absolute: 0.0, max_products: 10_000, level: 0.95 };
    for (form, rows) in [
        (QuadraticForm::Powers(3), 20),
        (QuadraticForm::Logarithm { shift: 100.0, tolerance: 1e-3, steps: 30 }, 0),
    ] {
        let options = TraceOptions { dim, form, target: 0, precision, rows, block: 4, seed: 0 };
        for steps in [0, 4, 12] {
            let mut trace = Trace::<f64>::new(options).expect("options fit");
            for _ in 0..steps {
                trace.step(&operator, &Cancel::new()).expect("finite");
            }
            survive(
                &trace.checkpoint(),
                |checkpoint| Trace::resume(options, checkpoint),
                |trace| {
                    let _ = trace.means();
                    few_steps(trace, &operator)?;
                    let _ = (trace.means(), trace.record());
                    Ok(())
                },
            );
        }
    }
}

#[test]
fn densities() {
    let operator = matrix(9);
    let rule = Quadrature { nodes: vec![-1.0, 2.0], weights: vec![0.5, 0.5] };
    let build =
        |rule: Quadrature, products| Density::<f64>::new(9, (3, 4), 2, 0, (vec![rule], products));
    let mut density = build(rule.clone(), 2).expect("a quadrature");
    few_steps(&mut density, &operator).expect("finite");
    for nodes in mutated_array(&rule.nodes) {
        if let Ok(mut density) = build(Quadrature { nodes, ..rule.clone() }, 2) {
            few_steps(&mut density, &operator).expect("finite");
        }
    }
    for weights in mutated_array(&rule.weights) {
        let changed = Quadrature { weights: weights.clone(), ..rule.clone() };
        assert!(build(changed, 2).is_err() || weights.iter().all(|w| (0.0..=1.0).contains(w)));
    }
    assert!(build(rule.clone(), 0).is_err() && build(rule, usize::MAX).is_err());
}

#[test]
fn searches() {
    for method in [Method::NewtonMr, Method::SaddleFree] {
        let options = SearchOptions {
            method,
            tolerance: 1e-10,
            max_steps: 50,
            krylov: 5,
            negative_tolerance: 1e-3,
            seed: 0,
        };
        let function = Rosenbrock { dim: 3 };
        let objective: &dyn Objective<f64> = &function;
        let start = vec![-1.2, 1.0, 0.5];
        let mut search = Search::new(objective, start, options, &Cancel::new()).expect("finite");
        few_steps(&mut search, objective).expect("finite");
        survive(&search.checkpoint(), Search::resume, |search| few_steps(search, objective));
    }
}

#[test]
fn walks() {
    let function = DoubleWell { dim: 3 };
    let objective: &dyn Objective<f64> = &function;
    let options = WalkOptions {
        distance: 2.0,
        tolerance: 1.0,
        flat_tolerance: 10.0,
        stride: 0.1,
        max_steps: 50,
        krylov: 3,
        seed: 0,
    };
    let start = vec![1.0, 0.0, 0.0];
    let mut walk = Walker::new(objective, start, options, &Cancel::new()).expect("finite");
    survive(&walk.checkpoint(), Walker::resume, |walk| few_steps(walk, objective));
    few_steps(&mut walk, objective).expect("finite");
    survive(&walk.checkpoint(), Walker::resume, |walk| few_steps(walk, objective));
}

#[test]
fn bands() {
    let objective: &dyn BatchedObjective<f64> = &MuellerBrown;
    for optimizer in [OptimizerKind::Adam, OptimizerKind::Momentum(0.5)] {
        let options = AutoNebOptions {
            cycles: vec![Cycle { steps: 2, rate: 1e-4 }; 2],
            optimizer,
            spring: None,
            climb: 1,
            tolerance: 0.0,
            pivots: 2,
            max_pivots: 4,
            insertion: 0.1,
            between: 2,
            seed: 0,
        };
        let ends = ([-0.558, 1.441], [0.623, 0.028]);
        let mut band = AutoNeb::new(objective, &ends.0, &ends.1, options).expect("ends fit");
        for _ in 0..5 {
            survive(&band.checkpoint(), AutoNeb::resume, |band| few_steps(band, objective));
            band.step(objective, &Cancel::new()).expect("finite");
        }
    }
}

#[test]
fn curves() {
    let objective: &dyn BatchedObjective<f64> = &MuellerBrown;
    for kind in [CurveKind::Bezier, CurveKind::Polychain] {
        let options = CurveTrainingOptions {
            kind,
            cycles: vec![Cycle { steps: 2, rate: 1e-4 }; 2],
            optimizer: OptimizerKind::Adam,
            bends: 2,
            draws: 3,
            between: 4,
            seed: 0,
        };
        let ends = ([-0.558, 1.441], [0.623, 0.028]);
        let mut curve = CurveTraining::new(objective, &ends.0, &ends.1, options).expect("ends fit");
        for _ in 0..5 {
            survive(&curve.checkpoint(), CurveTraining::resume, |curve| {
                few_steps(curve, objective)
            });
            curve.step(objective, &Cancel::new()).expect("finite");
        }
    }
}

#[test]
fn complexes() {
    let objective: &dyn BatchedObjective<f64> = &MuellerBrown;
    let options = SimplexTrainingOptions {
        connectors: 2,
        cycles: vec![Cycle { steps: 2, rate: 1e-4 }],
        optimizer: OptimizerKind::Adam,
        samples: 2,
        volume: 0.1,
        spread: 0.3,
        seed: 0,
    };
    let minima = vec![-0.558, 1.441, 0.623, 0.028];
    let mut training = SimplexTraining::new(objective, minima, options).expect("minima fit");
    for _ in 0..5 {
        survive(&training.checkpoint(), SimplexTraining::resume, |t| few_steps(t, objective));
        if training.status() == landscape_core::Status::Running {
            training.step(objective, &Cancel::new()).expect("finite");
        }
    }
}

#[test]
fn ascents() {
    let function = Rosenbrock { dim: 2 };
    let objective: &dyn BatchedObjective<f64> = &function;
    for method in [
        AscentMethod::Projected { step: None },
        AscentMethod::AutoPgd,
        AscentMethod::Lbfgs { tolerance: 1e-6 },
    ] {
        let options = AscentOptions { method, constraint: Constraint::Ball, radius: 0.5, steps: 6 };
        let place = Neighbourhood::new(vec![1.0; 2], vec![1.0, 2.0], None).expect("fits");
        let starts = [0.1, 0.2, -0.1, 0.1];
        let mut ascent =
            Ascent::new(objective, place, &starts, Some(vec![0, 0]), options).expect("inside");
        for _ in 0..4 {
            survive(&ascent.checkpoint(), Ascent::resume, |ascent| few_steps(ascent, objective));
            ascent.step(objective, &Cancel::new()).expect("finite");
        }
    }
}

#[test]
fn samplers() {
    let function = Rosenbrock { dim: 2 };
    let objective: &dyn BatchedObjective<f64> = &function;
    for preconditioner in
        [Preconditioner::None, Preconditioner::Rmsprop { decay: 0.9, damping: 0.1 }]
    {
        let options = LangevinOptions {
            chains: 2,
            step: 1e-4,
            nbeta: 1.0,
            localisation: 1.0,
            burn_in: 2,
            draws: 3,
            thinning: 2,
            seed: 0,
            preconditioner,
            noise: Noise::Averaged,
            data: GradientData::MiniBatch,
        };
        let mut sampler = Langevin::new(objective, vec![1.0; 2], options).expect("fits");
        for _ in 0..3 {
            survive(&sampler.checkpoint(), Langevin::resume, |s| few_steps(s, objective));
            for _ in 0..2 {
                sampler.step(objective, &Cancel::new()).expect("finite");
            }
        }
    }
}
