//! The forward pass under running statistics, with fused layers and shared buffers.
//!
//! A product absorbs the layers that are the only readers of its result: batch normalisation becomes
//! a scale and a shift of its rows, then a residual sum, then a ReLU, then 2 × 2 max-pooling, all in
//! the epilogue while the sums are in registers. Element-wise layers run in place, except for a tanh that can follow a
//! combination of cached products. Values share buffers as soon as no later step reads them, so that
//! a panel's values stay in the processor's cache.

mod plan;
mod step;

use smallvec::SmallVec;

use crate::isa::Isa;
use crate::network::fusion::MatrixProduct;
use crate::network::graph::Network;
use crate::network::kernel::{AlignedVec, Epilogue, EpilogueSteps, FinalActivation, Real, tanh};
use crate::network::pass::Pass;
use step::{FusedProduct, Location, Operation, Step};

/// A forward pass as a sequence of steps over a few buffers.
pub(crate) struct FusedForward {
    steps: Vec<Step>,
    /// Features of every buffer.
    slots: Vec<usize>,
    output: Location,
    /// The number of derived numbers of a point.
    derived: usize,
    /// The nodes of the products that read the network's input.
    input_products: Vec<usize>,
}

/// Buffers of the panels that are evaluated together.
#[derive(Default)]
pub(crate) struct FusedBuffers<T> {
    slots: Vec<AlignedVec<T>>,
}

/// Cached results of products that read the network's input.
pub(crate) trait InputProducts<T> {
    /// Writes epilogue(W x), then the activation, to `y` and returns true; or returns false, and the
    /// product is computed. `sizes` are the channels and the panels of the product.
    fn write(
        &self,
        index: usize,
        epilogue: &Epilogue<'_, T>,
        activation: FinalActivation,
        sizes: [usize; 2],
        y: &mut [T],
    ) -> bool;
}

/// No product is cached.
pub(crate) struct NoInputProducts;

impl<T> InputProducts<T> for NoInputProducts {
    fn write(
        &self,
        _: usize,
        _: &Epilogue<'_, T>,
        _: FinalActivation,
        _: [usize; 2],
        _: &mut [T],
    ) -> bool {
        false
    }
}

impl FusedForward {
    /// Plans the steps of a network.
    pub fn new<T: Real>(network: &Network<T>) -> Self {
        let plan::Plan { steps, slots, output, derived } = plan::Plan::new(network);
        let input_products = steps.iter().filter_map(|step| match &step.operation {
            Operation::Product { fused, input_product: Some(_) } => Some(fused.node),
            _ => None,
        });
        Self { input_products: input_products.collect(), steps, slots, output, derived }
    }

