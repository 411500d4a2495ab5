//! The topology of sublevel sets on a grid: minima, saddles and maxima, with their persistence.
//!
//! Values lie on the vertices of a rectangular cubical complex; an edge or a square has the largest
//! value of its vertices (the *V-construction*). A sublevel set is therefore connected along the four
//! axis directions, and its complement along all eight. In the plane the loops of a sublevel set are,
//! by duality, the bounded components of the complement, so that both dimensions of persistence come
//! from one union-find each, of which the second runs downwards and knows the outside as a component.

use std::cmp::Ordering;

use crate::error::{Error, require};
use crate::memory::require_memory;

/// A local minimum: a component of sublevel sets from its birth to its death.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// The vertex, row-major.
    pub vertex: usize,
    /// The value there.
    pub birth: f64,
    /// Where its component meets one of a lower minimum; None where it never does.
    pub saddle: Option<usize>,
    /// The value there; infinite where there is none.
    pub death: f64,
    /// The lower minimum of the component that it joins there, as an index of minima.
    pub parent: Option<usize>,
}

/// A local maximum: what fills a loop of the sublevel sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maximum {
    /// The vertex, row-major.
    pub vertex: usize,
    /// The value there, at which the loop is filled.
    pub death: f64,
    /// Where the loop closes.
    pub saddle: usize,
    /// The value there.
    pub birth: f64,
}

/// Minima and maxima of values on a grid, and the merge tree of the sublevel sets.
///
/// NaN is outside the grid: no sublevel set contains it, and no loop around it counts. Infinite values
/// are ordinary, the highest or the lowest. Ties are broken by the position in memory, which decides
/// where a plateau's extremum lies and changes no persistence above 0.
///
/// # Reference
/// Edelsbrunner and Harer (2010), *Computational Topology*, sections VII.1 and VII.2; Robins, Wood and
/// Sheppard (2011), *Theory and algorithms for constructing discrete Morse complexes from grayscale
/// digital images*; Garin, Heiss, Maggs, Bleile and Robins (2020), *Duality in persistent homology of
/// images*, for the two neighbourhoods.
///
/// # Example
/// ```
/// use landscape_core::surface::Topology;
///
/// let topology = Topology::new(&[0.0, 3.0, 1.0, 4.0, 2.0], [1, 5], 0.0)?;
/// let pairs: Vec<_> = topology.minima.iter().map(|m| (m.birth, m.death)).collect();
/// assert_eq!(pairs, [(0.0, f64::INFINITY), (1.0, 3.0), (2.0, 4.0)]);
/// assert_eq!(topology.barriers(), [0.0, 3.0, 4.0, 3.0, 1.0, 4.0, 4.0, 4.0, 2.0]);
/// # Ok::<(), landscape_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Topology {
    /// Ascending by value.
    pub minima: Vec<Minimum>,
    /// Descending by value.
    pub maxima: Vec<Maximum>,
    /// Of every vertex the minimum to whose component it is added first; None for NaN.
    pub basins: Vec<Option<usize>>,
}

impl Topology {
    /// The topology of values, row-major (rows, columns).
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are rows times columns values and the persistence is not
    /// negative, [`Error::Memory`] where they are too many.
    pub fn new(
        values: &[f64],
        [rows, columns]: [usize; 2],
        min_persistence: f64,
    ) -> Result<Self, Error> {
        let size = require_memory::<[f64; 6]>("the topology of a grid", &[rows, columns])?;
        require!(
            values.len() == size && size > 0,
            "got {} values for {rows} rows of {columns}; pass one for each vertex",
            values.len()
        );
        require!(
            (0.0..).contains(&min_persistence),
            "got a persistence of {min_persistence}; pass a difference of values from 0 up"
        );
        let grid = Vertices { values, rows, columns };
        let order = grid.ascending();
        let (minima, basins) = grid.minima(&order);
        let mut maxima = grid.maxima(&order);
        maxima.retain(|maximum| maximum.death - maximum.birth > min_persistence);
        let (minima, basins) = simplify(&minima, &basins, min_persistence);
        Ok(Self { minima, maxima, basins })
    }

    /// The lowest height at which each two minima are connected, row-major: the highest value of the
    /// path between them whose highest value is lowest. The diagonal holds the minima's own values;
    /// infinite where nothing connects them.
    #[must_use]
    pub fn barriers(&self) -> Vec<f64> {
        let count = self.minima.len();
        let mut heights = vec![f64::INFINITY; count * count];
        for (i, minimum) in self.minima.iter().enumerate() {
            heights[i * count + i] = minimum.birth;
            for j in 0..i {
                let height = self.barrier(i, j);
                heights[i * count + j] = height;
                heights[j * count + i] = height;
            }
        }
        heights
    }

