//! Interpolation of losses and metrics between the points of a grid.

use crate::error::{Error, require};
use crate::surface::spline::TensorSpline;

/// How a quantity is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// A cubic spline of the logarithm where all finite values are positive, as losses are, whose
    /// absolute error is the relative error of the value; otherwise of the value itself.
    LogCubic,
    /// A cubic spline of the value.
    Cubic,
    /// Linear in each coordinate, which stays within the range of the values.
    Linear,
}

/// A function through the values on a product of increasing axes, the first axis fastest.
///
/// Values that are not finite are no part of the fit: it passes through the others, and the gaps hold
/// their quadratic extrapolation, so that a neighbour is interpolated as at the border of a grid. A point takes the value of the nearest node where that is not finite (of several nearest
/// nodes, where none is).
#[derive(Clone, Debug)]
pub struct Interpolant {
    axes: Vec<Vec<f64>>,
    function: Function,
    is_log: bool,
    /// The values, where one of them is not finite; otherwise empty.
    gaps: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Function {
    Cubic(TensorSpline),
    Linear(Vec<f64>),
}

impl Interpolant {
    /// The interpolant of `values`, one for each point of the product.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an axis does not increase, or the number of values is not the product's.
    pub fn new(
        axes: Vec<Vec<f64>>,
        values: &[f64],
        interpolation: Interpolation,
    ) -> Result<Self, Error> {
        let lengths: Vec<usize> = axes.iter().map(Vec::len).collect();
        let len: usize = lengths.iter().product();
        require!(
            values.len() == len,
            "got {} values on a grid of {len} points; pass one for each",
            values.len()
        );
        let is_log = interpolation == Interpolation::LogCubic
            && values.iter().all(|&value| value > 0.0 || !value.is_finite());
        let mut fitted: Vec<f64> =
            values.iter().map(|&value| if is_log { value.ln() } else { value }).collect();
        // ln(+inf) is +inf and ln(NaN) is NaN, but ln(-inf) is NaN: gaps are those of the values.
        for (fit, value) in fitted.iter_mut().zip(values) {
            if !value.is_finite() {
                *fit = f64::NAN;
            }
        }
        let has_gaps = fitted.iter().any(|value| value.is_nan());
        if has_gaps {
            extrapolate_into_gaps(&mut fitted, &lengths);
        }
        let spline = TensorSpline::new(axes.clone(), &fitted)?;
        let function = if interpolation == Interpolation::Linear {
            Function::Linear(fitted)
        } else {
            Function::Cubic(spline)
        };
        let gaps = if has_gaps { values.to_vec() } else { Vec::new() };
        Ok(Self { axes, function, is_log, gaps })
    }

    /// Whether the logarithm is what is interpolated.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.is_log
    }

    /// The value at a point; NaN beyond the ends of an axis.
    ///
    /// # Panics
    /// When the point has not one coordinate for each axis.
    #[must_use]
    pub fn at(&self, point: &[f64]) -> f64 {
        let is_inside = self
            .axes
            .iter()
            .zip(point)
            .all(|(axis, x)| (axis[0]..=axis[axis.len() - 1]).contains(x));
        if !is_inside {
            return f64::NAN;
        }
        if let Some(value) = self.value_in_gap(point) {
            return value;
        }
        let value = match &self.function {
            Function::Cubic(spline) => spline.at(point),
            Function::Linear(values) => interpolate_linearly(&self.axes, values, point),
        };
        if self.is_log { value.exp() } else { value }
    }

    /// The values at the points of another product of axes, the first one fastest.
    #[must_use]
    pub fn on(&self, axes: &[Vec<f64>]) -> Vec<f64> {
        if let (Function::Cubic(spline), true) = (&self.function, self.gaps.is_empty()) {
            let mut values = spline.on(axes);
            if self.is_log {
                for value in &mut values {
                    *value = value.exp();
                }
            }
            return values;
        }
        let len = axes.iter().map(Vec::len).product();
        let mut point = vec![0.0; axes.len()];
        (0..len)
            .map(|mut index| {
                for (x, axis) in point.iter_mut().zip(axes) {
                    *x = axis[index % axis.len()];
                    index /= axis.len();
                }
                self.at(&point)
            })
            .collect()
    }

