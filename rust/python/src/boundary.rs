//! The boundary between NumPy's arrays and Rust's slices.
//!
//! An array that is C-contiguous and aligned is borrowed, any other is copied first. Borrows are
//! read-only and results newly allocated, because two arrays may share the memory of one PyTorch
//! tensor without NumPy or the borrow checker knowing.

use landscape_core::Scalar;
use landscape_core::network::kernel::Real;
use landscape_core::network::loss::Targets;
use landscape_core::spectrum::{RelativeTo, Which};
use landscape_core::surface::{Normalisation, TensorLayout};
use numpy::ndarray::{Dimension, Ix1, Ix2, IxDyn};
use numpy::{
    Element, PyArray, PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray,
    PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A storage type of vectors: f32 and f64.
pub trait Storage: Scalar + Real + Element {}

impl Storage for f32 {}
impl Storage for f64 {}

/// A 1-D array of either storage type, borrowed for reading.
pub enum Vector<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for Vector<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let array = in_order(&object)?;
        match array.cast::<PyArray1<f32>>() {
            Ok(singles) => Ok(Self::F32(singles.try_readonly()?)),
            Err(_) => readable(&array, "a 1-D array of float32 or float64").map(Self::F64),
        }
    }
}

/// Vectors of one storage type.
pub enum Vectors<'py> {
    F32(Vec<PyReadonlyArray1<'py, f32>>),
    F64(Vec<PyReadonlyArray1<'py, f64>>),
}

impl<'py> Vectors<'py> {
    /// Sorts out which type; an empty family is one of f64.
    pub fn of(vectors: impl IntoIterator<Item = Vector<'py>>) -> PyResult<Self> {
        let (mut singles, mut doubles) = (Vec::new(), Vec::new());
        for vector in vectors {
            match vector {
                Vector::F32(array) => singles.push(array),
                Vector::F64(array) => doubles.push(array),
            }
        }
        match (singles.is_empty(), doubles.is_empty()) {
            (false, false) => Err(PyValueError::new_err(
                "got vectors of float32 and of float64; pass vectors of one dtype",
            )),
            (false, true) => Ok(Self::F32(singles)),
            (true, _) => Ok(Self::F64(doubles)),
        }
    }
}

/// The vectors as slices that outlive the release of the GIL.
pub fn slices<'a, S: Element>(vectors: &'a [PyReadonlyArray1<'_, S>]) -> PyResult<Vec<&'a [S]>> {
    vectors.iter().map(|vector| Ok(vector.as_slice()?)).collect()
}

/// Runs the same code on the slices of [`Vectors`] of either storage type.
macro_rules! with_slices {
    ($vectors:expr, |$slices:ident| $body:expr) => {
        match $vectors {
            $crate::boundary::Vectors::F32(vectors) => {
                let $slices = $crate::boundary::slices(&vectors)?;
                $body
            }
            $crate::boundary::Vectors::F64(vectors) => {
                let $slices = $crate::boundary::slices(&vectors)?;
                $body
            }
        }
    };
}
pub(crate) use with_slices;

/// A 1-D array of float64.
pub struct Doubles(pub Vec<f64>);

impl FromPyObject<'_, '_> for Doubles {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let array = readable::<f64, Ix1>(&in_order(&object)?, "a 1-D array of float64")?;
        Ok(Self(array.as_slice()?.to_vec()))
    }
}

impl<'py> IntoPyObject<'py> for Doubles {
    type Target = PyArray1<f64>;
    type Output = Bound<'py, Self::Target>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(PyArray1::from_vec(py, self.0))
    }
}

/// Indices that are not negative: a 1-D array of int64.
pub struct Indices(pub Vec<usize>);

impl FromPyObject<'_, '_> for Indices {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let array = readable::<i64, Ix1>(&in_order(&object)?, "a 1-D array of int64")?;
        let indices = array.as_slice()?.iter().map(|&index| usize::try_from(index));
        indices.collect::<Result<_, _>>().map(Self).map_err(|_| {
            PyValueError::new_err("got a negative index; pass indices that count from 0")
        })
    }
}

