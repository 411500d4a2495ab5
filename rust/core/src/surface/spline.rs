//! Tensor-product cubic splines on rectangular grids.

use crate::error::{Error, require};

/// The cubic spline through values on a product of increasing axes, the first axis fastest.
///
/// Along each axis it has two continuous derivatives, and its ends are "not a knot": the first two
/// and the last two intervals share one cubic. It reproduces cubics, and it is nested: the spline on
/// a finer grid through values of the coarser spline is the coarser spline. An axis of three points
/// takes a parabola, of two a straight line, of one a constant.
///
/// Stored are the values and mixed first derivatives at the nodes, 2^m numbers each, from which a
/// cell's polynomial is the Hermite one. Building one takes O(2^m n) operations on n nodes.
///
/// Reference: de Boor, "A Practical Guide to Splines" (1978), chapters IV and XVII.
#[derive(Clone, Debug)]
pub struct TensorSpline {
    axes: Vec<Vec<f64>>,
    /// For every subset of the axes as a bit mask, the derivative along each of them at the nodes.
    derivatives: Vec<Vec<f64>>,
}

impl TensorSpline {
    /// The spline through `values`, one for each point of the product.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an axis does not increase, the number of values is not the product's,
    /// or a value is not finite.
    pub fn new(axes: Vec<Vec<f64>>, values: &[f64]) -> Result<Self, Error> {
        require!(!axes.is_empty(), "got no axes; pass one for each coordinate");
        for (index, axis) in axes.iter().enumerate() {
            let increases = axis.windows(2).all(|pair| pair[0] < pair[1]);
            require!(
                !axis.is_empty() && increases && axis.iter().all(|x| x.is_finite()),
                "got an axis {index} that does not increase; pass finite, increasing coordinates"
            );
        }
        let len: usize = axes.iter().map(Vec::len).product();
        require!(
            values.len() == len,
            "got {} values on a grid of {len} points; pass one for each",
            values.len()
        );
        require!(
            values.iter().all(|value| value.is_finite()),
            "got values that are not finite; pass finite ones"
        );
        let mut derivatives = vec![values.to_vec()];
        let mut stride = 1;
        for axis in &axes {
            for mask in 0..derivatives.len() {
                let along = differentiate(axis, &derivatives[mask], stride);
                derivatives.push(along);
            }
            stride *= axis.len();
        }
        Ok(Self { axes, derivatives })
    }

    /// Its axes.
    #[must_use]
    pub fn axes(&self) -> &[Vec<f64>] {
        &self.axes
    }

    /// The spline at a point. Beyond the ends of an axis, its outermost cubic.
    ///
    /// # Panics
    /// When the point has not one coordinate for each axis.
    #[must_use]
    pub fn at(&self, point: &[f64]) -> f64 {
        assert_eq!(point.len(), self.axes.len(), "one coordinate for each axis");
        let mut first = 0;
        let mut stride = 1;
        let mut cells = Vec::with_capacity(point.len());
        for (axis, &x) in self.axes.iter().zip(point) {
            let cell = find_interval(axis, x);
            first += cell * stride;
            cells.push((hermite_weights(axis, cell, x), stride, axis.len() > 1));
            stride *= axis.len();
        }
        let mut sum = 0.0;
        let corners = 1_usize << point.len();
        for (mask, derivative) in self.derivatives.iter().enumerate() {
            for corner in 0..corners {
                let mut weight = 1.0;
                let mut node = first;
                for (bit, (weights, stride, has_end)) in cells.iter().enumerate() {
                    let (end, order) = (corner >> bit & 1, mask >> bit & 1);
                    weight *= weights[order][end];
                    node += end * stride * usize::from(*has_end);
                }
                if weight != 0.0 {
                    sum += weight * derivative[node];
                }
            }
        }
        sum
    }

    /// The spline on another product of axes, the first one fastest.
    #[must_use]
    pub fn on(&self, axes: &[Vec<f64>]) -> Vec<f64> {
        let mut values = self.derivatives[0].clone();
        let mut lengths: Vec<usize> = self.axes.iter().map(Vec::len).collect();
        for (index, fine) in axes.iter().enumerate() {
            let stride = lengths[..index].iter().product();
            values = resample(&self.axes[index], &values, stride, fine);
            lengths[index] = fine.len();
        }
        values
    }
}

