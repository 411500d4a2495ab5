//! Planning of a fused forward pass: which layers are fused, and which buffer each step writes to.

use smallvec::SmallVec;

use super::step::{FusedProduct, Location, Operation, Step};
use crate::network::fusion::Fusion;
use crate::network::graph::Network;
use crate::network::kernel::{FinalActivation, Pool2x2, Real, Rectify};

/// The steps of a network and the memory that they need.
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Features of every buffer.
    pub slots: Vec<usize>,
    /// The location of the network's output.
    pub output: Location,
    /// The number of derived numbers of a point.
    pub derived: usize,
}

impl Plan {
    /// Fuses the layers that follow each product, and assigns buffers.
    pub fn new<T: Real>(network: &Network<T>) -> Self {
        let consumers = consumers(network);
        let mut derived = 0;
        let mut absorbed = vec![false; network.nodes.len()];
        let mut groups: Vec<(usize, Option<FusedProduct>)> = Vec::new();
        for node in 0..network.nodes.len() {
            if absorbed[node] {
                continue;
            }
            let fused = fuse(network, &consumers, &mut absorbed, node, &mut derived);
            groups.push((fused.as_ref().map_or(node, |fused| fused.end), fused));
        }
        groups.sort_by_key(|&(end, _)| end);
        let (steps, slots, output) = BufferAllocation::new(network, &groups).allocate();
        Self { steps, slots, output, derived }
    }
}

/// The nodes that read each value; the network's caller counts as one.
fn consumers<T: Real>(network: &Network<T>) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); network.shapes.len()];
    for (index, node) in network.nodes.iter().enumerate() {
        for &value in &node.inputs {
            consumers[value].push(index);
        }
    }
    consumers[network.output].push(network.nodes.len());
    consumers
}

/// Fuses the layers that follow a product to it; None for another layer.
fn fuse<T: Real>(
    network: &Network<T>,
    consumers: &[Vec<usize>],
    absorbed: &mut [bool],
    node: usize,
    derived: &mut usize,
) -> Option<FusedProduct> {
    let product = network.nodes[node].layer.fusion().product()?;
    let mut fused = FusedProduct {
        node,
        normalisation: None,
        residual: None,
        rectify: Rectify::None,
        pool: None,
        activation: FinalActivation::Identity,
        end: node,
        affine: *derived,
        prepared: 0,
    };
    let rows = network.shapes[node + 1];
    let next = |fused: &FusedProduct| match consumers[fused.end + 1][..] {
        [only] if only < network.nodes.len() => Some(only),
        _ => None,
    };
    if let Some(norm) = next(&fused)
        && matches!(network.nodes[norm].layer.fusion(), Fusion::Normalisation(_))
        // After a reshape a row of the product would not be a channel of the normalisation.
        && network.shapes[norm + 1] == rows
    {
        *derived += 2 * rows.channels;
        (fused.normalisation, fused.end) = (Some(norm), norm);
        absorbed[norm] = true;
    }
    if let Some(sum) = next(&fused)
        && matches!(network.nodes[sum].layer.fusion(), Fusion::Sum)
        && !absorbed[sum]
    {
        let other = network.nodes[sum].inputs.iter().find(|&&value| value != fused.end + 1);
        if let Some(&other) = other {
            (fused.residual, fused.end) = (Some(other), sum);
            absorbed[sum] = true;
        }
    }
    if let Some(relu) = next(&fused)
        && matches!(network.nodes[relu].layer.fusion(), Fusion::Relu)
    {
        (fused.rectify, fused.end) = (Rectify::Relu, relu);
        absorbed[relu] = true;
    }
    let reads_data = network.nodes[node].inputs[0] == 0;
    if let Some(tanh) = next(&fused)
        && matches!(network.nodes[tanh].layer.fusion(), Fusion::Tanh)
        && reads_data
        && fused.rectify == Rectify::None
    {
        (fused.activation, fused.end) = (FinalActivation::Tanh, tanh);
        absorbed[tanh] = true;
    }
    if let Some(last) = next(&fused)
        && fused.activation == FinalActivation::Identity
        && let Fusion::MaxPool(pool) = network.nodes[last].layer.fusion()
        // After a reshape the pooling windows would not be squares of the product's image.
        && pool == Pool2x2::new(rows.height, rows.width)
    {
        (fused.pool, fused.end) = (Some(pool), last);
        absorbed[last] = true;
    }
    fused.prepared = *derived;
    *derived += product.prepared_len();
    Some(fused)
}