/// A 1-D array of this storage type, borrowed for reading.
pub fn vector<'py, S: Element>(object: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray1<'py, S>> {
    readable(&in_order(object)?, "a 1-D array of the network's dtype")
}

/// A 2-D array of this storage type, borrowed for reading.
pub fn matrix<'py, S: Element>(object: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray2<'py, S>> {
    readable(&in_order(object)?, "a 2-D array of the network's dtype")
}

/// The numbers of an array of this storage type, and the length of its last axis.
pub fn flat<S: Element + Copy>(object: &Bound<'_, PyAny>) -> PyResult<(Vec<S>, usize)> {
    let array = readable::<S, IxDyn>(&in_order(object)?, "an array of the solver's dtype")?;
    let columns = array.shape().last().copied().unwrap_or(1);
    Ok((array.as_slice()?.to_vec(), columns))
}

/// Targets: (samples, positions) of int64 classes, or (samples, outputs) of float64.
pub fn targets(object: &Bound<'_, PyAny>) -> PyResult<Targets> {
    let array = in_order(object)?;
    if let Ok(classes) = array.cast::<PyArray2<i64>>() {
        let classes = classes.try_readonly()?;
        let positions = array.shape()[1];
        return Ok(Targets::Classes { classes: classes.as_slice()?.to_vec(), positions });
    }
    let dense = readable::<f64, Ix2>(&array, "a 2-D array of int64 classes or of float64")?;
    Ok(Targets::Dense { values: dense.as_slice()?.to_vec(), width: array.shape()[1] })
}

/// The storage type of an array.
pub fn dtype(object: &Bound<'_, PyAny>) -> PyResult<Dtype> {
    let array = in_order(object)?;
    if array.dtype().is_equiv_to(&numpy::dtype::<f32>(object.py())) {
        return Ok(Dtype::F32);
    }
    if array.dtype().is_equiv_to(&numpy::dtype::<f64>(object.py())) {
        return Ok(Dtype::F64);
    }
    Err(unexpected(&array, "an array of float32 or float64"))
}

/// The tensors of a model: rows (offset, blocks, outer, filters, inner) of int64.
pub struct Tensors(pub Vec<TensorLayout>);

impl FromPyObject<'_, '_> for Tensors {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        const EXPECTED: &str =
            "a (T, 5) array of int64 with rows (offset, blocks, outer, filters, inner)";
        let array = in_order(&object)?;
        let table = readable::<i64, Ix2>(&array, EXPECTED)?;
        if array.shape()[1] != 5 {
            return Err(unexpected(&array, EXPECTED));
        }
        let (rows, _) = table.as_slice()?.as_chunks();
        rows.iter().map(tensor_layout).collect::<PyResult<_>>().map(Self)
    }
}

fn tensor_layout(row: &[i64; 5]) -> PyResult<TensorLayout> {
    let sizes = row.map(usize::try_from);
    let [Ok(offset), Ok(blocks), Ok(outer), Ok(filters), Ok(inner)] = sizes else {
        return Err(PyValueError::new_err(format!(
            "got the tensor {row:?}; pass an offset and sizes that are not negative"
        )));
    };
    Ok(TensorLayout { offset, blocks, outer, filters, inner })
}

/// A storage type by its NumPy name.
#[derive(Clone, Copy)]
pub enum Dtype {
    F32,
    F64,
}

impl FromPyObject<'_, '_> for Dtype {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        one_of(&object, &[("float32", Self::F32), ("float64", Self::F64)])
    }
}

/// A [`Normalisation`] by its name.
pub struct Kind(pub Normalisation);

impl FromPyObject<'_, '_> for Kind {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [
            ("filter", Normalisation::Filter),
            ("layer", Normalisation::Layer),
            ("model", Normalisation::Model),
        ];
        one_of(&object, &names).map(Self)
    }
}