    /// The products that read the network's input, by the index that [`InputProducts`] gets.
    pub fn input_products<'a, T: Real>(
        &'a self,
        network: &'a Network<T>,
    ) -> impl Iterator<Item = &'a dyn MatrixProduct<T>> {
        let nodes = self.input_products.iter();
        nodes.filter_map(|&node| network.nodes[node].layer.fusion().product())
    }

    /// Computes the numbers that are derived from a point once for all panels: prepared weights, and
    /// scales and shifts of normalised products.
    pub fn derive<T: Real>(
        &self,
        isa: Isa,
        network: &Network<T>,
        forward: &[T],
        derived: &mut Vec<T>,
    ) {
        derived.clear();
        derived.resize(self.derived, T::ZERO);
        for step in &self.steps {
            let Operation::Product { fused, .. } = &step.operation else { continue };
            let Some(product) = network.nodes[fused.node].layer.fusion().product() else {
                continue;
            };
            let prepared = &mut derived[fused.prepared..][..product.prepared_len()];
            product.prepare(isa, forward, prepared);
            let norm = fused.normalisation.map(|node| &network.nodes[node].layer);
            let norm = norm.and_then(|norm| norm.fusion().normalisation());
            let Some(norm) = norm else { continue };
            let count = norm.channels();
            let (scale, shift) = derived[fused.affine..][..2 * count].split_at_mut(count);
            norm.affine(forward, product.bias(forward), scale, shift);
        }
    }

    /// The number of derived numbers of a point.
    pub fn derived(&self) -> usize {
        self.derived
    }

    /// Numbers in the buffers of one panel.
    pub fn buffer_size<T: Real>(&self) -> usize {
        self.slots.iter().sum::<usize>() * T::LANES
    }

    /// Evaluates the pass's panels, and returns their outputs.
    pub fn run<'a, T: Real>(
        &self,
        network: &Network<T>,
        pass: &Pass<'_, T>,
        derived: &[T],
        input: &'a [T],
        input_products: &impl InputProducts<T>,
        buffers: &'a mut FusedBuffers<T>,
    ) -> &'a [T] {
        buffers.slots.resize_with(self.slots.len(), AlignedVec::default);
        for (slot, &features) in buffers.slots.iter_mut().zip(&self.slots) {
            slot.resize(features * T::LANES * pass.panels);
        }
        for step in &self.steps {
            let mut output = std::mem::take(&mut buffers.slots[step.output]);
            match &step.operation {
                Operation::Layer { node, in_place } => {
                    let size = network.shapes[node + 1].features() * T::LANES * pass.panels;
                    let layer = &network.nodes[*node].layer;
                    if *in_place {
                        layer.in_place(pass, &mut output[..size]);
                    } else {
                        let x: SmallVec<[&[T]; 4]> = network.nodes[*node]
                            .inputs
                            .iter()
                            .zip(&step.inputs)
                            .map(|(&value, &location)| {
                                read(network, pass.panels, input, buffers, value, location)
                            })
                            .collect();
                        layer.forward(pass, &x, &mut output[..size]);
                    }
                }
                Operation::Product { fused, input_product } => {
                    multiply(
                        network,
                        pass,
                        derived,
                        (fused, *input_product),
                        step,
                        input,
                        buffers,
                        input_products,
                        &mut output,
                    );
                }
            }
            buffers.slots[step.output] = output;
        }
        read(network, pass.panels, input, buffers, network.output, self.output)
    }
}

/// The numbers of a value of the network at its location.
fn read<'a, T: Real>(
    network: &Network<T>,
    panels: usize,
    input: &'a [T],
    buffers: &'a FusedBuffers<T>,
    value: usize,
    location: Location,
) -> &'a [T] {
    match location {
        Location::Input => input,
        Location::Slot(slot) => {
            &buffers.slots[slot][..network.shapes[value].features() * T::LANES * panels]
        }
    }
}

/// Computes a product with its epilogue, or takes it from the cached ones.
#[expect(clippy::too_many_arguments, reason = "the state of one step")]
fn multiply<T: Real>(
    network: &Network<T>,
    pass: &Pass<'_, T>,
    derived: &[T],
    (fused, input_product): (&FusedProduct, Option<usize>),
    step: &Step,
    input: &[T],
    buffers: &FusedBuffers<T>,
    input_products: &impl InputProducts<T>,
    output: &mut [T],
) {
    let node = &network.nodes[fused.node];
    let Some(product) = node.layer.fusion().product() else { return };
    let channels = network.shapes[fused.node + 1].channels;
    let y = &mut output[..network.shapes[fused.end + 1].features() * T::LANES * pass.panels];
    let forward = &pass.point.forward;
    let read = |value, location| read(network, pass.panels, input, buffers, value, location);
    let (scale, shift) = match fused.normalisation {
        Some(_) => {
            let (scale, shift) = derived[fused.affine..][..2 * channels].split_at(channels);
            (Some(scale), Some(shift))
        }
        None => (None, product.bias(forward)),
    };
    let epilogue = Epilogue::Overwrite(EpilogueSteps {
        scale,
        shift,
        residual: fused.residual.map(|value| read(value, step.inputs[1])),
        relu: fused.rectify,
        pool: fused.pool,
    });
    let (activation, sizes) = (fused.activation, [channels, pass.panels]);
    let cached = |index| input_products.write(index, &epilogue, activation, sizes, y);
    if !input_product.is_some_and(cached) {
        let x = read(node.inputs[0], step.inputs[0]);
        let prepared = &derived[fused.prepared..][..product.prepared_len()];
        product.multiply(pass, prepared, x, &epilogue, y);
        if activation == FinalActivation::Tanh {
            tanh(pass.isa, y);
        }
    }
}