    /// Climbs the merge tree from both minima, at every step from the component that ends lower.
    fn barrier(&self, mut i: usize, mut j: usize) -> f64 {
        let mut height = f64::NEG_INFINITY;
        while i != j {
            let lower = if self.minima[i].death <= self.minima[j].death { &mut i } else { &mut j };
            let minimum = &self.minima[*lower];
            let Some(parent) = minimum.parent else {
                return f64::INFINITY;
            };
            // One of a tie may join the other's parent, which lies below both.
            height = height.max(minimum.death);
            *lower = parent;
        }
        height
    }
}

/// The area of the component of the sublevel set that contains each of some vertices; 0 for those that
/// lie above the level.
///
/// # Errors
/// [`Error::Invalid`] unless there is one value and one area for each vertex of the grid, and the
/// vertices lie on it.
pub fn component_areas(
    values: &[f64],
    [rows, columns]: [usize; 2],
    areas: &[f64],
    vertices: &[usize],
    level: f64,
) -> Result<Vec<f64>, Error> {
    let size = require_memory::<[f64; 4]>("the components of a grid", &[rows, columns])?;
    require!(
        values.len() == size && areas.len() == size,
        "got {} values and {} areas for {rows} rows of {columns}; pass one each",
        values.len(),
        areas.len()
    );
    if let Some(vertex) = vertices.iter().find(|&&vertex| vertex >= size) {
        return Err(Error::Invalid(format!(
            "got vertex {vertex} of a grid of {size}; pass indices of its values"
        )));
    }
    let grid = Vertices { values, rows, columns };
    let mut components = Components::new(size);
    for vertex in (0..size).filter(|&vertex| values[vertex] <= level) {
        components.add(vertex, grid.neighbours(vertex, false), vertex);
    }
    let mut sums = vec![0.0; size];
    for (vertex, area) in areas.iter().enumerate() {
        if let Some(root) = components.find(vertex) {
            sums[root] += area;
        }
    }
    let area = |&vertex: &usize| components.find(vertex).map_or(0.0, |root| sums[root]);
    Ok(vertices.iter().map(area).collect())
}

/// Drops minima of low persistence; their basins belong to the minima that absorb them.
///
/// What a minimum has absorbed is less persistent than itself, so that no kept minimum loses the
/// parent that it joins.
fn simplify(
    minima: &[Minimum],
    basins: &[Option<usize>],
    min_persistence: f64,
) -> (Vec<Minimum>, Vec<Option<usize>>) {
    let mut indices: Vec<Option<usize>> = Vec::with_capacity(minima.len());
    let mut kept = Vec::new();
    for minimum in minima {
        // A parent comes before its children.
        let parent = minimum.parent.and_then(|index| indices[index]);
        if minimum.death - minimum.birth > min_persistence {
            indices.push(Some(kept.len()));
            kept.push(Minimum { parent, ..*minimum });
        } else {
            indices.push(parent);
        }
    }
    let basins = basins.iter().map(|basin| basin.and_then(|index| indices[index])).collect();
    (kept, basins)
}

/// Values on the vertices of a grid.
struct Vertices<'a> {
    values: &'a [f64],
    rows: usize,
    columns: usize,
}

