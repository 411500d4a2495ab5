//! The transform matrices Bᵀ, G and Aᵀ of both tile sizes, applied to one row or column at a time.

use crate::network::kernel::simd::{Simd, Vector};
use crate::scalar::Scalar;

/// M outputs per side from N inputs per side. A matrix is applied to a square first along its
/// columns, then along its rows.
pub(super) trait Tile<const N: usize, const M: usize> {
    /// Bᵀ d for a column d.
    fn input<V: Vector>(simd: Simd<V>, d: [V; N]) -> [V; N];

    /// G g for a column g.
    fn filter<V: Vector>(simd: Simd<V>, g: [V; 3]) -> [V; N];

    /// Aᵀ m for a column m.
    fn output<V: Vector>(simd: Simd<V>, m: [V; N]) -> [V; M];
}

/// F(2 × 2, 3 × 3), with the interpolation points 0, ±1 and ∞.
pub(super) struct Two;

impl Tile<4, 2> for Two {
    #[inline(always)]
    fn input<V: Vector>(_: Simd<V>, d: [V; 4]) -> [V; 4] {
        [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    }

    #[inline(always)]
    fn filter<V: Vector>(simd: Simd<V>, [a, b, c]: [V; 3]) -> [V; 4] {
        let half = number(simd, 0.5);
        let (ends, middle) = ((a + c) * half, b * half);
        [a, ends + middle, ends - middle, c]
    }

    #[inline(always)]
    fn output<V: Vector>(_: Simd<V>, m: [V; 4]) -> [V; 2] {
        [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
    }
}

/// F(4 × 4, 3 × 3), with the interpolation points 0, ±¾, ±1½ and ∞. Errors depend on the points: with
/// the usual 0, ±1, ±2 and ∞ they are measured to be twice as large (Barabasz et al. 2020 search for
/// better ones).
pub(super) struct Four;

const NEAR: f64 = 0.75;
const FAR: f64 = 1.5;
const NEAR_2: f64 = NEAR * NEAR;
const FAR_2: f64 = FAR * FAR;

impl Tile<6, 4> for Four {
    /// The coefficients of Π (x − p) over all points p but one, for each.
    #[inline(always)]
    fn input<V: Vector>(simd: Simd<V>, d: [V; 6]) -> [V; 6] {
        let (near, far) = (number(simd, NEAR), number(simd, FAR));
        let (near_2, far_2) = (number(simd, -NEAR_2), number(simd, -FAR_2));
        let (both, sum) = (number(simd, NEAR_2 * FAR_2), number(simd, -(NEAR_2 + FAR_2)));
        let (even_near, odd_near) = (V::mul_add(d[2], far_2, d[4]), V::mul_add(d[1], far_2, d[3]));
        let (even_far, odd_far) = (V::mul_add(d[2], near_2, d[4]), V::mul_add(d[1], near_2, d[3]));
        let (odd_near, odd_far) = (odd_near * near, odd_far * far);
        [
            V::mul_add(d[0], both, V::mul_add(d[2], sum, d[4])),
            even_near + odd_near,
            even_near - odd_near,
            even_far + odd_far,
            even_far - odd_far,
            V::mul_add(d[1], both, V::mul_add(d[3], sum, d[5])),
        ]
    }

    /// The value of a + b x + c x² at each point, over the product of its distances to the others.
    #[inline(always)]
    fn filter<V: Vector>(simd: Simd<V>, [a, b, c]: [V; 3]) -> [V; 6] {
        let near = 1.0 / (2.0 * NEAR_2 * (NEAR_2 - FAR_2));
        let far = 1.0 / (2.0 * FAR_2 * (FAR_2 - NEAR_2));
        let even_near = V::mul_add(c, number(simd, NEAR_2), a) * number(simd, near);
        let even_far = V::mul_add(c, number(simd, FAR_2), a) * number(simd, far);
        let (odd_near, odd_far) = (b * number(simd, NEAR * near), b * number(simd, FAR * far));
        [
            a * number(simd, 1.0 / (NEAR_2 * FAR_2)),
            even_near + odd_near,
            even_near - odd_near,
            even_far + odd_far,
            even_far - odd_far,
            c,
        ]
    }

    /// Powers of the points.
    #[inline(always)]
    fn output<V: Vector>(simd: Simd<V>, m: [V; 6]) -> [V; 4] {
        let (even_near, odd_near) = (m[1] + m[2], m[1] - m[2]);
        let (even_far, odd_far) = (m[3] + m[4], m[3] - m[4]);
        let (near, far) = (number(simd, NEAR), number(simd, FAR));
        let (near_2, far_2) = (number(simd, NEAR_2), number(simd, FAR_2));
        let (odd_near, odd_far) = (odd_near * near, odd_far * far);
        [
            m[0] + even_near + even_far,
            odd_near + odd_far,
            V::mul_add(even_far, far_2, even_near * near_2),
            V::mul_add(odd_far, far_2, V::mul_add(odd_near, near_2, m[5])),
        ]
    }
}

/// The row of a square that is stored by columns.
#[inline(always)]
pub(super) fn across<V: Copy, const N: usize, const M: usize>(
    columns: &[[V; N]; M],
    line: usize,
) -> [V; M] {
    let mut row = [columns[0][line]; M];
    for (row, column) in row.iter_mut().zip(columns) {
        *row = column[line];
    }
    row
}

#[inline(always)]
fn number<V: Vector>(simd: Simd<V>, number: f64) -> V {
    simd.splat(<V::Number as Scalar>::narrow(number))
}
