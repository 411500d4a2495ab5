//! The force on a pivot of a nudged elastic band (NEB).

use super::polyline::Polyline;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::vector::{combine, dot, norm};

/// The unit tangent at an inner pivot: the direction of the neighbour with the higher energy; at an
/// extremum the mean of both, weighted by the energy differences.
///
/// # Reference
/// Henkelman and Jónsson (2000), *Improved tangent estimate in the nudged elastic band method for
/// finding minimum energy paths and saddle points*, equations 8 to 11.
pub(super) fn tangent<S: Scalar>(
    band: &Polyline<S>,
    energies: &[f64],
    pivot: usize,
) -> Result<Vec<S>, Error> {
    let (below, current, above) = (energies[pivot - 1], energies[pivot], energies[pivot + 1]);
    let (rise, fall) = ((above - current).abs(), (current - below).abs());
    let (larger, smaller) = (rise.max(fall), rise.min(fall));
    let (forward, backward) = if above > current && current > below {
        (1.0, 0.0)
    } else if above < current && current < below {
        (0.0, 1.0)
    } else if larger == 0.0 {
        (1.0, 1.0)
    } else if above > below {
        (larger, smaller)
    } else {
        (smaller, larger)
    };
    let neighbours = [band.row(pivot + 1), band.row(pivot), band.row(pivot - 1)];
    let direction = combine(&neighbours, &[forward, backward - forward, -backward])?;
    let length = norm(&direction);
    if length > 0.0 { combine(&[&direction], &[1.0 / length]) } else { Ok(direction) }
}

/// The force on a pivot, and the norm of its part across the band.
///
/// F = −g + (g·τ) τ across the band, and the spring force k (|R₊ − R| − |R − R₋|) τ along it, whose
/// coefficient is `spring`. A climbing image has −g + 2 (g·τ) τ instead: uphill along the band,
/// downhill across it.
///
/// # Reference
/// The same, equations 3 to 5 and 12; Henkelman, Uberuaga, Jónsson (2000), *A climbing image nudged
/// elastic band method for finding saddle points and minimum energy paths*, equation 5.
pub(super) fn force<S: Scalar>(
    tangent: &[S],
    gradient: &[S],
    spring: f64,
    climbs: bool,
) -> Result<(Vec<S>, f64), Error> {
    let slope = dot(gradient, tangent)?;
    // Not √(|g|² − (g·τ)²), whose difference has no digit left where the gradient is along the band.
    let across = norm(&combine(&[gradient, tangent], &[-1.0, slope])?);
    let along = if climbs { 2.0 * slope } else { slope + spring };
    Ok((combine(&[gradient, tangent], &[-1.0, along])?, across))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A corner: one step to the right, then two steps up.
    fn corner() -> Polyline<f64> {
        Polyline::new(vec![0.0, 0.0, 1.0, 0.0, 1.0, 2.0], 2).expect("three points")
    }

    fn assert_along(energies: [f64; 3], expected: [f64; 2]) {
        let unit = tangent(&corner(), &energies, 1).expect("three points");
        let length = expected[0].hypot(expected[1]);
        for (one, other) in unit.iter().zip(expected) {
            assert!((one - other / length).abs() < 1e-15, "{energies:?}: {unit:?}");
        }
    }

    #[test]
    fn tangents_follow_equations_8_to_11() {
        assert_along([0.0, 1.0, 2.0], [0.0, 2.0]); // uphill: forward
        assert_along([2.0, 1.0, 0.0], [1.0, 0.0]); // downhill: backward
        // Extrema: the side of the higher neighbour counts by the larger difference.
        assert_along([0.0, 3.0, 1.0], [2.0, 3.0 * 2.0]);
        assert_along([1.0, 3.0, 0.0], [3.0, 2.0 * 2.0]);
        assert_along([1.0, 0.0, 3.0], [1.0, 3.0 * 2.0]);
        assert_along([1.0, 1.0, 1.0], [1.0, 2.0]); // flat: the mean of both
    }

    #[test]
    fn a_small_force_beside_a_large_slope_keeps_its_digits() {
        let (along, gradient) = ([1.0, 0.0], [1e6, 1e-6]);
        let (_, across) = force(&along, &gradient, 0.0, false).expect("fits");
        assert!((across / 1e-6 - 1.0).abs() < 1e-12, "{across}");
    }

    #[test]
    fn forces_act_across_the_band_and_springs_along_it() {
        let (along, slope) = ([0.0, 1.0], [3.0, 4.0]);
        let force_of = |spring, climbs| force(&along, &slope, spring, climbs).expect("fits");
        assert_eq!(force_of(0.0, false), (vec![-3.0, 0.0], 3.0));
        assert_eq!(force_of(1.0, false), (vec![-3.0, 1.0], 3.0));
        assert_eq!(force_of(1.0, true), (vec![-3.0, 4.0], 3.0));
    }
}
