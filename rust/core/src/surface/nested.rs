//! Dyadic grids of which some nodes are evaluated and the others predicted by the coarser levels.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::surface::grid::axis;
use crate::surface::interpolant::{Interpolant, Interpolation};

/// Intervals of an axis at level 0: five points.
const BASE_INTERVALS: usize = 4;

/// The nodes of one level of a dyadic grid: 4·2^level + 1 equally spaced coordinates along each axis.
///
/// The nodes of a level are among those of the next one, with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Lattice {
    ranges: Vec<(f64, f64)>,
    level: u32,
}

impl Lattice {
    /// The deepest level, of 4,097 points an axis.
    pub const DEEPEST: u32 = 10;

    /// The lattice between the ends of every axis.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no axis, or one has no extent; [`Error::Memory`] where a grid
    /// of this level is too large.
    pub fn new(ranges: Vec<(f64, f64)>, level: u32) -> Result<Self, Error> {
        require!(!ranges.is_empty(), "got no axes; pass the ends of one for each coordinate");
        require!(
            level <= Self::DEEPEST,
            "got level {level} of a dyadic grid; pass at most {}",
            Self::DEEPEST
        );
        for &(low, high) in &ranges {
            axis(low, high, 2)?;
        }
        let lattice = Self { ranges, level };
        let lengths = vec![lattice.points(); lattice.dim()];
        require_memory::<f64>(&format!("a dyadic grid of level {level}"), &lengths)?;
        Ok(lattice)
    }

    /// The number of axes.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.ranges.len()
    }

    /// The ends of every axis.
    #[must_use]
    pub fn ranges(&self) -> &[(f64, f64)] {
        &self.ranges
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Points along each axis.
    #[must_use]
    pub fn points(&self) -> usize {
        self.intervals() + 1
    }

    /// Intervals along each axis.
    pub(super) fn intervals(&self) -> usize {
        BASE_INTERVALS << self.level
    }

    /// The number of nodes.
    pub(super) fn nodes(&self) -> usize {
        power(self.points(), self.dim())
    }

    /// The number of cells.
    pub(super) fn cells(&self) -> usize {
        power(self.intervals(), self.dim())
    }

    /// The next finer one.
    pub(super) fn refined(&self) -> Result<Self, Error> {
        Self::new(self.ranges.clone(), self.level + 1)
    }

    /// The coordinates along each axis.
    ///
    /// # Errors
    /// As for [`axis`].
    pub fn axes(&self) -> Result<Vec<Vec<f64>>, Error> {
        self.ranges.iter().map(|&(low, high)| axis(low, high, self.points())).collect()
    }

    /// The node at a point, and the coarsest level that has it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the point is no node.
    fn find(&self, axes: &[Vec<f64>], point: &[f64]) -> Result<(usize, u32), Error> {
        let (mut node, mut stride, mut level) = (0, 1, 0);
        for (axis, &x) in axes.iter().zip(point) {
            let found = axis.binary_search_by(|knot| knot.total_cmp(&(x + 0.0)));
            let Ok(index) = found else {
                return Err(Error::Invalid(format!(
                    "got the point {point:?}, which is no node of the dyadic grid of level {}; pass \
                     the points at which it was evaluated",
                    self.level
                )));
            };
            let fineness = BASE_INTERVALS.trailing_zeros() + self.level;
            level = level.max(self.level.saturating_sub(index.trailing_zeros().min(fineness)));
            node += index * stride;
            stride *= self.points();
        }
        Ok((node, level))
    }

    /// A node of the next coarser lattice as one of this.
    fn node_of_coarser(&self, node: usize) -> usize {
        let (coarse, fine) = (self.intervals() / 2 + 1, self.points());
        convert(node, coarse, fine, self.dim(), |index| 2 * index)
    }

    /// The indices along the axes of a node, or of a cell, of `length` an axis.
    pub(super) fn split(&self, mut flat: usize, length: usize) -> Vec<usize> {
        (0..self.dim())
            .map(|_| {
                let index = flat % length;
                flat /= length;
                index
            })
            .collect()
    }
}