    /// The value of the nearest node where no nearest node is finite.
    fn value_in_gap(&self, point: &[f64]) -> Option<f64> {
        if self.gaps.is_empty() {
            return None;
        }
        let mut nodes = vec![0];
        let mut stride = 1;
        for (axis, &x) in self.axes.iter().zip(point) {
            let after = axis.partition_point(|&knot| knot < x);
            let nearest = match (after.checked_sub(1), axis.get(after)) {
                (Some(before), Some(&knot)) => {
                    let (left, right) = (x - axis[before], knot - x);
                    match left.total_cmp(&right) {
                        std::cmp::Ordering::Less => vec![before],
                        std::cmp::Ordering::Greater => vec![after],
                        std::cmp::Ordering::Equal => vec![before, after],
                    }
                }
                (Some(last), None) => vec![last],
                (None, _) => vec![0],
            };
            nodes = nearest
                .iter()
                .flat_map(|index| nodes.iter().map(move |node| node + index * stride))
                .collect();
            stride *= axis.len();
        }
        let is_gap = nodes.iter().all(|&node| !self.gaps[node].is_finite());
        is_gap.then(|| self.gaps[nodes[0]])
    }
}

/// Fills NaN entries layer by layer from their neighbours along the axes: the mean of the quadratic
/// extrapolations, or of the linear ones or the neighbours where too little lies behind them. Zeros
/// where all are NaN.
fn extrapolate_into_gaps(values: &mut [f64], lengths: &[usize]) {
    let mut gaps: Vec<usize> = (0..values.len()).filter(|&i| values[i].is_nan()).collect();
    if gaps.len() == values.len() {
        values.fill(0.0);
        return;
    }
    while !gaps.is_empty() {
        let filled: Vec<(usize, f64)> = gaps
            .iter()
            .filter_map(|&node| extrapolate(values, lengths, node).map(|value| (node, value)))
            .collect();
        for &(node, value) in &filled {
            values[node] = value;
        }
        gaps.retain(|&node| values[node].is_nan());
    }
}

fn extrapolate(values: &[f64], lengths: &[usize], node: usize) -> Option<f64> {
    // By the number of neighbours in a row that are known, from one up.
    let mut guesses: [Vec<f64>; 3] = Default::default();
    let mut stride = 1;
    for &length in lengths {
        let index = node / stride % length;
        for forward in [false, true] {
            let available = if forward { length - 1 - index } else { index };
            let known: Vec<f64> = (1..=available.min(3))
                .map(|steps| {
                    let offset = steps * stride;
                    values[if forward { node + offset } else { node - offset }]
                })
                .take_while(|value| !value.is_nan())
                .collect();
            match known[..] {
                [] => {}
                [a] => guesses[0].push(a),
                [a, b] => guesses[1].push(2.0 * a - b),
                [a, b, c, ..] => guesses[2].push(3.0 * (a - b) + c),
            }
        }
        stride *= length;
    }
    let best = guesses.iter().rev().find(|guesses| !guesses.is_empty())?;
    Some(best.iter().sum::<f64>() / best.len() as f64)
}

fn interpolate_linearly(axes: &[Vec<f64>], values: &[f64], point: &[f64]) -> f64 {
    let mut terms = vec![(0, 1.0)];
    let mut stride = 1;
    for (axis, &x) in axes.iter().zip(point) {
        let after = axis.partition_point(|&knot| knot <= x);
        let cell = after.saturating_sub(1).min(axis.len().saturating_sub(2));
        let mut ends = vec![(cell, 1.0)];
        if axis.len() > 1 {
            let share = (x - axis[cell]) / (axis[cell + 1] - axis[cell]);
            ends = vec![(cell, 1.0 - share), (cell + 1, share)];
        }
        terms = ends
            .iter()
            .flat_map(|&(index, weight)| {
                terms.iter().map(move |&(node, product)| (node + index * stride, product * weight))
            })
            .collect();
        stride *= axis.len();
    }
    terms.iter().map(|&(node, weight)| weight * values[node]).sum()
}
