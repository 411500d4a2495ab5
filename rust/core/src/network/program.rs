//! The forward pass under running statistics, as few steps as can be.
//!
//! A product takes over what follows it alone: batch normalisation becomes a scale and a shift of
//! its rows, then a sum with a value that is known already, then a ReLU, then pooling, all while the
//! result is still in registers. Functions of single numbers work in place, but for a tanh that can
//! follow a combination of known products. Values share buffers as soon as nobody needs them, so that
//! a panel's values stay in the processor's cache.

mod plan;

use smallvec::SmallVec;

use crate::isa::Isa;
use crate::network::graph::Network;
use crate::network::kernel::{Finish, Last, Lines, Pool, Real, Rectify, Store, tanh};
use crate::network::layer::Pass;
use crate::network::layers::product::Product;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The panels' input.
    Input,
    /// A buffer of the bench.
    Slot(usize),
}

/// A product with what it takes over.
#[derive(Clone, Debug)]
struct Fused {
    node: usize,
    normalisation: Option<usize>,
    residual: Option<usize>,
    rectify: Rectify,
    pool: Option<Pool>,
    /// What follows a product that reads the data: it may be known, and combining known products
    /// waits for memory meanwhile.
    last: Last,
    /// The last node that it takes over.
    end: usize,
    /// Where its scale and shift lie among the derived numbers.
    derived: usize,
    /// Where its prepared weights lie there.
    prepared: usize,
}

#[derive(Clone, Debug)]
enum Work {
    Layer { node: usize, in_place: bool },
    Product { fused: Fused, fed: Option<usize> },
}

#[derive(Clone, Debug)]
struct Step {
    work: Work,
    inputs: SmallVec<[Place; 4]>,
    output: usize,
}

/// A forward pass in steps.
pub(crate) struct Program {
    steps: Vec<Step>,
    /// Features of every buffer.
    slots: Vec<usize>,
    output: Place,
    /// How many derived numbers a point has.
    derived: usize,
    /// Products that are fed by the input alone.
    fed: Vec<usize>,
}

/// Buffers of the panels that run side by side.
#[derive(Default)]
pub(crate) struct Bench<T> {
    slots: Vec<Lines<T>>,
}

/// What a product that is fed by the data alone makes of some panels.
pub(crate) trait Feed<T> {
    /// Writes W x, finished, to `y` and returns true, or leaves all to be computed. Sums have so many
    /// channels and panels.
    fn feed(
        &self,
        which: usize,
        finish: &Finish<'_, T>,
        last: Last,
        sizes: [usize; 2],
        y: &mut [T],
    ) -> bool;
}

/// Nothing is known beforehand.
pub(crate) struct Unfed;

impl<T> Feed<T> for Unfed {
    fn feed(&self, _: usize, _: &Finish<'_, T>, _: Last, _: [usize; 2], _: &mut [T]) -> bool {
        false
    }
}

impl Program {
    /// Plans the steps of a network.
    pub fn new<T: Real>(network: &Network<T>) -> Self {
        let (steps, slots, output, derived) = plan::planned(network);
        let fed = steps.iter().filter_map(|step| match &step.work {
            Work::Product { fused, fed: Some(_) } => Some(fused.node),
            _ => None,
        });
        Self { fed: fed.collect(), steps, slots, output, derived }
    }