/// base^dim.
pub(super) fn power(base: usize, dim: usize) -> usize {
    std::iter::repeat_n(base, dim).product()
}

/// A flat index between two products of equal axes, with a map of the indices along each of them.
pub(super) fn convert(
    flat: usize,
    from: usize,
    to: usize,
    dim: usize,
    map: impl Fn(usize) -> usize,
) -> usize {
    let (mut flat, mut out, mut stride) = (flat, 0, 1);
    for _ in 0..dim {
        out += map(flat % from) * stride;
        flat /= from;
        stride *= to;
    }
    out
}

/// All offsets of 0 or 1 along `dim` axes.
pub(super) fn corners(dim: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_usize << dim).map(move |mask| (0..dim).map(|bit| mask >> bit & 1).collect())
}

/// A quantity at the nodes of a level, with the surplus in every cell.
///
/// A node that was not evaluated has the value that the coarser level's interpolant predicts, which
/// the spline of this level reproduces: there it is the coarser spline. The *surplus* is the
/// difference between an evaluated node and that prediction.
#[derive(Clone, Debug)]
pub struct NestedValues {
    interpolation: Interpolation,
    lattice: Lattice,
    values: Vec<f64>,
    evaluated: Vec<bool>,
    /// The surplus at the 2^m - 1 corners of each cell that its level has new, by its latest
    /// evaluation: |f̂ − f|; infinite before there is one, and where the one is finite and the other
    /// is not.
    absolute: Vec<f64>,
    /// The same of |f̂ / f − 1|.
    relative: Vec<f64>,
}

impl NestedValues {
    /// The values at all nodes of level 0, the first axis fastest.
    ///
    /// # Errors
    /// [`Error::Invalid`] where their number is another one.
    pub fn new(
        lattice: Lattice,
        values: Vec<f64>,
        interpolation: Interpolation,
    ) -> Result<Self, Error> {
        let (nodes, places) = (lattice.nodes(), lattice.cells() * new_corners(lattice.dim()));
        require!(
            lattice.level() == 0 && values.len() == nodes,
            "got {} values for level {}; pass all {nodes} of level 0",
            values.len(),
            lattice.level()
        );
        Ok(Self {
            interpolation,
            lattice,
            values,
            evaluated: vec![true; nodes],
            absolute: vec![f64::INFINITY; places],
            relative: vec![f64::INFINITY; places],
        })
    }

    /// The values at points of which all nodes of level 0 are some, in any order.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a point is no node of the lattice, or one of level 0 is missing.
    pub fn from_points(
        lattice: &Lattice,
        points: &[f64],
        values: &[f64],
        interpolation: Interpolation,
    ) -> Result<Self, Error> {
        let axes = lattice.axes()?;
        let mut levels = vec![Vec::new(); lattice.level() as usize + 1];
        for (point, &value) in points.chunks(lattice.dim()).zip(values) {
            let (node, level) = lattice.find(&axes, point)?;
            levels[level as usize].push((node, value));
        }
        let coarsest = Lattice::new(lattice.ranges.clone(), 0)?;
        let factor = 1 << lattice.level();
        let own = |node: usize, level: &Lattice| {
            let step = factor >> level.level();
            convert(node, lattice.points(), level.points(), lattice.dim(), |index| index / step)
        };
        let mut first = vec![None; coarsest.nodes()];
        for &(node, value) in &levels[0] {
            first[own(node, &coarsest)] = Some(value);
        }
        let first: Option<Vec<f64>> = first.into_iter().collect();
        let Some(first) = first else {
            return Err(Error::Invalid(
                "got points without all nodes of level 0; pass all that were evaluated".into(),
            ));
        };
        let mut nested = Self::new(coarsest, first, interpolation)?;
        for level in &levels[1..] {
            let finer = nested.lattice.refined()?;
            let new: Vec<_> =
                level.iter().map(|&(node, value)| (own(node, &finer), value)).collect();
            nested.refine(&new)?;
        }
        Ok(nested)
    }

    /// The lattice of the finest level so far.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// Whether each node was evaluated.
    pub(super) fn evaluated(&self) -> &[bool] {
        &self.evaluated
    }

