//! Curves by their control points.

use landscape_core::path::{Bending as Inner, BendingOptions, Kind};
use landscape_core::{Cancel, Scalar};
use numpy::{Element, PyArray2};
use pyo3::prelude::*;

use super::{Descent, cycles, looked, rows};
use crate::boundary::{Dtype, array, dtype, matrix, one_of, vector};
use crate::gate;
use crate::spectrum::held::{Held, each};
use crate::spectrum::slot::Slot;
use crate::supplier::Supplier;

type Either = Held<Inner<f32>, Inner<f64>>;

/// A [`Kind`] by its name.
pub struct Shape(Kind);

impl FromPyObject<'_, '_> for Shape {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [("bezier", Kind::Bezier), ("polychain", Kind::Polychain)];
        one_of(&object, &names).map(Self)
    }
}

/// A curve between two minima.
#[pyclass(frozen, module = "landscape._core")]
pub struct Bending(Slot<Either>);

#[pymethods]
impl Bending {
    #[new]
    #[pyo3(signature = (
        objective, first, last, *, kind, cycles, rule, bends, draws, between, seed
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        objective: Py<PyAny>,
        first: &Bound<'_, PyAny>,
        last: &Bound<'_, PyAny>,
        kind: Shape,
        cycles: Vec<(usize, f64)>,
        rule: Descent,
        bends: usize,
        draws: usize,
        between: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let options = BendingOptions {
            kind: kind.0,
            cycles: self::cycles(&cycles),
            rule: rule.0,
            bends,
            draws,
            between,
            seed,
        };
        let held = match dtype(first)? {
            Dtype::F32 => Held::F32(begin(py, objective, first, last, options)?),
            Dtype::F64 => Held::F64(begin(py, objective, first, last, options)?),
        };
        Ok(Self(Slot::new(held)))
    }

    #[staticmethod]
    fn resumed(
        record: &str,
        control: &Bound<'_, PyAny>,
        best: &Bound<'_, PyAny>,
        memory: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let held = match dtype(control)? {
            Dtype::F32 => Held::F32(resume(record, control, best, memory)?),
            Dtype::F64 => Held::F64(resume(record, control, best, memory)?),
        };
        Ok(Self(Slot::new(held)))
    }

    fn run(&self, py: Python<'_>, objective: Py<PyAny>, tick: Py<PyAny>) -> PyResult<bool> {
        self.0.lend(|held| each!(held, curve => run(py, curve, objective, &tick)))
    }

    fn settle(&self, py: Python<'_>, objective: Py<PyAny>) -> PyResult<()> {
        self.0.lend(|held| each!(held, curve => settle(py, curve, objective)))
    }

    #[getter]
    fn ending(&self) -> PyResult<&'static str> {
        self.0.with(|held| each!(held, curve => curve.ending().name()))
    }

    #[getter]
    fn slope(&self) -> PyResult<f64> {
        self.0.with(|held| each!(held, curve => curve.slope()))
    }

    #[getter]
    fn done(&self) -> PyResult<usize> {
        self.0.with(|held| each!(held, curve => curve.steps()))
    }

    #[getter]
    fn evaluations(&self) -> PyResult<(usize, usize)> {
        self.0.with(|held| each!(held, curve => curve.evaluations()))
    }

    fn looks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        looked(py, &self.0.with(|held| each!(held, curve => curve.looks().to_vec()))?)
    }

    fn control<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, curve => rows(py, curve.control())))?
    }

    fn best<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, curve => rows(py, curve.best())))?
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(|held| each!(held, curve => array(py, curve.memory())))
    }

    fn record(&self) -> PyResult<String> {
        self.0.with(|held| each!(held, curve => curve.record()))
    }
}

fn begin<S: Scalar + Element>(
    py: Python<'_>,
    object: Py<PyAny>,
    first: &Bound<'_, PyAny>,
    last: &Bound<'_, PyAny>,
    options: BendingOptions,
) -> PyResult<Inner<S>> {
    let (first, last) = (vector::<S>(first)?, vector::<S>(last)?);
    let (first, last) = (first.as_slice()?, last.as_slice()?);
    gate::enter(py, || Inner::new(&Supplier { object, dim: first.len() }, first, last, options))
}

fn resume<S: Scalar + Element>(
    record: &str,
    control: &Bound<'_, PyAny>,
    best: &Bound<'_, PyAny>,
    memory: &Bound<'_, PyAny>,
) -> PyResult<Inner<S>> {
    let (control, best, memory) = (matrix::<S>(control)?, matrix::<S>(best)?, vector::<S>(memory)?);
    let dim = control.as_array().ncols();
    let (control, best) = (control.as_slice()?.to_vec(), best.as_slice()?.to_vec());
    Inner::resumed(record, dim, control, best, memory.as_slice()?).map_err(gate::exception)
}

fn run<S: Scalar + Element>(
    py: Python<'_>,
    curve: &mut Inner<S>,
    object: Py<PyAny>,
    tick: &Py<PyAny>,
) -> PyResult<bool> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: curve.control().dim() };
        curve.run(&supplier, &Cancel::new(), |now| {
            gate::tell(tick, (now.steps(), now.barrier(), now.slope()))
        })
    })
}

fn settle<S: Scalar + Element>(
    py: Python<'_>,
    curve: &mut Inner<S>,
    object: Py<PyAny>,
) -> PyResult<()> {
    gate::enter(py, || {
        let supplier = Supplier { object, dim: curve.control().dim() };
        curve.settle(&supplier, &Cancel::new())
    })
}