    /// The products that are fed by the input alone, in the order in which [`Feed`] knows them.
    pub fn fed<'a, T: Real>(
        &'a self,
        network: &'a Network<T>,
    ) -> impl Iterator<Item = &'a Product<T>> {
        self.fed.iter().filter_map(|&node| network.nodes[node].layer.as_product())
    }

    /// Prepared weights, and scales and shifts of the normalised products, at a point.
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
            let Work::Product { fused, .. } = &step.work else { continue };
            let Some(product) = network.nodes[fused.node].layer.as_product() else { continue };
            let prepared = &mut derived[fused.prepared..][..product.prepared_len()];
            product.prepare(isa, forward, prepared);
            let norm = fused.normalisation.map(|node| &network.nodes[node].layer);
            let Some(norm) = norm.and_then(|norm| norm.as_normalisation()) else { continue };
            let count = norm.channels();
            let (scale, shift) = derived[fused.derived..][..2 * count].split_at_mut(count);
            norm.affine(forward, product.bias(forward), scale, shift);
        }
    }

    /// How many numbers are derived at a point.
    pub fn derived(&self) -> usize {
        self.derived
    }

    /// Numbers that the buffers of a panel take.
    pub fn bench_size<T: Real>(&self) -> usize {
        self.slots.iter().sum::<usize>() * T::LANES
    }

    /// Runs the pass's panels through, and returns their outputs.
    pub fn run<'a, T: Real>(
        &self,
        network: &Network<T>,
        pass: &Pass<'_, T>,
        derived: &[T],
        input: &'a [T],
        feed: &impl Feed<T>,
        bench: &'a mut Bench<T>,
    ) -> &'a [T] {
        bench.slots.resize_with(self.slots.len(), Lines::default);
        for (slot, &features) in bench.slots.iter_mut().zip(&self.slots) {
            slot.resize(features * T::LANES * pass.panels);
        }
        for step in &self.steps {
            let mut buffer = std::mem::take(&mut bench.slots[step.output]);
            match &step.work {
                Work::Layer { node, in_place } => {
                    let size = network.shapes[node + 1].features() * T::LANES * pass.panels;
                    let layer = &network.nodes[*node].layer;
                    if *in_place {
                        layer.in_place(pass, &mut buffer[..size]);
                    } else {
                        let x: SmallVec<[&[T]; 4]> = network.nodes[*node]
                            .inputs
                            .iter()
                            .zip(&step.inputs)
                            .map(|(&room, &place)| {
                                value(network, pass.panels, input, bench, room, place)
                            })
                            .collect();
                        layer.forward(pass, &x, &mut buffer[..size]);
                    }
                }
                Work::Product { fused, fed } => {
                    multiply(
                        network,
                        pass,
                        derived,
                        (fused, *fed),
                        step,
                        input,
                        bench,
                        feed,
                        &mut buffer,
                    );
                }
            }
            bench.slots[step.output] = buffer;
        }
        value(network, pass.panels, input, bench, network.output, self.output)
    }
}

fn value<'a, T: Real>(
    network: &Network<T>,
    panels: usize,
    input: &'a [T],
    bench: &'a Bench<T>,
    room: usize,
    place: Place,
) -> &'a [T] {
    match place {
        Place::Input => input,
        Place::Slot(slot) => {
            &bench.slots[slot][..network.shapes[room].features() * T::LANES * panels]
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the state of one step")]
fn multiply<T: Real>(
    network: &Network<T>,
    pass: &Pass<'_, T>,
    derived: &[T],
    (fused, fed): (&Fused, Option<usize>),
    step: &Step,
    input: &[T],
    bench: &Bench<T>,
    feed: &impl Feed<T>,
    buffer: &mut [T],
) {
    let node = &network.nodes[fused.node];
    let Some(product) = node.layer.as_product() else { return };
    let channels = network.shapes[fused.node + 1].channels;
    let y = &mut buffer[..network.shapes[fused.end + 1].features() * T::LANES * pass.panels];
    let forward = &pass.point.forward;
    let value = |room, place| value(network, pass.panels, input, bench, room, place);
    let (scale, shift) = match fused.normalisation {
        Some(_) => {
            let (scale, shift) = derived[fused.derived..][..2 * channels].split_at(channels);
            (Some(scale), Some(shift))
        }
        None => (None, product.bias(forward)),
    };
    let finish = Finish::Store(Store {
        scale,
        shift,
        residual: fused.residual.map(|room| value(room, step.inputs[1])),
        relu: fused.rectify,
        pool: fused.pool,
    });
    if !fed.is_some_and(|which| feed.feed(which, &finish, fused.last, [channels, pass.panels], y)) {
        let x = value(node.inputs[0], step.inputs[0]);
        let prepared = &derived[fused.prepared..][..product.prepared_len()];
        product.multiply_prepared(pass, forward, prepared, x, &finish, y);
        if fused.last == Last::Tanh {
            tanh(pass.isa, y);
        }
    }
}
