//! Refinement of a dyadic grid where the interpolation error asks for it.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::{Cancel, Monitor, Progress};
use crate::objective::Subspace;
use crate::surface::interpolant::{Interpolant, Interpolation};
use crate::surface::nested::{
    Lattice, NestedValues, compare, convert, corners, new_corners, power,
};

/// The level up to which all nodes are evaluated: nine points an axis.
const FULL_LEVEL: u32 = 1;

/// The surplus over the error that remains.
///
/// A surplus is the error of the level before it; a cubic spline's is up to 16 times that of its own
/// level. Over thirteen surfaces of seven trained networks and six tolerances the 95th percentile of
/// the surplus was 3.0 to 200 times that of the true error, so that half of it bounds the error.
const SURPLUS_FACTOR: f64 = 2.0;

/// What an error is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorScale {
    /// The value at the same point.
    Value,
    /// The largest difference between the values of the grid.
    Range,
}

/// The largest error over the largest surplus: between the nodes that measured it an error may be
/// larger, where spikes are hardly wider than their distance by 1.3 to 1.7 times.
const MAXIMUM_FACTOR: f64 = 2.0;

/// A level above the first is evaluated in so many parts, after each of which it may end, but of no
/// fewer points than follow.
const PARTS: usize = 16;
const SMALLEST_PART: usize = 24;

/// The options of a refinement.
#[derive(Clone, Debug, PartialEq)]
pub struct Refinement {
    /// The error that may remain.
    pub tolerance: f64,
    /// What it is measured against.
    pub scale: ErrorScale,
    /// The fraction of the area in which it must hold.
    pub quantile: f64,
    /// The finest level.
    pub finest: u32,
}

/// How a refinement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// The estimated error is within the tolerance.
    Converged,
    /// The finest level was reached before that.
    Finest,
    /// It was stopped before that.
    Stopped,
}

/// The estimated error of the interpolant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The error that 95% of the area do not exceed: half the surplus.
    pub quantile95: f64,
    /// The surplus that 95% of the area do not exceed.
    pub surplus95: f64,
    /// Twice the largest surplus at a place with finite values, which errors hardly exceed.
    pub maximum: f64,
    /// What these are relative to: the range where a value is not positive.
    pub scale: ErrorScale,
}

/// A dyadic grid on a subspace that is refined until its interpolant is within a tolerance.
///
/// Level 1, nine points an axis, is evaluated as a whole. Each further level evaluates the cells whose
/// surplus exceeds twice the tolerance and all their neighbours, so that a steep place is surrounded
/// by cells without surplus. The largest surplus comes first, with its neighbours, and it ends, also
/// within a level, when the surplus exceeds that in a small enough part of the area.
///
/// The caller evaluates: [`proposed`](Self::proposed) lists the points, in the order in which
/// [`accept`](Self::accept) takes their values. Feeding recorded values to a new grid of the same
/// options gives the same grid.
///
/// The columns are the interpolations of the values of a point. Those that are not linear are losses,
/// whose error is controlled; the error of a cell is the largest of them.
#[derive(Clone, Debug)]
pub struct AdaptiveGrid {
    refinement: Refinement,
    interpolations: Vec<Interpolation>,
    coarsest: Lattice,
    columns: Vec<NestedValues>,
    /// The nodes of the next level to evaluate.
    proposed: Vec<usize>,
    /// How many of them are to be evaluated before the next look at the surplus.
    offered: usize,
    proposed_lattice: Lattice,
    /// Values of the first of them, row-major.
    received: Vec<f64>,
    /// Coordinates and values of the levels before.
    points: Vec<f64>,
    rows: Vec<f64>,
    outcome: Outcome,
}