/// The derivative at the nodes of the spline along one axis of a product.
fn differentiate(axis: &[f64], values: &[f64], stride: usize) -> Vec<f64> {
    let mut slopes = vec![0.0; values.len()];
    for_each_row(axis.len(), values.len(), stride, |start| {
        let row: Vec<f64> = (0..axis.len()).map(|i| values[start + i * stride]).collect();
        for (i, slope) in compute_slopes(axis, &row).into_iter().enumerate() {
            slopes[start + i * stride] = slope;
        }
    });
    slopes
}

/// The spline along one axis of a product, at other coordinates of that axis.
fn resample(axis: &[f64], values: &[f64], stride: usize, fine: &[f64]) -> Vec<f64> {
    let weights: Vec<_> = fine
        .iter()
        .map(|&x| {
            let cell = find_interval(axis, x);
            (cell, hermite_weights(axis, cell, x))
        })
        .collect();
    let mut out = vec![0.0; values.len() / axis.len() * fine.len()];
    for_each_row(axis.len(), values.len(), stride, |start| {
        let row: Vec<f64> = (0..axis.len()).map(|i| values[start + i * stride]).collect();
        let slopes = compute_slopes(axis, &row);
        let block = start / (stride * axis.len()) * stride * fine.len() + start % stride;
        for (i, &(cell, [value, slope])) in weights.iter().enumerate() {
            let end = (cell + 1).min(axis.len() - 1);
            out[block + i * stride] = value[0] * row[cell]
                + value[1] * row[end]
                + slope[0] * slopes[cell]
                + slope[1] * slopes[end];
        }
    });
    out
}

/// Calls `visit` with the first index of every row along an axis of this length and stride.
fn for_each_row(length: usize, total: usize, stride: usize, mut visit: impl FnMut(usize)) {
    for block in (0..total).step_by(length * stride) {
        (block..block + stride).for_each(&mut visit);
    }
}

/// The interval that holds x; the outermost one for an x beyond the ends.
fn find_interval(axis: &[f64], x: f64) -> usize {
    let after = axis.partition_point(|&knot| knot <= x);
    after.saturating_sub(1).min(axis.len().saturating_sub(2))
}

/// The weights at x of the values at the ends of an interval, and of the slopes.
fn hermite_weights(axis: &[f64], cell: usize, x: f64) -> [[f64; 2]; 2] {
    if axis.len() == 1 {
        return [[1.0, 0.0], [0.0, 0.0]];
    }
    let width = axis[cell + 1] - axis[cell];
    let (t, u) = ((x - axis[cell]) / width, (axis[cell + 1] - x) / width);
    [[u * u * (3.0 - 2.0 * u), t * t * (3.0 - 2.0 * t)], [t * u * u * width, -t * t * u * width]]
}

/// The slopes at the knots of the not-a-knot cubic spline.
fn compute_slopes(x: &[f64], f: &[f64]) -> Vec<f64> {
    let n = x.len();
    let h: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let d: Vec<f64> = f.windows(2).zip(&h).map(|(pair, h)| (pair[1] - pair[0]) / h).collect();
    match n {
        1 => return vec![0.0],
        2 => return vec![d[0]; 2],
        3 => {
            let middle = (h[1] * d[0] + h[0] * d[1]) / (h[0] + h[1]);
            return vec![2.0 * d[0] - middle, middle, 2.0 * d[1] - middle];
        }
        _ => {}
    }
    // Rows (lower, diagonal, upper | right-hand side) of a tridiagonal system, eliminated downward.
    let mut slopes = vec![0.0; n];
    let mut upper = vec![0.0; n];
    let end = |h0: f64, h1: f64, d0: f64, d1: f64| {
        ((3.0 * h0 + 2.0 * h1) * h1 * d0 + h0 * h0 * d1) / (h0 + h1)
    };
    upper[0] = (h[0] + h[1]) / h[1];
    slopes[0] = end(h[0], h[1], d[0], d[1]) / h[1];
    for i in 1..n {
        let (lower, diagonal, above, right) = if i < n - 1 {
            let right = 3.0 * (h[i] * d[i - 1] + h[i - 1] * d[i]);
            (h[i], 2.0 * (h[i - 1] + h[i]), h[i - 1], right)
        } else {
            let (h0, h1) = (h[n - 2], h[n - 3]);
            (h0 + h1, h1, 0.0, end(h0, h1, d[n - 2], d[n - 3]))
        };
        let pivot = diagonal - lower * upper[i - 1];
        upper[i] = above / pivot;
        slopes[i] = (right - lower * slopes[i - 1]) / pivot;
    }
    for i in (0..n - 1).rev() {
        slopes[i] -= upper[i] * slopes[i + 1];
    }
    slopes
}
