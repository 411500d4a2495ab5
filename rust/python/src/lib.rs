//! The extension module `landscape._core`: an export table, and nothing else.
//!
//! `boundary` converts Python objects to slices and back, every long call passes `gate`, and `solver` has
//! the handle and the macro of which the classes of solvers consist.

#![expect(clippy::needless_pass_by_value, reason = "pyo3 hands over arguments by value")]

mod adaptive;
mod ascent;
mod boundary;
mod combinatorial;
mod critical;
mod gate;
mod grid;
mod memory;
mod network;
mod network_objective;
mod objective;
mod operator;
mod path;
mod random;
mod sampling;
mod solver;
mod spectrum;
mod state;
mod subset;
mod surface;
mod topology;
mod vector;
mod walk;

/// The numerical core of `landscape`; described in `_core.pyi`.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::adaptive::{AdaptiveGrid, Interpolant};
    #[pymodule_export]
    use crate::ascent::Ascent;
    #[pymodule_export]
    use crate::combinatorial::{assignment, spanning_tree};
    #[pymodule_export]
    use crate::critical::CriticalPointSearch;
    #[pymodule_export]
    use crate::grid::grid;
    #[pymodule_export]
    use crate::memory::{panic_for_tests, require_memory};
    #[pymodule_export]
    use crate::network::{Network, NetworkCurvature, NetworkSubspace, set_threads, threads};
    #[pymodule_export]
    use crate::network_objective::NetworkObjective;
    #[pymodule_export]
    use crate::path::{
        AutoNeb, CurveTraining, SimplexTraining, simplex_log_volume, simplex_weights,
    };
    #[pymodule_export]
    use crate::random::gaussian;
    #[pymodule_export]
    use crate::sampling::Langevin;
    #[pymodule_export]
    use crate::spectrum::{
        Density, Diagonal, Lanczos, PowerIteration, Trace, XTrace, asymmetry, student_quantile,
    };
    #[pymodule_export]
    use crate::subset::{SubsetAssessment, SubsetCalibration};
    #[pymodule_export]
    use crate::surface::{axis, normalise};
    #[pymodule_export]
    use crate::topology::{component_areas, convexity, fit_quadratic, topology, total_variations};
    #[pymodule_export]
    use crate::vector::{combine, dot, gram, norm, orthogonalise};
    #[pymodule_export]
    use crate::walk::Walker;

    /// Panics become exceptions at the gate, and are not printed besides.
    #[pymodule_init]
    #[expect(clippy::unnecessary_wraps, reason = "the signature that pyo3 calls")]
    fn init(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        std::panic::set_hook(Box::new(crate::gate::record_panic));
        Ok(())
    }

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
