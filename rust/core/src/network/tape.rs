//! Automatic differentiation over a block of samples: forward, tangent, reverse and second-order passes.
//!
//! Each pass starts from the values that the earlier ones recorded on the tape.

use smallvec::SmallVec;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::graph::{Network, Node};
use crate::network::kernel::{AlignedVec, Real};
use crate::network::pass::{Pass, Primal, Tangent};

/// One buffer for each value. That of the input stays empty: the data are read in place.
pub(crate) type ValueBuffers<T> = Vec<AlignedVec<T>>;

type Inputs<V> = SmallVec<[V; 4]>;

/// The record of a block at a point.
#[derive(Default)]
pub(crate) struct Tape<T> {
    /// The values.
    pub values: ValueBuffers<T>,
    /// The adjoints: the derivatives of L by the values.
    pub bars: ValueBuffers<T>,
}

/// The tangents of a tape along a direction.
#[derive(Default)]
pub(crate) struct TapeTangents<T> {
    /// The tangents of the values.
    pub dots: ValueBuffers<T>,
    /// The tangents of the adjoints.
    pub bar_dots: ValueBuffers<T>,
}

impl<T: Real> Network<T> {
    /// The forward pass; keeps all values.
    pub(crate) fn evaluate(&self, pass: &Pass<'_, T>, input: &[T], values: &mut ValueBuffers<T>) {
        self.resize_buffers(pass, values);
        for (index, node) in self.nodes.iter().enumerate() {
            let mut y = std::mem::take(&mut values[index + 1]);
            node.layer.forward(pass, &input_values(node, input, values), &mut y);
            values[index + 1] = y;
        }
    }