impl Vertices<'_> {
    /// All vertices that are not NaN, by value and then by position.
    fn ascending(&self) -> Vec<usize> {
        let mut order: Vec<_> =
            (0..self.values.len()).filter(|&vertex| !self.values[vertex].is_nan()).collect();
        // Not total_cmp, for which -0 lies below 0.
        let compare = |&a: &usize, &b: &usize| {
            self.values[a].partial_cmp(&self.values[b]).unwrap_or(Ordering::Equal)
        };
        order.sort_by(compare);
        order
    }

    /// The neighbours of a vertex within the grid, along the axes or also along the diagonals.
    fn neighbours(&self, vertex: usize, diagonals: bool) -> impl Iterator<Item = usize> {
        let (row, column) = (vertex / self.columns, vertex % self.columns);
        let (rows, columns) = (self.rows, self.columns);
        let steps = (0..9).map(|k| (k / 3, k % 3));
        steps.filter_map(move |(down, right)| {
            let is_axis = (down == 1) != (right == 1);
            let is_step = (down, right) != (1, 1) && (diagonals || is_axis);
            let (y, x) = ((row + down).checked_sub(1)?, (column + right).checked_sub(1)?);
            (is_step && y < rows && x < columns).then_some(y * columns + x)
        })
    }

    fn is_on_edge(&self, vertex: usize) -> bool {
        let (row, column) = (vertex / self.columns, vertex % self.columns);
        row == 0 || column == 0 || row + 1 == self.rows || column + 1 == self.columns
    }

    /// Every local minimum, also those of persistence 0, and the basin of every vertex.
    fn minima(&self, order: &[usize]) -> (Vec<Minimum>, Vec<Option<usize>>) {
        let mut minima: Vec<Minimum> = Vec::new();
        let mut components = Components::new(self.values.len());
        let mut basins = vec![None; self.values.len()];
        for &vertex in order {
            let merge = components.add(vertex, self.neighbours(vertex, false), minima.len());
            basins[vertex] = Some(merge.oldest);
            if merge.oldest == minima.len() {
                minima.push(Minimum {
                    vertex,
                    birth: self.values[vertex],
                    saddle: None,
                    death: f64::INFINITY,
                    parent: None,
                });
            }
            for younger in merge.younger {
                let minimum = &mut minima[younger];
                minimum.saddle = Some(vertex);
                minimum.death = self.values[vertex];
                minimum.parent = Some(merge.oldest);
            }
        }
        (minima, basins)
    }

    /// Every local maximum inside the grid, also those of persistence 0.
    fn maxima(&self, order: &[usize]) -> Vec<Maximum> {
        let outside = self.values.len();
        let mut vertices = Vec::new();
        let mut maxima = Vec::new();
        let mut components = Components::new(self.values.len() + 1);
        // The outside and NaN are the oldest component: it has no maximum and ends no loop.
        components.add(outside, std::iter::empty(), 0);
        vertices.push(outside);
        for vertex in (0..outside).filter(|&vertex| self.values[vertex].is_nan()) {
            components.add(vertex, std::iter::once(outside), 0);
        }
        for &vertex in order.iter().rev() {
            let edge = self.is_on_edge(vertex).then_some(outside);
            let neighbours = self.neighbours(vertex, true).chain(edge);
            let merge = components.add(vertex, neighbours, vertices.len());
            if merge.oldest == vertices.len() {
                vertices.push(vertex);
            }
            let birth = self.values[vertex];
            maxima.extend(merge.younger.into_iter().map(|younger| {
                let top = vertices[younger];
                Maximum { vertex: top, death: self.values[top], saddle: vertex, birth }
            }));
        }
        // An extremum's name is its age.
        maxima.sort_by(|a, b| b.death.partial_cmp(&a.death).unwrap_or(Ordering::Equal));
        maxima
    }
}

/// Union-find over vertices that are added one by one; components are named by age, 0 the oldest.
struct Components {
    /// The parent of each vertex; its own index for roots; absent vertices have none.
    parents: Vec<Option<usize>>,
    /// The name of each root's component.
    names: Vec<usize>,
}

/// What happened when a vertex was added.
struct Merge {
    /// The component that contains it now.
    oldest: usize,
    /// Components that ended.
    younger: Vec<usize>,
}

impl Components {
    fn new(size: usize) -> Self {
        Self { parents: vec![None; size], names: vec![0; size] }
    }

    /// Adds a vertex to all components of its neighbours, or to one of a new name.
    fn add(
        &mut self,
        vertex: usize,
        neighbours: impl Iterator<Item = usize>,
        new_name: usize,
    ) -> Merge {
        self.parents[vertex] = Some(vertex);
        self.names[vertex] = new_name;
        let mut is_new = true;
        let mut younger = Vec::new();
        for neighbour in neighbours {
            let Some(root) = self.find(neighbour) else { continue };
            let own = self.find(vertex).unwrap_or(vertex);
            if root == own {
                continue;
            }
            let (a, b) = (self.names[own], self.names[root]);
            if !is_new {
                younger.push(a.max(b));
            }
            is_new = false;
            // The new vertex alone is no component: it takes its first neighbour's name.
            self.parents[own] = Some(root);
            self.names[root] = a.min(b);
        }
        let root = self.find(vertex).unwrap_or(vertex);
        Merge { oldest: self.names[root], younger }
    }

    /// The root of a vertex, with path halving; None where it has not been added.
    fn find(&mut self, vertex: usize) -> Option<usize> {
        let mut index = vertex;
        loop {
            let parent = self.parents[index]?;
            if parent == index {
                return Some(index);
            }
            let grandparent = self.parents[parent]?;
            self.parents[index] = Some(grandparent);
            index = grandparent;
        }
    }
}
