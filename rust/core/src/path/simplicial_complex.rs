//! Simplices through minima that share connecting points, and random points in them.

use super::volume::EdgeGram;
use crate::error::{Error, require};
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// Barycentric coordinates of `count` uniform points in a simplex, row-major (count, corners), from
/// position `first` of the stream: independent exponential variates over their sum.
///
/// The variate −ln u at a position is half the squared length of the pair of normals there.
///
/// # Reference
/// Devroye (1986), *Non-uniform random variate generation*, section V.2.1.
#[must_use]
pub fn simplex_weights(stream: &Gaussian, first: u64, count: usize, corners: usize) -> Vec<f64> {
    let positions = (0..(count * corners) as u64)
        .map(|index| first.wrapping_mul(corners as u64).wrapping_add(index));
    let mut rows: Vec<_> = positions.map(|index| -libm::log(stream.uniforms(index)[0])).collect();
    for row in rows.chunks_mut(corners) {
        let sum: f64 = row.iter().sum();
        for weight in row {
            *weight /= sum;
        }
    }
    rows
}

/// A simplicial complex: each minimum spans one simplex with all connecting points.
///
/// # Reference
/// Benton, Maddox, Lotfi, Wilson (2021), *Loss surface simplexes for mode connecting volumes and
/// fast ensembling*, section 4.
#[derive(Clone, Debug, PartialEq)]
pub struct SimplicialComplex<S> {
    /// Minima, then connecting points, row-major (vertices, dim).
    vertices: Vec<S>,
    dim: usize,
    modes: usize,
}

impl<S: Scalar> SimplicialComplex<S> {
    /// The complex of these vertices, row-major, of which the first `modes` are minima.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is a minimum, and the numbers are whole points.
    pub fn new(vertices: Vec<S>, dim: usize, modes: usize) -> Result<Self, Error> {
        require!(
            dim > 0
                && modes > 0
                && vertices.len().is_multiple_of(dim)
                && vertices.len() / dim >= modes,
            "got {} numbers for {modes} minima of {dim}; pass one whole point or more",
            vertices.len()
        );
        Ok(Self { vertices, dim, modes })
    }

    /// The number of coordinates of a vertex.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The number of minima.
    #[must_use]
    pub fn modes(&self) -> usize {
        self.modes
    }

    /// The number of vertices.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vertices.len() / self.dim
    }

    /// All vertices, row-major (vertices, dim).
    #[must_use]
    pub fn rows(&self) -> &[S] {
        &self.vertices
    }

    /// One vertex.
    #[must_use]
    pub fn row(&self, index: usize) -> &[S] {
        &self.vertices[index * self.dim..][..self.dim]
    }

    /// The last vertex, mutably.
    pub fn last_mut(&mut self) -> &mut [S] {
        let first = self.vertices.len() - self.dim;
        &mut self.vertices[first..]
    }

    /// Adds a connecting point.
    pub fn push(&mut self, vertex: &[S]) {
        self.vertices.extend(vertex);
    }

    /// The vertices of one minimum's simplex: the minimum, then all connecting points.
    #[must_use]
    pub fn simplex(&self, mode: usize) -> Vec<usize> {
        [mode].into_iter().chain(self.modes..self.count()).collect()
    }

    /// The point with these weights in one minimum's simplex.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the weights are not one a corner.
    pub fn point(&self, mode: usize, weights: &[f64]) -> Result<Vec<S>, Error> {
        combine(&self.corners(mode), weights)
    }

    fn corners(&self, mode: usize) -> Vec<&[S]> {
        self.simplex(mode).into_iter().map(|vertex| self.row(vertex)).collect()
    }

    /// log Σ V of all simplices, and its gradient with respect to the last vertex as coefficients of all
    /// vertices: the mean of the simplices' gradients, weighted by volume. None where all volumes are 0.
    ///
    /// # Errors
    /// None: all vertices have one length.
    pub(super) fn log_volume_gradient(&self) -> Result<Option<(f64, Vec<f64>)>, Error> {
        let edges = (0..self.modes).map(|mode| EdgeGram::factorise(&self.corners(mode)));
        let edges = edges.collect::<Result<Vec<_>, _>>()?;
        let logs: Vec<_> = edges.iter().map(EdgeGram::log_volume).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return Ok(None);
        }
        let shares: Vec<_> = logs.iter().map(|log| libm::exp(log - largest)).collect();
        let sum: f64 = shares.iter().sum();
        let mut weights = vec![0.0; self.count()];
        for (mode, (edges, share)) in edges.iter().zip(&shares).enumerate() {
            let gradient = edges.gradient().unwrap_or_default();
            for (vertex, weight) in self.simplex(mode).into_iter().zip(gradient) {
                weights[vertex] += share / sum * weight;
            }
        }
        Ok(Some((largest + libm::log(sum), weights)))
    }

    /// The mean of all vertices.
    ///
    /// # Errors
    /// None: all vertices have one length.
    pub(super) fn centre(&self) -> Result<Vec<S>, Error> {
        let rows: Vec<_> = (0..self.count()).map(|index| self.row(index)).collect();
        combine(&rows, &vec![1.0 / rows.len() as f64; rows.len()])
    }

    /// The root mean square distance of the minima from their mean; of a single minimum, its norm.
    ///
    /// # Errors
    /// None: all vertices have one length.
    pub(super) fn radius(&self) -> Result<f64, Error> {
        if self.modes == 1 {
            return Ok(norm(self.row(0)));
        }
        let minima = Self::new(self.vertices[..self.modes * self.dim].to_vec(), self.dim, 1)?;
        let centre = minima.centre()?;
        let deviation = |mode: usize| combine(&[self.row(mode), &centre], &[1.0, -1.0]);
        let deviations = (0..self.modes).map(deviation).collect::<Result<Vec<_>, _>>()?;
        let squares: f64 = deviations.iter().map(|row| norm(row).powi(2)).sum();
        Ok((squares / self.modes as f64).sqrt())
    }
}
