//! The Python class of Lanczos iterations.

use std::path::{Path, PathBuf};

use landscape_core::spectrum::{Lanczos as Core, LanczosOptions};
use landscape_core::{Checkpoint, Resumable, Solver};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::{
    Doubles, Dtype, IntoArray, RelativeToName, Rows, Storage, Vector, Vectors, WhichName, dtype,
    flat, slices, vector,
};
use crate::gate;
use crate::solver::{Handle, Typed, for_dtype, for_typed, solver_class};
use crate::state::item;

solver_class! {
    /// Thick-restart Lanczos.
    Lanczos(Core) on apply;
    progress: lanczos => (
        lanczos.products(),
        lanczos.converged(),
        Doubles(lanczos.values()),
        Doubles(lanczos.residuals()),
    );
    getters {
        products: usize = lanczos => lanczos.products();
        scale: f64 = lanczos => lanczos.scale();
        norm: f64 = lanczos => lanczos.norm();
        status: &'static str = lanczos => lanczos.status().name();
    }
    arrays {
        values = lanczos => lanczos.values();
        residuals = lanczos => lanczos.residuals();
        bounds = lanczos => lanczos.bounds();
    }

    #[new]
    #[pyo3(signature = (
        dim, dtype, *, count, which, tolerance, relative_to, basis, max_products, seed,
        path = None, deflate = None, start = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        dim: usize,
        dtype: Dtype,
        count: usize,
        which: WhichName,
        tolerance: f64,
        relative_to: RelativeToName,
        basis: usize,
        max_products: usize,
        seed: u64,
        path: Option<PathBuf>,
        deflate: Option<Vec<Vector<'_>>>,
        start: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (which, relative_to) = (which.0, relative_to.0);
        let options = LanczosOptions {
            dim,
            count,
            which,
            tolerance,
            relative_to,
            basis,
            max_products,
            seed,
        };
        let path = path.as_deref();
        let lanczos = match (dtype, Vectors::of(deflate.unwrap_or_default())?) {
            (Dtype::F32, Vectors::F32(rows)) => {
                let rows = slices(&rows)?;
                Typed::F32(gate::enter(py, || Core::new(options, path, &rows))?)
            }
            (Dtype::F64, Vectors::F64(rows)) => {
                let rows = slices(&rows)?;
                Typed::F64(gate::enter(py, || Core::new(options, path, &rows))?)
            }
            (Dtype::F32, Vectors::F64(rows)) if rows.is_empty() => {
                Typed::F32(gate::enter(py, || Core::new(options, path, &[]))?)
            }
            _ => {
                return Err(PyValueError::new_err(
                    "got vectors to deflate of another dtype than the iteration's; convert them",
                ));
            }
        };
        let lanczos = match (lanczos, start) {
            (lanczos, None) => lanczos,
            (Typed::F32(lanczos), Some(start)) => Typed::F32(with_start(lanczos, &start)?),
            (Typed::F64(lanczos), Some(start)) => Typed::F64(with_start(lanczos, &start)?),
        };
        Ok(Self(Handle::new(lanczos)))
    }

    #[staticmethod]
    #[pyo3(signature = (record, arrays, path = None))]
    fn resumed(
        py: Python<'_>,
        record: String,
        arrays: &Bound<'_, PyDict>,
        path: Option<PathBuf>,
    ) -> PyResult<Self> {
        let path = path.as_deref();
        let lanczos = for_dtype!(dtype(&item(arrays, "basis")?)?, S => {
            resume::<S>(py, record, arrays, path)?
        });
        Ok(Self(Handle::new(lanczos)))
    }

    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.update(|lanczos| {
            for_typed!(lanczos, lanczos => {
                let rows = gate::enter(py, || Ok(lanczos.vectors()))?;
                Rows(rows, lanczos.options().dim).into_array(py)
            })
        })
    }

    fn state<'py>(&self, py: Python<'py>) -> PyResult<(String, Bound<'py, PyDict>)> {
        self.0.update(|lanczos| for_typed!(lanczos, lanczos => write_state(py, lanczos)))
    }
}

fn with_start<S: Storage>(lanczos: Core<S>, start: &Bound<'_, PyAny>) -> PyResult<Core<S>> {
    let start = vector::<S>(start)?;
    let start = start.as_slice()?;
    gate::check(|| lanczos.with_start(start))
}

fn write_state<'py, S: Storage>(
    py: Python<'py>,
    lanczos: &Core<S>,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    let mut checkpoint = gate::enter(py, || Ok(lanczos.checkpoint()))?;
    let basis = checkpoint.take_vectors("basis").map_err(gate::exception)?;
    let projected = checkpoint.take_numbers("projected").map_err(gate::exception)?;
    let (arrays, order) = (PyDict::new(py), projected.len().isqrt());
    arrays.set_item("basis", Rows(basis, checkpoint.dim).into_array(py)?)?;
    arrays.set_item("projected", Rows(projected, order).into_array(py)?)?;
    Ok((checkpoint.record, arrays))
}

fn resume<S: Storage>(
    py: Python<'_>,
    record: String,
    arrays: &Bound<'_, PyDict>,
    path: Option<&Path>,
) -> PyResult<Core<S>> {
    let (basis, dim) = flat::<S>(&item(arrays, "basis")?)?;
    let (projected, _) = flat::<f64>(&item(arrays, "projected")?)?;
    let (vectors, numbers) = (vec![("basis", basis)], vec![("projected", projected)]);
    let checkpoint = Checkpoint { record, dim, vectors, numbers };
    gate::enter(py, || Core::resume(checkpoint, path))
}