/// A [`Which`] by its name.
pub struct WhichName(pub Which);

impl FromPyObject<'_, '_> for WhichName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let names = [
            ("largest", Which::Largest),
            ("smallest", Which::Smallest),
            ("magnitude", Which::Magnitude),
            ("both", Which::Both),
        ];
        one_of(&object, &names).map(Self)
    }
}

/// A [`RelativeTo`] by its name.
pub struct RelativeToName(pub RelativeTo);

impl FromPyObject<'_, '_> for RelativeToName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        one_of(&object, &[("end", RelativeTo::End), ("norm", RelativeTo::Norm)]).map(Self)
    }
}

/// A newly allocated 1-D array that takes over the vector's memory.
pub fn array<S: Scalar + Element>(py: Python<'_>, vector: Vec<S>) -> Bound<'_, PyAny> {
    PyArray1::from_vec(py, vector).into_any()
}

/// A newly allocated 2-D array of rows of `columns` entries.
pub fn table<S: Element>(
    py: Python<'_>,
    values: Vec<S>,
    columns: usize,
) -> PyResult<Bound<'_, PyArray2<S>>> {
    let rows = values.len() / columns.max(1);
    PyArray1::from_vec(py, values).reshape([rows, columns])
}

/// Numbers that become a new array.
pub trait IntoArray {
    /// The array, which takes over the memory.
    fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;
}

impl<S: Scalar + Element> IntoArray for Vec<S> {
    fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(array(py, self))
    }
}

/// Rows of so many entries: a 2-D array.
pub struct Rows<S>(pub Vec<S>, pub usize);

impl<S: Scalar + Element> IntoArray for Rows<S> {
    fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(table(py, self.0, self.1)?.into_any())
    }
}

/// What a callback returned, which must be of this dtype and shape.
pub fn returned<'py, S: Element>(
    object: &Bound<'py, PyAny>,
    shape: [usize; 2],
) -> PyResult<PyReadonlyArray2<'py, S>> {
    let array = in_order(object)?;
    match array.cast::<PyArray2<S>>() {
        Ok(values) if values.shape() == shape => Ok(values.try_readonly()?),
        _ => Err(PyValueError::new_err(format!(
            "the function returned {} of shape {:?}; return {} of shape {shape:?}",
            array.dtype(),
            array.shape(),
            numpy::dtype::<S>(object.py())
        ))),
    }
}

/// The array itself where it is C-contiguous and aligned, else a copy that is.
fn in_order<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let Ok(array) = object.cast::<PyUntypedArray>() else {
        let given = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "got {given} where a numpy array is needed; convert it with numpy.asarray"
        )));
    };
    if array.is_c_contiguous() && array.is_aligned() {
        return Ok(array.clone());
    }
    Ok(array.call_method0("copy")?.cast_into()?)
}

/// A read-only borrow of an array in order, if it holds `T` in `D` dimensions.
fn readable<'py, T: Element, D: Dimension>(
    array: &Bound<'py, PyUntypedArray>,
    expected: &str,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    match array.cast::<PyArray<T, D>>() {
        Ok(array) => Ok(array.try_readonly()?),
        Err(_) => Err(unexpected(array, expected)),
    }
}

fn unexpected(array: &Bound<'_, PyUntypedArray>, expected: &str) -> PyErr {
    let (dtype, shape) = (array.dtype(), array.shape());
    PyValueError::new_err(format!("got {dtype} of shape {shape:?}; pass {expected}"))
}

/// What a name stands for.
pub fn one_of<T: Copy>(object: &Bound<'_, PyAny>, names: &[(&str, T)]) -> PyResult<T> {
    let given = object.cast::<PyString>()?.to_cow()?;
    names.iter().find(|(name, _)| *name == given).map(|&(_, value)| value).ok_or_else(|| {
        let known: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
        PyValueError::new_err(format!("got {given:?}; pass {}", known.join(" or ")))
    })
}
