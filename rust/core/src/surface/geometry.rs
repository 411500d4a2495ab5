//! The shape of a surface in numbers: areas, roughness, convexity, and a quadratic fit.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::random::Gaussian;

/// The area of each vertex's dual cell on a rectangular grid, row-major (second axis, first axis).
///
/// They are the weights of the trapezoidal rule: a vertex inside has half of each cell around it.
#[must_use]
pub fn cell_areas(first: &[f64], second: &[f64]) -> Vec<f64> {
    let widths = dual_widths(first);
    dual_widths(second)
        .into_iter()
        .flat_map(|height| widths.iter().map(move |width| width * height))
        .collect()
}

fn dual_widths(axis: &[f64]) -> Vec<f64> {
    let last = axis.len().saturating_sub(1);
    let width = |i: usize| (axis[(i + 1).min(last)] - axis[i.saturating_sub(1)]) / 2.0;
    (0..axis.len()).map(width).collect()
}

/// The normalised total variation of every grid line of a surface,
///
/// Tₗ = Σᵢ |fᵢ₊₁ − fᵢ| / (max f − min f),
///
/// rows first, then columns. It is 1 where a line is monotone, at most 2 where it has one extremum
/// inside, and larger by up to 2 for each further one. Lines that are constant or not finite are left
/// out.
///
/// The *roughness index* is the standard deviation of T over its mean.
///
/// # Errors
/// [`Error::Invalid`] unless there are rows times columns values.
///
/// # Reference
/// Wu, Jian, Du, Chen and Zhou (2023), *Roughness index for loss landscapes of neural network models
/// of partial differential equations*; there along random directions through the minimum.
pub fn total_variations(values: &[f64], [rows, columns]: [usize; 2]) -> Result<Vec<f64>, Error> {
    require_grid(values, [rows, columns])?;
    let along_rows = values.chunks(columns).map(|row| variation(row.iter().copied()));
    let along_columns =
        (0..columns).map(|x| variation((0..rows).map(move |y| values[y * columns + x])));
    Ok(along_rows.chain(along_columns).flatten().collect())
}

fn variation(line: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut low, mut high) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    let mut previous = None;
    for value in line {
        if !value.is_finite() {
            return None;
        }
        sum += previous.map_or(0.0, |last: f64| (value - last).abs());
        (low, high) = (low.min(value), high.max(value));
        previous = Some(value);
    }
    (high > low).then(|| sum / (high - low))
}

/// Whether a surface is convex along chords between its grid points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convexity {
    /// Chords that were examined: finite values, and at least one grid point between the ends.
    pub chords: usize,
    /// Those above which no grid point between the ends lies, up to the tolerance.
    pub convex: usize,
    /// The largest height of a grid point above the chord; at most 0 where all are convex.
    pub violation: f64,
    /// Its first end, the point and the second end, where there is a chord.
    pub worst: Option<[usize; 3]>,
}

impl Convexity {
    const NONE: Self = Self { chords: 0, convex: 0, violation: f64::NEG_INFINITY, worst: None };
}

/// Compares the values at grid points with the chords on which they lie,
///
/// f(m) ≤ (1 − t) f(p) + t f(q) for m = (1 − t) p + t q.
///
/// The grid must be equally spaced, so that the grid points between two ends lie on their chord. All
/// chords are examined where there are no more than `most`; else so many pairs of ends are drawn at
/// random, of which those without a grid point between are left out.
///
/// # Errors
/// [`Error::Invalid`] unless there are rows times columns values and the tolerance is not negative,
/// [`Error::Cancelled`] when the flag is raised.
pub fn convexity(
    values: &[f64],
    shape: [usize; 2],
    tolerance: f64,
    most: usize,
    seed: u64,
    cancel: &Cancel,
) -> Result<Convexity, Error> {
    let size = require_grid(values, shape)?;
    require!(
        (0.0..).contains(&tolerance),
        "got a tolerance of {tolerance}; pass a height from 0 up"
    );
    let chords = Chords { values, columns: shape[1], tolerance };
    let mut found = Convexity::NONE;
    if size.saturating_mul(size - 1) / 2 <= most {
        for p in 0..size {
            cancel.check()?;
            for q in p + 1..size {
                chords.examine(p, q, &mut found);
            }
        }
    } else {
        let stream = Gaussian::new(seed, STREAM);
        for pair in 0..most as u64 {
            if pair.is_multiple_of(DRAWS_BETWEEN_CHECKS) {
                cancel.check()?;
            }
            let [u, w] = stream.uniforms(pair);
            chords.examine(pick(1.0 - u, size), pick(w, size), &mut found);
        }
    }
    Ok(found)
}

const DRAWS_BETWEEN_CHECKS: u64 = 1 << 16;

/// The random stream of chords, disjoint from those of directions and probes of one seed.
const STREAM: u64 = 1 << 41;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
fn pick(share: f64, size: usize) -> usize {
    ((share * size as f64) as usize).min(size - 1)
}

struct Chords<'a> {
    values: &'a [f64],
    columns: usize,
    tolerance: f64,
}