impl AdaptiveGrid {
    /// A grid without values yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options out of range.
    pub fn new(
        ranges: Vec<(f64, f64)>,
        columns: Vec<Interpolation>,
        refinement: Refinement,
    ) -> Result<Self, Error> {
        let tolerance = refinement.tolerance;
        require!(
            tolerance > 0.0 && tolerance.is_finite(),
            "got the tolerance {tolerance}; pass a positive number"
        );
        require!(
            refinement.quantile > 0.0 && refinement.quantile <= 1.0,
            "got the quantile {}; pass a fraction of the area above 0, at most 1",
            refinement.quantile
        );
        require!(
            refinement.finest >= FULL_LEVEL,
            "got the finest level {}; pass at least {FULL_LEVEL}",
            refinement.finest
        );
        require!(
            columns.iter().any(|&column| column != Interpolation::Linear),
            "got no column whose error is controlled; pass at least one with a cubic interpolation"
        );
        Lattice::new(ranges.clone(), refinement.finest)?;
        let coarsest = Lattice::new(ranges, 0)?;
        let proposed: Vec<usize> = (0..coarsest.nodes()).collect();
        Ok(Self {
            refinement,
            offered: proposed.len(),
            interpolations: columns,
            proposed_lattice: coarsest.clone(),
            coarsest,
            columns: Vec::new(),
            proposed,
            received: Vec::new(),
            points: Vec::new(),
            rows: Vec::new(),
            outcome: Outcome::Running,
        })
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The lattice of the finest level that is complete.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        self.columns.first().map_or(&self.coarsest, NestedValues::lattice)
    }

    /// The points whose values were accepted.
    #[must_use]
    pub fn done(&self) -> usize {
        self.rows.len() / self.interpolations.len()
            + self.received.len() / self.interpolations.len()
    }

