//! Layers that are matrix products over taps: linear layers and convolutions.

use std::ops::Range;

use crate::error::Error;
use crate::isa::Isa;
use crate::network::fusion::{Fusion, MatrixProduct};
use crate::network::kernel::{
    Contraction, Epilogue, EpilogueSteps, GatherTable, Panels, Real, Weights, add_row_sums,
    add_weight_gradient,
};
use crate::network::layer::Layer;
use crate::network::layers::spec::LayerSpec;
use crate::network::parameters::Tensor;
use crate::network::pass::{Pass, Primal, Tangent};

/// y[o][p] = Σ_{t, c} w[o][c][t] x[c][source(p, t)] + b[o], by groups of channels.
///
/// The adjoint is the same product with the weights transposed and the taps reversed.
pub struct Product<T> {
    groups: usize,
    /// The product of one group.
    contraction: Contraction,
    transposed: Contraction,
    weights: Range<usize>,
    weights_transposed: Range<usize>,
    bias: Option<Range<usize>>,
    weight_gradient: Option<Range<usize>>,
    bias_gradient: Option<Range<usize>>,
    number: std::marker::PhantomData<T>,
}

impl<T: Real> Product<T> {
    /// The product with a weight tensor of axes (rows, channels of a group, taps...).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the point is too long to be indexed.
    pub fn new(
        spec: &mut LayerSpec<'_>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        table: GatherTable,
        groups: usize,
    ) -> Result<Self, Error> {
        let (rows, inner) = (weight.shape[0] / groups, weight.shape[1]);
        let transposed = Contraction::new(inner, rows, table.transpose());
        let contraction = Contraction::new(rows, inner, table);
        let (table, packing, packing_transposed) =
            (contraction.gather_table(), contraction.packing(), transposed.packing());
        let entry = |group: usize, row: usize, tap: usize, channel: usize| {
            weight.start + ((group * rows + row) * inner + channel) * table.taps() + tap
        };
        let mut forward = vec![None; groups * packing.len()];
        let mut backward = vec![None; groups * packing_transposed.len()];
        for group in 0..groups {
            for row in 0..rows {
                for channel in 0..inner {
                    for tap in 0..table.taps() {
                        let source = Some(entry(group, row, tap, channel));
                        forward[group * packing.len() + packing.index(row, tap, channel)] = source;
                        backward[group * packing_transposed.len()
                            + packing_transposed.index(channel, tap, row)] = source;
                    }
                }
            }
        }
        Ok(Self {
            groups,
            contraction,
            transposed,
            weights: spec.forward.reserve(forward)?,
            weights_transposed: spec.backward.reserve(backward)?,
            bias: bias.map(|bias| spec.forward.reserve_tensor(bias)).transpose()?,
            weight_gradient: weight.gradient(),
            bias_gradient: bias.and_then(Tensor::gradient),
            number: std::marker::PhantomData,
        })
    }

    /// epilogue(W x) with the weights of a packed point or direction.
    fn multiply_packed(
        &self,
        pass: &Pass<'_, T>,
        forward: &[T],
        prepared: &[T],
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        let weights = Weights { packed: &forward[self.weights.clone()], prepared };
        self.contract(pass, &self.contraction, weights, x, epilogue, y);
    }

    /// x̄ += Wᵀ ȳ with packed transposed weights.
    fn transpose_add(&self, pass: &Pass<'_, T>, backward: &[T], y_bar: &[T], x_bar: &mut [T]) {
        let packed = &backward[self.weights_transposed.clone()];
        let weights = Weights { packed, prepared: &[] };
        self.contract(pass, &self.transposed, weights, y_bar, &Epilogue::Accumulate, x_bar);
    }

    /// A contraction by groups.
    fn contract(
        &self,
        pass: &Pass<'_, T>,
        contraction: &Contraction,
        Weights { packed, prepared }: Weights<'_, T>,
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        if self.groups == 1 {
            let weights = Weights { packed, prepared };
            return contraction.run(pass.isa, weights, pass.panels, x, epilogue, y);
        }
        let rows = contraction.packing().rows();
        let (len, prepared_len) = (contraction.packing().len(), prepared.len() / self.groups);
        let (x_size, y_size) = (contraction.input_size::<T>(), contraction.output_size::<T>());
        let panel_size = y.len() / (pass.panels * self.groups).max(1);
        for index in 0..pass.panels * self.groups {
            let group = index % self.groups;
            let weights = Weights {
                packed: &packed[group * len..][..len],
                prepared: &prepared[group * prepared_len..][..prepared_len],
            };
            let sums = index * y_size..(index + 1) * y_size;
            let epilogue = epilogue.restrict(group * rows..(group + 1) * rows, sums);
            let (x, y) =
                (&x[index * x_size..][..x_size], &mut y[index * panel_size..][..panel_size]);
            contraction.run(pass.isa, weights, 1, x, &epilogue, y);
        }
    }

