//! Which steps a network's forward pass takes, and where each puts its result.

use smallvec::SmallVec;

use super::{Fused, Place, Step, Work};
use crate::network::graph::Network;
use crate::network::kernel::{Last, Pool, Real, Rectify};

/// The steps of a network, the features of every buffer, where the output ends, and how many derived
/// numbers a point has.
pub(super) fn planned<T: Real>(network: &Network<T>) -> (Vec<Step>, Vec<usize>, Place, usize) {
    let consumers = consumers(network);
    let mut derived = 0;
    let mut absorbed = vec![false; network.nodes.len()];
    let mut groups: Vec<(usize, Option<Fused>)> = Vec::new();
    for node in 0..network.nodes.len() {
        if absorbed[node] {
            continue;
        }
        let fused = fuse(network, &consumers, &mut absorbed, node, &mut derived);
        groups.push((fused.as_ref().map_or(node, |fused| fused.end), fused));
    }
    groups.sort_by_key(|&(end, _)| end);
    let (steps, slots, output) = Layout::new(network, &groups).planned();
    (steps, slots, output, derived)
}

/// The nodes that read each room; the end counts as one.
fn consumers<T: Real>(network: &Network<T>) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); network.shapes.len()];
    for (index, node) in network.nodes.iter().enumerate() {
        for &room in &node.inputs {
            consumers[room].push(index);
        }
    }
    consumers[network.output].push(network.nodes.len());
    consumers
}

/// What a product takes over; None for another layer.
fn fuse<T: Real>(
    network: &Network<T>,
    consumers: &[Vec<usize>],
    absorbed: &mut [bool],
    node: usize,
    derived: &mut usize,
) -> Option<Fused> {
    let product = network.nodes[node].layer.as_product()?;
    let mut fused = Fused {
        node,
        normalisation: None,
        residual: None,
        rectify: Rectify::None,
        pool: None,
        last: Last::Identity,
        end: node,
        derived: *derived,
        prepared: 0,
    };
    let rows = network.shapes[node + 1];
    let next = |fused: &Fused| match consumers[fused.end + 1][..] {
        [only] if only < network.nodes.len() => Some(only),
        _ => None,
    };
    if let Some(norm) = next(&fused)
        && network.nodes[norm].layer.as_normalisation().is_some()
        // seen as rows of another shape (flattened), a row has no scale of its own
        && network.shapes[norm + 1] == rows
    {
        *derived += 2 * rows.channels;
        (fused.normalisation, fused.end) = (Some(norm), norm);
        absorbed[norm] = true;
    }
    if let Some(sum) = next(&fused)
        && network.nodes[sum].layer.is_sum()
        && !absorbed[sum]
    {
        let other = network.nodes[sum].inputs.iter().find(|&&room| room != fused.end + 1);
        if let Some(&other) = other {
            (fused.residual, fused.end) = (Some(other), sum);
            absorbed[sum] = true;
        }
    }
    if let Some(relu) = next(&fused)
        && network.nodes[relu].layer.is_relu()
    {
        (fused.rectify, fused.end) = (Rectify::Relu, relu);
        absorbed[relu] = true;
    }
    let reads_data = network.nodes[node].inputs[0] == 0;
    if let Some(tanh) = next(&fused)
        && network.nodes[tanh].layer.is_tanh()
        && reads_data
        && fused.rectify == Rectify::None
    {
        (fused.last, fused.end) = (Last::Tanh, tanh);
        absorbed[tanh] = true;
    }
    if let Some(last) = next(&fused)
        && fused.last == Last::Identity
        && let Some(pool) = network.nodes[last].layer.as_pool()
        // What is seen as images of another shape has other squares.
        && pool == Pool::new(rows.height, rows.width)
    {
        (fused.pool, fused.end) = (Some(pool), last);
        absorbed[last] = true;
    }
    fused.prepared = *derived;
    *derived += product.prepared_len();
    Some(fused)
}

/// Gives every step a buffer.
struct Layout<'a, T> {
    network: &'a Network<T>,
    groups: &'a [(usize, Option<Fused>)],
    places: Vec<Place>,
    slots: Vec<usize>,
    free: Vec<usize>,
}

impl<'a, T: Real> Layout<'a, T> {
    fn new(network: &'a Network<T>, groups: &'a [(usize, Option<Fused>)]) -> Self {
        let places = vec![Place::Input; network.shapes.len()];
        Self { network, groups, places, slots: Vec::new(), free: Vec::new() }
    }

    fn planned(mut self) -> (Vec<Step>, Vec<usize>, Place) {
        let last = self.last_uses();
        let mut steps = Vec::new();
        for (index, (end, fused)) in self.groups.iter().enumerate() {
            let rooms = self.rooms(*end, fused.as_ref());
            let inputs: SmallVec<_> = rooms.iter().map(|&room| self.places[room]).collect();
            let room = end + 1;
            let in_place = fused.is_none()
                && self.network.nodes[*end].layer.runs_in_place()
                && last[rooms[0]] == index
                && inputs[0] != Place::Input;
            let output = match inputs[0] {
                Place::Slot(slot) if in_place => slot,
                _ => self.slot(self.network.shapes[room].features()),
            };
            self.places[room] = Place::Slot(output);
            for (position, &room) in rooms.iter().enumerate() {
                let first = !rooms[..position].contains(&room);
                if let Place::Slot(slot) = self.places[room]
                    && last[room] == index
                    && first
                    && !in_place
                {
                    self.free.push(slot);
                }
            }
            steps.push(Step {
                work: self.work(*end, fused.as_ref(), in_place, &steps),
                inputs,
                output,
            });
        }
        let output = self.places[self.network.output];
        (steps, self.slots, output)
    }

    fn work(&self, end: usize, fused: Option<&Fused>, in_place: bool, before: &[Step]) -> Work {
        let Some(fused) = fused else { return Work::Layer { node: end, in_place } };
        let fed = self.network.nodes[fused.node].inputs[0] == 0;
        let earlier =
            before.iter().filter(|step| matches!(step.work, Work::Product { fed: Some(_), .. }));
        Work::Product { fused: fused.clone(), fed: fed.then(|| earlier.count()) }
    }

    /// What a step reads.
    fn rooms(&self, end: usize, fused: Option<&Fused>) -> SmallVec<[usize; 4]> {
        match fused {
            Some(fused) => {
                let input = self.network.nodes[fused.node].inputs[0];
                std::iter::once(input).chain(fused.residual).collect()
            }
            None => self.network.nodes[end].inputs.iter().copied().collect(),
        }
    }

    /// The last step that reads each room.
    fn last_uses(&self) -> Vec<usize> {
        let mut last = vec![0; self.network.shapes.len()];
        for (index, (end, fused)) in self.groups.iter().enumerate() {
            for room in self.rooms(*end, fused.as_ref()) {
                last[room] = index;
            }
        }
        last[self.network.output] = usize::MAX;
        last
    }

    /// A free buffer, the smallest that is large enough, else the largest made larger.
    fn slot(&mut self, features: usize) -> usize {
        let fits = |&&(_, size): &&(usize, usize)| size >= features;
        let sizes: Vec<_> = self.free.iter().map(|&slot| (slot, self.slots[slot])).collect();
        let smallest = sizes.iter().filter(fits).min_by_key(|&&(_, size)| size);
        let chosen = smallest.or_else(|| sizes.iter().max_by_key(|&&(_, size)| size));
        let Some(&(slot, size)) = chosen else {
            self.slots.push(features);
            return self.slots.len() - 1;
        };
        self.free.retain(|&free| free != slot);
        self.slots[slot] = size.max(features);
        slot
    }
}