    /// The points to evaluate next, row-major: a part of the present level.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn proposed(&self) -> Result<Vec<f64>, Error> {
        let axes = self.proposed_lattice.axes()?;
        let first = self.received.len() / self.interpolations.len();
        let nodes = &self.proposed[first..self.offered];
        Ok(nodes.iter().flat_map(|&node| self.coordinates(&axes, node)).collect())
    }

    /// The coordinates of all points whose values were accepted, row-major, and the values.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn evaluated(&self) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let (mut points, mut rows) = (self.points.clone(), self.rows.clone());
        let axes = self.proposed_lattice.axes()?;
        let nodes = &self.proposed[..self.received.len() / self.interpolations.len()];
        points.extend(nodes.iter().flat_map(|&node| self.coordinates(&axes, node)));
        rows.extend(&self.received);
        Ok((points, rows))
    }

    /// Takes the values at the first of the [`proposed`](Self::proposed) points, row-major.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are not rows of the columns, or more than are left.
    pub fn accept(&mut self, values: &[f64]) -> Result<(), Error> {
        let columns = self.interpolations.len();
        let left = self.offered * columns - self.received.len();
        require!(
            values.len().is_multiple_of(columns) && values.len() <= left,
            "got {} values of {columns} columns where {left} are left; pass as many as were proposed",
            values.len()
        );
        self.received.extend(values);
        if self.proposed.is_empty() || values.len() < left {
            return Ok(());
        }
        if self.offered == self.proposed.len() || self.is_accurate(&self.refined_columns()?) {
            return self.complete_level();
        }
        self.offered = self.proposed.len().min(self.offered + self.part());
        Ok(())
    }

    /// Ends the refinement: the level becomes complete with the values that were accepted.
    ///
    /// # Errors
    /// [`Error::Invalid`] before level 1 is complete: there is no estimate of the error yet.
    pub fn stop(&mut self) -> Result<(), Error> {
        let has_estimate = !self.columns.is_empty() && self.lattice().level() >= FULL_LEVEL;
        let least = Lattice::new(self.ranges(), FULL_LEVEL)?.nodes();
        require!(
            has_estimate,
            "got {} of the {least} points from which an error can be estimated; evaluate those first",
            self.done()
        );
        if self.outcome == Outcome::Running {
            if !self.received.is_empty() {
                self.complete_level()?;
            }
            if self.outcome == Outcome::Running {
                self.outcome = Outcome::Stopped;
            }
            self.proposed.clear();
            self.offered = 0;
        }
        Ok(())
    }

    /// Evaluates a subspace until the refinement ends, in chunks of points; the monitor receives the
    /// values of each, row-major. `total` counts the levels that have been proposed.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the subspace does not fit; otherwise those of the subspace and of the
    /// monitor, after which the grid goes on where it was.
    pub fn run(
        &mut self,
        subspace: &dyn Subspace,
        chunk: usize,
        monitor: &mut dyn Monitor,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let (dim, columns) = (subspace.dim(), subspace.columns());
        require!(
            dim == self.coarsest.dim() && columns == self.interpolations.len(),
            "got a subspace of {dim} dimensions and {columns} columns; expected {} and {}",
            self.coarsest.dim(),
            self.interpolations.len()
        );
        require!(chunk > 0, "got chunks of 0 points; pass at least 1");
        while self.outcome == Outcome::Running {
            let points = self.proposed()?;
            for coords in points.chunks(chunk.saturating_mul(dim)) {
                cancel.check()?;
                let total = self.total();
                let rows = coords.len() / dim;
                let what = format!("a chunk of {rows} points of {columns} columns");
                let mut values = vec![0.0; require_memory::<f64>(&what, &[rows, columns])?];
                subspace.evaluate(coords, &mut values, cancel)?;
                self.accept(&values)?;
                monitor.tick(Progress { done: self.done(), total, values: &values })?;
            }
        }
        Ok(())
    }

    /// The points that were evaluated, and those that are proposed.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rows.len() / self.interpolations.len() + self.proposed.len()
    }

    /// The interpolant of a column at the finest complete level.
    ///
    /// # Errors
    /// [`Error::Invalid`] before level 0 is complete, or where there is no such column.
    pub fn interpolant(&self, column: usize) -> Result<Interpolant, Error> {
        let Some(values) = self.columns.get(column) else {
            return Err(Error::Invalid(format!(
                "got column {column} of a grid with {} complete columns; evaluate level 0 first",
                self.columns.len()
            )));
        };
        values.interpolant()
    }

    /// The estimated error of the interpolants; infinite before level 1 is complete.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let scale = self.scale(&self.columns);
        let mut surplus = self.surplus(&self.columns);
        if surplus.is_empty() {
            let quantile95 = f64::INFINITY;
            return Estimate { quantile95, surplus95: quantile95, maximum: quantile95, scale };
        }
        let finite = surplus.iter().copied().filter(|value| value.is_finite());
        let maximum = MAXIMUM_FACTOR * finite.reduce(f64::max).unwrap_or(f64::INFINITY);
        let surplus95 = quantile(&mut surplus, 0.95);
        Estimate { quantile95: surplus95 / SURPLUS_FACTOR, surplus95, maximum, scale }
    }

    /// The estimated error, half the surplus, of the cell that holds each of some points, row-major;
    /// infinite where there is none yet. A point between cells takes the larger error.
    #[must_use]
    pub fn errors_at(&self, points: &[f64]) -> Vec<f64> {
        let surplus = self.cell_surplus();
        let lattice = self.lattice();
        let cells = lattice.intervals();
        let ranges = self.ranges();
        let error = |point: &[f64]| {
            let position =
                |(&x, &(low, high)): (&f64, &(f64, f64))| (x - low) / (high - low) * cells as f64;
            let places: Vec<f64> = point.iter().zip(&ranges).map(position).collect();
            let corner = |offset: Vec<usize>| {
                places.iter().zip(offset).rev().fold(0, |flat, (place, after)| {
                    let index = if after == 1 { place.floor() } else { place.ceil() - 1.0 };
                    flat * cells + to_index(index).min(cells - 1)
                })
            };
            let touching = corners(places.len()).map(|offset| surplus[corner(offset)]);
            touching.fold(0.0, f64::max) / SURPLUS_FACTOR
        };
        if surplus.is_empty() {
            return vec![f64::INFINITY; points.len() / lattice.dim()];
        }
        points.chunks(lattice.dim()).map(error).collect()
    }

    /// The errors of the interpolants against values at other points, row-major: of each point the
    /// largest among the losses. Infinite where only one of the two is finite.
    ///
    /// # Errors
    /// [`Error::Invalid`] before level 0 is complete, or where the numbers do not fit.
    pub fn errors_against(&self, points: &[f64], values: &[f64]) -> Result<Vec<f64>, Error> {
        let (dim, columns) = (self.coarsest.dim(), self.interpolations.len());
        let are_rows = points.len().is_multiple_of(dim) && values.len().is_multiple_of(columns);
        require!(
            are_rows && points.len() / dim == values.len() / columns,
            "got {} coordinates and {} values; pass a row of {dim} and of {columns} for each point",
            points.len(),
            values.len()
        );
        let scale = self.scale(&self.columns);
        let mut errors = vec![0.0_f64; points.len() / dim];
        for column in self.losses() {
            let interpolant = self.interpolant(column)?;
            let range = range(self.columns[column].finite());
            let rows = points.chunks(dim).zip(values.chunks(columns));
            for (error, (point, row)) in errors.iter_mut().zip(rows) {
                let (absolute, relative) = compare(interpolant.at(point), row[column]);
                *error = error.max(match scale {
                    ErrorScale::Value => relative,
                    ErrorScale::Range => divide(absolute, range),
                });
            }
        }
        Ok(errors)
    }

    fn ranges(&self) -> Vec<(f64, f64)> {
        self.coarsest.ranges().to_vec()
    }

    fn coordinates(&self, axes: &[Vec<f64>], node: usize) -> Vec<f64> {
        let indices = self.proposed_lattice.split(node, self.proposed_lattice.points());
        axes.iter().zip(indices).map(|(axis, index)| axis[index]).collect()
    }

    /// The columns whose error is controlled.
    fn losses(&self) -> impl Iterator<Item = usize> {
        let kinds = self.interpolations.iter().enumerate();
        kinds.filter(|(_, kind)| **kind != Interpolation::Linear).map(|(column, _)| column)
    }

    /// The scale that applies: an error relative to a value needs positive values.
    fn scale(&self, columns: &[NestedValues]) -> ErrorScale {
        let is_positive = |column: &NestedValues| column.finite().all(|value| value > 0.0);
        let all_are = self.losses().all(|i| columns.get(i).is_none_or(is_positive));
        if all_are { self.refinement.scale } else { ErrorScale::Range }
    }

    /// The largest surplus in every cell of the finest complete level.
    fn cell_surplus(&self) -> Vec<f64> {
        let largest = |places: &[f64]| places.iter().copied().fold(0.0, f64::max);
        let places = new_corners(self.coarsest.dim());
        self.surplus(&self.columns).chunks(places).map(largest).collect()
    }

    /// The surplus at the new corners of every cell, the largest among the losses. An inner node is a
    /// corner of as many cells as any other: each has the same weight.
    fn surplus(&self, columns: &[NestedValues]) -> Vec<f64> {
        let scale = self.scale(columns);
        let mut surplus = Vec::new();
        for values in self.losses().filter_map(|column| columns.get(column)) {
            let own: Vec<f64> = match scale {
                ErrorScale::Value => values.relative_surplus().to_vec(),
                ErrorScale::Range => {
                    let range = range(values.finite());
                    values.absolute_surplus().iter().map(|&s| divide(s, range)).collect()
                }
            };
            surplus.resize(own.len(), 0.0);
            for (largest, own) in surplus.iter_mut().zip(own) {
                *largest = f64::max(*largest, own);
            }
        }
        surplus
    }

    /// Whether the surplus exceeds twice the tolerance in a small enough part of the area.
    fn is_accurate(&self, columns: &[NestedValues]) -> bool {
        quantile(&mut self.surplus(columns), self.refinement.quantile) <= self.limit()
    }

    /// The surplus that may remain.
    fn limit(&self) -> f64 {
        SURPLUS_FACTOR * self.refinement.tolerance
    }

    /// The points of a part of the level.
    fn part(&self) -> usize {
        self.proposed.len().div_ceil(PARTS).max(SMALLEST_PART)
    }

    /// The columns with what was received of the next level.
    fn refined_columns(&self) -> Result<Vec<NestedValues>, Error> {
        let columns = self.interpolations.len();
        let count = self.received.len() / columns;
        let of_column = |column: usize| {
            let nodes = self.proposed[..count].iter().zip(self.received.chunks(columns));
            nodes.map(move |(&node, row)| (node, row[column])).collect::<Vec<_>>()
        };
        if self.columns.is_empty() {
            let kinds = self.interpolations.iter().enumerate();
            return kinds
                .map(|(column, &interpolation)| {
                    let values = of_column(column).into_iter().map(|(_, value)| value).collect();
                    NestedValues::new(self.coarsest.clone(), values, interpolation)
                })
                .collect();
        }
        let mut refined = self.columns.clone();
        for (column, values) in refined.iter_mut().enumerate() {
            values.refine(&of_column(column))?;
        }
        Ok(refined)
    }

    /// Interpolates what was received, and proposes the next level or ends.
    fn complete_level(&mut self) -> Result<(), Error> {
        let (points, rows) = self.evaluated()?;
        self.columns = self.refined_columns()?;
        self.points = points;
        self.rows = rows;
        self.proposed.clear();
        self.received.clear();
        self.offered = 0;
        self.propose()
    }

    fn propose(&mut self) -> Result<(), Error> {
        let lattice = self.lattice().clone();
        let is_full = lattice.level() < FULL_LEVEL;
        let active = if is_full {
            (0..lattice.cells()).collect()
        } else {
            self.outcome = if self.is_accurate(&self.columns) {
                Outcome::Converged
            } else if lattice.level() >= self.refinement.finest {
                Outcome::Finest
            } else {
                Outcome::Running
            };
            select_cells(&lattice, &self.cell_surplus(), self.limit())
        };
        if self.outcome == Outcome::Running {
            self.proposed_lattice = lattice.refined()?;
            self.proposed =
                list_new_nodes(&self.proposed_lattice, self.columns[0].evaluated(), &active);
            let part = if is_full { self.proposed.len() } else { self.part() };
            self.offered = self.proposed.len().min(part);
        }
        Ok(())
    }
}