/// Assigns a buffer to the output of every step, reusing those whose value is no longer read.
struct BufferAllocation<'a, T> {
    network: &'a Network<T>,
    groups: &'a [(usize, Option<FusedProduct>)],
    /// The location of every value of the network.
    locations: Vec<Location>,
    slots: Vec<usize>,
    free: Vec<usize>,
}

impl<'a, T: Real> BufferAllocation<'a, T> {
    fn new(network: &'a Network<T>, groups: &'a [(usize, Option<FusedProduct>)]) -> Self {
        let locations = vec![Location::Input; network.shapes.len()];
        Self { network, groups, locations, slots: Vec::new(), free: Vec::new() }
    }

    fn allocate(mut self) -> (Vec<Step>, Vec<usize>, Location) {
        let last = self.last_uses();
        let mut steps = Vec::new();
        for (index, (end, fused)) in self.groups.iter().enumerate() {
            let read = self.read_values(*end, fused.as_ref());
            let inputs: SmallVec<_> = read.iter().map(|&value| self.locations[value]).collect();
            let written = end + 1;
            let in_place = fused.is_none()
                && self.network.nodes[*end].layer.runs_in_place()
                && last[read[0]] == index
                && inputs[0] != Location::Input;
            let output = match inputs[0] {
                Location::Slot(slot) if in_place => slot,
                _ => self.take_slot(self.network.shapes[written].features()),
            };
            self.locations[written] = Location::Slot(output);
            for (position, &value) in read.iter().enumerate() {
                let first = !read[..position].contains(&value);
                if let Location::Slot(slot) = self.locations[value]
                    && last[value] == index
                    && first
                    && !in_place
                {
                    self.free.push(slot);
                }
            }
            steps.push(Step {
                operation: self.operation(*end, fused.as_ref(), in_place, &steps),
                inputs,
                output,
            });
        }
        let output = self.locations[self.network.output];
        (steps, self.slots, output)
    }

    fn operation(
        &self,
        end: usize,
        fused: Option<&FusedProduct>,
        in_place: bool,
        earlier: &[Step],
    ) -> Operation {
        let Some(fused) = fused else { return Operation::Layer { node: end, in_place } };
        let reads_data = self.network.nodes[fused.node].inputs[0] == 0;
        let earlier = earlier.iter().filter(|step| {
            matches!(step.operation, Operation::Product { input_product: Some(_), .. })
        });
        let input_product = reads_data.then(|| earlier.count());
        Operation::Product { fused: fused.clone(), input_product }
    }

    /// The values that a step reads.
    fn read_values(&self, end: usize, fused: Option<&FusedProduct>) -> SmallVec<[usize; 4]> {
        match fused {
            Some(fused) => {
                let input = self.network.nodes[fused.node].inputs[0];
                std::iter::once(input).chain(fused.residual).collect()
            }
            None => self.network.nodes[end].inputs.iter().copied().collect(),
        }
    }

    /// The last step that reads each value.
    fn last_uses(&self) -> Vec<usize> {
        let mut last = vec![0; self.network.shapes.len()];
        for (index, (end, fused)) in self.groups.iter().enumerate() {
            for value in self.read_values(*end, fused.as_ref()) {
                last[value] = index;
            }
        }
        last[self.network.output] = usize::MAX;
        last
    }

    /// Takes the smallest free buffer that is large enough; failing that, enlarges the largest one.
    fn take_slot(&mut self, features: usize) -> usize {
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