    /// Adds the gradient of ⟨ȳ, W x⟩ by W, if W is varied.
    fn add_gradient(&self, pass: &Pass<'_, T>, y_bar: &[T], x: &[T], w_bar: &mut [T]) {
        let Some(span) = self.weight_gradient.clone() else { return };
        let (table, packing) = (self.contraction.gather_table(), self.contraction.packing());
        let (inner, rows) = (packing.inner(), packing.rows());
        let (x_group, y_group) =
            (self.contraction.input_size::<T>(), self.contraction.output_size::<T>());
        let size = rows * inner * table.taps();
        for (group, out) in w_bar[span].chunks_exact_mut(size).enumerate() {
            let dy = Panels {
                values: &y_bar[group * y_group..],
                channels: rows,
                stride: self.groups * y_group,
            };
            let x = Panels {
                values: &x[group * x_group..],
                channels: inner,
                stride: self.groups * x_group,
            };
            add_weight_gradient(pass.isa, table, pass.panels, &dy, &x, out);
        }
    }

    fn add_bias_gradient(&self, pass: &Pass<'_, T>, y_bar: &[T], w_bar: &mut [T]) {
        if let Some(span) = self.bias_gradient.clone() {
            add_row_sums(
                pass.isa,
                y_bar,
                self.contraction.gather_table().positions(),
                &mut w_bar[span],
            );
        }
    }
}

impl<T: Real> MatrixProduct<T> for Product<T> {
    fn operations(&self) -> usize {
        let (table, packing) = (self.contraction.gather_table(), self.contraction.packing());
        self.groups * packing.rows() * packing.inner() * table.connections()
    }

    fn weights(&self) -> Range<usize> {
        self.weights.clone()
    }

    fn depth(&self) -> usize {
        self.contraction.packing().inner() * self.contraction.packing().taps()
    }

    fn output_size(&self) -> usize {
        self.groups * self.contraction.output_size::<T>()
    }

    fn prepared_len(&self) -> usize {
        self.groups * self.contraction.prepared_len()
    }

    fn prepare(&self, isa: Isa, forward: &[T], prepared: &mut [T]) {
        let size = self.contraction.prepared_len();
        if size == 0 {
            return;
        }
        let groups = forward[self.weights()].chunks_exact(self.contraction.packing().len());
        for (packed, prepared) in groups.zip(prepared.chunks_exact_mut(size)) {
            self.contraction.prepare(isa, packed, prepared);
        }
    }

    fn bias<'p>(&self, forward: &'p [T]) -> Option<&'p [T]> {
        self.bias.clone().map(|span| &forward[span])
    }

    fn multiply(
        &self,
        pass: &Pass<'_, T>,
        prepared: &[T],
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        self.multiply_packed(pass, &pass.point.forward, prepared, x, epilogue, y);
    }
}

impl<T: Real> Layer<T> for Product<T> {
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]) {
        let point = &pass.point.forward;
        let epilogue = Epilogue::Overwrite(EpilogueSteps {
            shift: self.bias(point),
            ..EpilogueSteps::default()
        });
        self.multiply_packed(pass, point, &[], x[0], &epilogue, y);
    }

    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        _: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    ) {
        let direction = &pass.tangent_direction().forward;
        let epilogue = Epilogue::Overwrite(EpilogueSteps {
            shift: self.bias(direction),
            ..EpilogueSteps::default()
        });
        self.multiply_packed(pass, direction, &[], x[0], &epilogue, y_dot);
        if let Some(x_dot) = x_dot[0] {
            self.multiply(pass, &[], x_dot, &Epilogue::Accumulate, y_dot);
        }
    }

    fn adjoint(&self, pass: &Pass<'_, T>, _: usize, primal: &Primal<'_, T>, x_bar: &mut [T]) {
        self.transpose_add(pass, &pass.point.backward, primal.y_bar, x_bar);
    }

    fn gradient(&self, pass: &Pass<'_, T>, primal: &Primal<'_, T>, w_bar: &mut [T]) {
        self.add_gradient(pass, primal.y_bar, primal.x[0], w_bar);
        self.add_bias_gradient(pass, primal.y_bar, w_bar);
    }

    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        _: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        self.transpose_add(pass, &pass.point.backward, tangent.y_bar, x_bar_dot);
        self.transpose_add(pass, &pass.tangent_direction().backward, primal.y_bar, x_bar_dot);
    }

    fn second_gradient(
        &self,
        pass: &Pass<'_, T>,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        w_bar_dot: &mut [T],
    ) {
        self.add_gradient(pass, tangent.y_bar, primal.x[0], w_bar_dot);
        if let Some(x_dot) = tangent.x[0] {
            self.add_gradient(pass, primal.y_bar, x_dot, w_bar_dot);
        }
        self.add_bias_gradient(pass, tangent.y_bar, w_bar_dot);
    }

    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::Product(self)
    }
}