/// The cells whose surplus exceeds the limit, the largest first, each followed by its neighbours.
fn select_cells(lattice: &Lattice, surplus: &[f64], limit: f64) -> Vec<usize> {
    let length = lattice.intervals();
    let mut exceeding: Vec<usize> =
        (0..surplus.len()).filter(|&cell| surplus[cell] > limit).collect();
    exceeding.sort_by(|&a, &b| surplus[b].total_cmp(&surplus[a]).then(a.cmp(&b)));
    let mut is_active = vec![false; surplus.len()];
    let mut active = Vec::new();
    let mut add = |cell: usize| {
        if !std::mem::replace(&mut is_active[cell], true) {
            active.push(cell);
        }
    };
    for cell in exceeding {
        add(cell);
        let place = lattice.split(cell, length);
        for neighbour in 0..power(3, lattice.dim()) {
            let mut rest = neighbour;
            let moved: Option<Vec<usize>> = place
                .iter()
                .map(|&index| {
                    let step = rest % 3;
                    rest /= 3;
                    (index + step).checked_sub(1).filter(|&index| index < length)
                })
                .collect();
            if let Some(moved) = moved {
                add(moved.iter().rev().fold(0, |flat, index| flat * length + index));
            }
        }
    }
    active
}

/// The nodes of the finer lattice in some cells of the coarser one that were not evaluated, in the
/// order of the cells.
fn list_new_nodes(finer: &Lattice, evaluated: &[bool], active: &[usize]) -> Vec<usize> {
    let (dim, points, cells) = (finer.dim(), finer.points(), finer.intervals() / 2);
    let mut is_listed = vec![false; finer.nodes()];
    for (node, _) in evaluated.iter().enumerate().filter(|(_, evaluated)| **evaluated) {
        is_listed[convert(node, cells + 1, points, dim, |index| 2 * index)] = true;
    }
    let mut nodes = Vec::new();
    for &cell in active {
        let first = convert(cell, cells, points, dim, |index| 2 * index);
        for offset in 0..power(3, dim) {
            let node = first + convert(offset, 3, points, dim, |step| step);
            if !std::mem::replace(&mut is_listed[node], true) {
                nodes.push(node);
            }
        }
    }
    nodes
}

/// The smallest value that a fraction of the values do not exceed.
fn quantile(values: &mut [f64], fraction: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = to_index((fraction * values.len() as f64).ceil());
    values[rank.clamp(1, values.len()) - 1]
}

/// A whole number from 0 up; 0 for what is below, or NaN.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion that saturates is what is meant"
)]
fn to_index(number: f64) -> usize {
    number as usize
}

fn range(values: impl Iterator<Item = f64>) -> f64 {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    high - low
}

/// An error as a part of the range; 0 where both are.
fn divide(error: f64, range: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / range }
}