    /// The forward pass that releases values after their last use. Calls `inspect` on each node's
    /// inputs before the node is evaluated. The output is kept.
    pub(crate) fn forward_releasing(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &mut ValueBuffers<T>,
        cancel: &Cancel,
        mut inspect: impl FnMut(&Node<T>, &[&[T]]),
    ) -> Result<(), Error> {
        values.resize_with(self.shapes.len(), AlignedVec::default);
        let last = self.last_uses();
        let mut spare: ValueBuffers<T> = values.iter_mut().map(std::mem::take).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            cancel.check()?;
            let size = self.shapes[index + 1].features() * T::LANES * pass.panels;
            let mut y = spare.pop().unwrap_or_default();
            y.resize(size);
            {
                let x = input_values(node, input, values);
                inspect(node, &x);
                node.layer.forward(pass, &x, &mut y);
            }
            values[index + 1] = y;
            for &value in &node.inputs {
                if last[value] == index {
                    spare.push(std::mem::take(&mut values[value]));
                }
            }
        }
        Ok(())
    }

    /// The network's output after a forward pass.
    pub(crate) fn output_of<'a>(&self, input: &'a [T], values: &'a ValueBuffers<T>) -> &'a [T] {
        if self.output == 0 { input } else { &values[self.output] }
    }

    /// The tangent pass: tangents of all values along the pass's direction.
    pub(crate) fn propagate_tangents(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &ValueBuffers<T>,
        dots: &mut ValueBuffers<T>,
    ) {
        self.resize_buffers(pass, dots);
        for (index, node) in self.nodes.iter().enumerate() {
            if !self.active[index + 1] {
                continue;
            }
            let mut y_dot = std::mem::take(&mut dots[index + 1]);
            {
                let x_dot = self.input_tangents(node, dots);
                let x = input_values(node, input, values);
                node.layer.tangent(pass, &x, &values[index + 1], &x_dot, &mut y_dot);
            }
            dots[index + 1] = y_dot;
        }
    }

    /// Initialises the adjoints: `output_gradient` for the output, zero for all others.
    pub(crate) fn seed_adjoints(
        &self,
        pass: &Pass<'_, T>,
        output_gradient: &[T],
        bars: &mut ValueBuffers<T>,
    ) {
        self.resize_buffers(pass, bars);
        for bar in bars.iter_mut() {
            bar.fill(T::ZERO);
        }
        if self.output > 0 {
            bars[self.output].copy_from_slice(output_gradient);
        }
    }

    /// The reverse pass: all adjoints from the output's; adds the parameter gradient to `w_bar`.
    pub(crate) fn backpropagate(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &ValueBuffers<T>,
        bars: &mut ValueBuffers<T>,
        w_bar: &mut [T],
    ) {
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if !self.active[index + 1] {
                continue;
            }
            let y_bar = std::mem::take(&mut bars[index + 1]);
            let x = input_values(node, input, values);
            let primal = Primal { x: &x, y: &values[index + 1], y_bar: &y_bar };
            node.layer.gradient(pass, &primal, w_bar);
            for (which, &value) in node.inputs.iter().enumerate() {
                if self.active[value] {
                    node.layer.adjoint(pass, which, &primal, &mut bars[value]);
                }
            }
            bars[index + 1] = y_bar;
        }
    }

    /// The second-order pass: the tangents of what [`backpropagate`](Self::backpropagate) computes.
    pub(crate) fn backpropagate_tangents(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        tape: &Tape<T>,
        tangents: &mut TapeTangents<T>,
        w_bar_dot: &mut [T],
    ) {
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if !self.active[index + 1] {
                continue;
            }
            let y_bar_dot = std::mem::take(&mut tangents.bar_dots[index + 1]);
            let x = input_values(node, input, &tape.values);
            let y = &tape.values[index + 1];
            let primal = Primal { x: &x, y, y_bar: &tape.bars[index + 1] };
            let x_dot = self.input_tangents(node, &tangents.dots);
            let tangent = Tangent { x: &x_dot, y_bar: &y_bar_dot };
            node.layer.second_gradient(pass, &primal, &tangent, w_bar_dot);
            for (which, &value) in node.inputs.iter().enumerate() {
                if self.active[value] {
                    let out = &mut tangents.bar_dots[value];
                    node.layer.second_adjoint(pass, which, &primal, &tangent, out);
                }
            }
            tangents.bar_dots[index + 1] = y_bar_dot;
        }
    }

    /// Numbers in the tape of one sample: values and adjoints.
    pub(crate) fn tape_size(&self) -> usize {
        2 * self.shapes[1..].iter().map(|shape| shape.features()).sum::<usize>()
    }

    /// The last node that reads each value; the output is never released.
    pub(crate) fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> =
            (0..self.shapes.len()).map(|value| value.saturating_sub(1)).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            for &value in &node.inputs {
                last[value] = index;
            }
        }
        last[self.output] = usize::MAX;
        last
    }

    /// Resizes the buffers for a pass. Sizes repeat, so this rarely allocates.
    fn resize_buffers(&self, pass: &Pass<'_, T>, values: &mut ValueBuffers<T>) {
        values.resize_with(self.shapes.len(), AlignedVec::default);
        for (value, shape) in values.iter_mut().zip(&self.shapes).skip(1) {
            value.resize(shape.features() * T::LANES * pass.panels);
        }
    }

    /// The tangents of a node's inputs; None for those that do not depend on θ.
    fn input_tangents<'a>(
        &self,
        node: &Node<T>,
        dots: &'a ValueBuffers<T>,
    ) -> Inputs<Option<&'a [T]>> {
        let dot = |&value: &usize| self.active[value].then(|| &dots[value][..]);
        node.inputs.iter().map(dot).collect()
    }
}

/// The values of a node's inputs.
fn input_values<'a, T>(
    node: &Node<T>,
    input: &'a [T],
    values: &'a ValueBuffers<T>,
) -> Inputs<&'a [T]> {
    let value = |&value: &usize| if value == 0 { input } else { &values[value][..] };
    node.inputs.iter().map(value).collect()
}