impl Chords<'_> {
    fn examine(&self, p: usize, q: usize, found: &mut Convexity) {
        let ([y0, x0], [y1, x1]) = (self.position(p), self.position(q));
        let parts = greatest_common_divisor(y0.abs_diff(y1), x0.abs_diff(x1));
        let (low, high) = (self.values[p], self.values[q]);
        if parts < 2 || !(low.is_finite() && high.is_finite()) {
            return;
        }
        let (mut worst, mut at) = (f64::NEG_INFINITY, p);
        for part in 1..parts {
            let step = |from: usize, to: usize| (from * (parts - part) + to * part) / parts;
            let middle = step(y0, y1) * self.columns + step(x0, x1);
            let value = self.values[middle];
            if !value.is_finite() {
                return;
            }
            let share = part as f64 / parts as f64;
            let height = value - ((1.0 - share) * low + share * high);
            if height > worst {
                (worst, at) = (height, middle);
            }
        }
        found.chords += 1;
        found.convex += usize::from(worst <= self.tolerance);
        if worst > found.violation {
            (found.violation, found.worst) = (worst, Some([p, at, q]));
        }
    }

    fn position(&self, vertex: usize) -> [usize; 2] {
        [vertex / self.columns, vertex % self.columns]
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A quadratic f(s) = c + g·s + ½ s'Hs of the coordinates s from a centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuadraticFit {
    /// c.
    pub value: f64,
    /// g.
    pub gradient: [f64; 2],
    /// H, as ∂²f/∂x², ∂²f/∂x∂y, ∂²f/∂y².
    pub hessian: [f64; 3],
    /// The root mean square of what is left.
    pub residual: f64,
    /// The points that were fitted.
    pub points: usize,
}

const TERMS: usize = 6;

/// The least-squares quadratic of the finite values at most `reach` grid steps from a vertex.
///
/// # Errors
/// [`Error::Invalid`] unless there is a value for each pair of coordinates, and the finite ones near
/// the vertex determine a quadratic.
pub fn fit_quadratic(
    [first, second]: [&[f64]; 2],
    values: &[f64],
    centre: [usize; 2],
    reach: usize,
) -> Result<QuadraticFit, Error> {
    require_grid(values, [second.len(), first.len()])?;
    let [row, column] = centre;
    require!(
        row < second.len() && column < first.len(),
        "got the centre {centre:?} on a grid of {} rows of {}; pass one inside",
        second.len(),
        first.len()
    );
    let around = |middle: usize, length: usize| {
        middle.saturating_sub(reach)..length.min(middle.saturating_add(reach).saturating_add(1))
    };
    let (rows, columns) = (around(row, second.len()), around(column, first.len()));
    // Coordinates of about 1 keep the normal equations well conditioned.
    let scale = [extent(first, &columns), extent(second, &rows)];
    let at = |y: usize, x: usize| {
        [(first[x] - first[column]) / scale[0], (second[y] - second[row]) / scale[1]]
    };
    let samples: Vec<_> = rows
        .flat_map(|y| columns.clone().map(move |x| (y, x)))
        .map(|(y, x)| (at(y, x), values[y * first.len() + x]))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let mut normal = [[0.0; TERMS + 1]; TERMS];
    for &(point, value) in &samples {
        let terms = monomials(point);
        for (equation, factor) in normal.iter_mut().zip(terms) {
            for (entry, term) in equation.iter_mut().zip(terms.into_iter().chain([value])) {
                *entry += factor * term;
            }
        }
    }
    let solution = solve(normal);
    let Some(c) = solution else {
        return Err(Error::Invalid(format!(
            "{} finite values near the centre do not determine a quadratic; pass a grid of at least \
             3 x 3 finite values there",
            samples.len()
        )));
    };
    let rest = |(point, value): &([f64; 2], f64)| {
        let fitted: f64 = monomials(*point).iter().zip(c).map(|(a, b)| a * b).sum();
        (value - fitted).powi(2)
    };
    let squares: f64 = samples.iter().map(rest).sum();
    let [sx, sy] = scale;
    Ok(QuadraticFit {
        value: c[0],
        gradient: [c[1] / sx, c[2] / sy],
        hessian: [2.0 * c[3] / (sx * sx), c[4] / (sx * sy), 2.0 * c[5] / (sy * sy)],
        residual: (squares / samples.len() as f64).sqrt(),
        points: samples.len(),
    })
}

fn extent(axis: &[f64], range: &std::ops::Range<usize>) -> f64 {
    axis[range.end - 1] - axis[range.start]
}

fn monomials([x, y]: [f64; 2]) -> [f64; TERMS] {
    [1.0, x, y, x * x, x * y, y * y]
}

/// Gaussian elimination with partial pivoting; None where the matrix is singular to rounding.
fn solve(mut rows: [[f64; TERMS + 1]; TERMS]) -> Option<[f64; TERMS]> {
    let size = rows.iter().flatten().fold(0.0, |largest: f64, entry| largest.max(entry.abs()));
    for column in 0..TERMS {
        let pivot = (column..TERMS)
            .max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let lead = rows[column];
        let is_regular = lead[column].abs() > 1e-13 * size;
        if !is_regular {
            return None;
        }
        for row in &mut rows[column + 1..] {
            let factor = row[column] / lead[column];
            for (entry, above) in row.iter_mut().zip(lead) {
                *entry -= factor * above;
            }
        }
    }
    let mut solution = [0.0; TERMS];
    for index in (0..TERMS).rev() {
        let known: f64 = (index + 1..TERMS).map(|k| rows[index][k] * solution[k]).sum();
        solution[index] = (rows[index][TERMS] - known) / rows[index][index];
    }
    Some(solution)
}

fn require_grid(values: &[f64], [rows, columns]: [usize; 2]) -> Result<usize, Error> {
    let size = require_memory::<f64>("a grid", &[rows, columns])?;
    require!(
        values.len() == size && size > 0,
        "got {} values for {rows} rows of {columns}; pass one for each vertex",
        values.len()
    );
    Ok(size)
}