    /// The surplus at the new corners of every cell, absolute.
    pub(super) fn absolute_surplus(&self) -> &[f64] {
        &self.absolute
    }

    /// The surplus at the new corners of every cell, relative to the value.
    pub(super) fn relative_surplus(&self) -> &[f64] {
        &self.relative
    }

    /// The values at the evaluated nodes that are finite.
    pub(super) fn finite(&self) -> impl Iterator<Item = f64> {
        let all = self.values.iter().zip(&self.evaluated);
        all.filter(|(value, evaluated)| **evaluated && value.is_finite()).map(|(value, _)| *value)
    }

    /// The interpolant of this level.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn interpolant(&self) -> Result<Interpolant, Error> {
        Interpolant::new(self.lattice.axes()?, &self.values, self.interpolation)
    }

    /// Goes to the next level, of which `new` are the nodes that were evaluated and their values.
    pub(super) fn refine(&mut self, new: &[(usize, f64)]) -> Result<(), Error> {
        let finer = self.lattice.refined()?;
        let mut values = self.interpolant()?.on(&finer.axes()?);
        let mut evaluated = vec![false; finer.nodes()];
        for (node, &value) in self.values.iter().enumerate() {
            if self.evaluated[node] {
                let node = finer.node_of_coarser(node);
                values[node] = value;
                evaluated[node] = true;
            }
        }
        let mut surplus = vec![None; finer.nodes()];
        for &(node, value) in new {
            surplus[node] = Some(compare(values[node], value));
            values[node] = value;
            evaluated[node] = true;
        }
        self.inherit_surplus(&finer, &surplus);
        self.lattice = finer;
        self.values = values;
        self.evaluated = evaluated;
        Ok(())
    }

    /// The surplus in the cells of the next level: at the corners that it has new, and where one of
    /// them was not evaluated, at least that of the cell from which a cell comes.
    fn inherit_surplus(&mut self, finer: &Lattice, surplus: &[Option<(f64, f64)>]) {
        let (dim, cells) = (finer.dim(), finer.intervals());
        let offsets: Vec<_> = corners(dim).collect();
        let places = new_corners(dim);
        let mut absolute = Vec::with_capacity(finer.cells() * places);
        let mut relative = Vec::with_capacity(finer.cells() * places);
        for cell in 0..finer.cells() {
            let first = finer.split(cell, cells);
            let found: Vec<Option<(f64, f64)>> = offsets
                .iter()
                .map(|offset| first.iter().zip(offset).map(|(a, b)| a + b).collect::<Vec<_>>())
                // the others are nodes of the coarser level
                .filter(|corner| corner.iter().any(|index| !index.is_multiple_of(2)))
                .map(|corner| {
                    let flat = |node, index| node * finer.points() + index;
                    surplus[corner.into_iter().rev().fold(0, flat)]
                })
                .collect();
            let parent = places * convert(cell, cells, cells / 2, dim, |index| index / 2);
            let is_new = found.iter().all(Option::is_some);
            for (place, found) in found.into_iter().enumerate() {
                let before = (self.absolute[parent + place], self.relative[parent + place]);
                let (a, r) = match found {
                    Some(own) if is_new => own,
                    Some((a, r)) => (a.max(before.0), r.max(before.1)),
                    None => before,
                };
                absolute.push(a);
                relative.push(r);
            }
        }
        self.absolute = absolute;
        self.relative = relative;
    }
}

/// The corners of a cell that are not nodes of the coarser level.
pub(super) fn new_corners(dim: usize) -> usize {
    power(2, dim) - 1
}

/// The absolute and the relative difference of a prediction; infinite where one alone is finite.
pub(super) fn compare(predicted: f64, value: f64) -> (f64, f64) {
    match (predicted.is_finite(), value.is_finite()) {
        (true, true) => {
            let difference = (predicted - value).abs();
            let relative = if difference == 0.0 { 0.0 } else { difference / value.abs() };
            (difference, relative)
        }
        (false, false) => (0.0, 0.0),
        _ => (f64::INFINITY, f64::INFINITY),
    }
}
