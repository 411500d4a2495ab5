//! The minimum spanning tree, by Kruskal's algorithm.

use crate::error::{Error, require};

/// The minimum spanning tree of a complete graph with symmetric weights, row-major (n, n): its
/// edges (i, j) with i < j, lightest first.
///
/// Between any two vertices the path along the tree minimises the highest edge weight (minimax path),
/// so lowest saddles between minima form one. An infinite weight means that there is no edge.
///
/// # Errors
/// [`Error::Invalid`] unless the matrix is square and free of NaN, and the graph connected.
///
/// # Reference
/// Kruskal (1956), *On the shortest spanning subtree of a graph and the traveling salesman problem*.
pub fn minimum_spanning_tree(weights: &[f64], count: usize) -> Result<Vec<[usize; 2]>, Error> {
    require!(
        weights.len() == count * count && weights.iter().all(|weight| !weight.is_nan()),
        "got {} weights for {count} vertices, or NaN among them; pass a square matrix of numbers",
        weights.len()
    );
    let mut edges: Vec<_> = (0..count)
        .flat_map(|i| (i + 1..count).map(move |j| [i, j]))
        .filter(|[i, j]| weights[i * count + j] < f64::INFINITY)
        .collect();
    edges.sort_by(|a, b| weights[a[0] * count + a[1]].total_cmp(&weights[b[0] * count + b[1]]));
    let mut component: Vec<_> = (0..count).collect();
    edges.retain(|&[i, j]| {
        let (one, other) = (component[i], component[j]);
        for label in &mut component {
            if *label == other {
                *label = one;
            }
        }
        one != other
    });
    require!(
        edges.len() + 1 == count.max(1),
        "got a graph of {count} vertices that is not connected; pass finite weights enough"
    );
    Ok(edges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Gaussian;

    fn symmetric(count: usize, seed: u64) -> Vec<f64> {
        let mut weights = vec![0.0_f64; count * count];
        Gaussian::new(seed, 0).fill(0, &mut weights);
        for i in 0..count {
            for j in 0..i {
                weights[i * count + j] = weights[j * count + i];
            }
        }
        weights
    }

    /// The lightest of all sets of n − 1 edges that connect.
    fn lightest(weights: &[f64], count: usize) -> f64 {
        let edges: Vec<_> = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j))).collect();
        let connected = |chosen: &[(usize, usize)]| {
            let mut part: Vec<_> = (0..count).collect();
            for &(i, j) in chosen {
                let (one, other) = (part[i], part[j]);
                part.iter_mut().filter(|p| **p == other).for_each(|p| *p = one);
            }
            part.iter().all(|&p| p == part[0])
        };
        (0_u32..1 << edges.len())
            .filter(|set| set.count_ones() as usize == count - 1)
            .map(|set| {
                let inside = edges.iter().enumerate().filter(|(k, _)| set >> k & 1 == 1);
                inside.map(|(_, &edge)| edge).collect::<Vec<_>>()
            })
            .filter(|chosen| connected(chosen))
            .map(|chosen| chosen.iter().map(|&(i, j)| weights[i * count + j]).sum::<f64>())
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_tree_is_lighter() {
        for count in 2..6 {
            for seed in 0..20 {
                let weights = symmetric(count, seed);
                let tree = minimum_spanning_tree(&weights, count).expect("connected");
                let total: f64 = tree.iter().map(|[i, j]| weights[i * count + j]).sum();
                assert!((total - lightest(&weights, count)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn only_connected_graphs_are_accepted() {
        let gone = f64::INFINITY;
        assert!(minimum_spanning_tree(&[0.0, gone, gone, 0.0], 2).is_err());
        assert!(minimum_spanning_tree(&[0.0, f64::NAN, 1.0, 0.0], 2).is_err());
        assert_eq!(minimum_spanning_tree(&[0.0], 1).expect("one vertex"), Vec::<[usize; 2]>::new());
    }
}
