//! The values of a block of samples, node by node, and the passes over them.
//!
//! forward → tangent → reverse → second order; each starts from what those before it left.

use smallvec::SmallVec;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::graph::{Network, Node};
use crate::network::kernel::{AlignedVec, Real};
use crate::network::pass::{Pass, Primal, Tangent};

/// One buffer for each value. That of the input stays empty: the data are read where they lie.
pub(crate) type ValueBuffers<T> = Vec<AlignedVec<T>>;

type Few<V> = SmallVec<[V; 4]>;

/// What is known of a block at a point.
#[derive(Default)]
pub(crate) struct Tape<T> {
    /// The value of every value.
    pub values: ValueBuffers<T>,
    /// The derivative of L by it.
    pub bars: ValueBuffers<T>,
}

/// Workspace for derivatives along a direction.
#[derive(Default)]
pub(crate) struct TapeTangents<T> {
    /// The tangent of every value's value.
    pub dots: ValueBuffers<T>,
    /// The tangent of its derivative.
    pub bar_dots: ValueBuffers<T>,
}

impl<T: Real> Network<T> {
    /// Evaluates every node.
    pub(crate) fn evaluate(&self, pass: &Pass<'_, T>, input: &[T], values: &mut ValueBuffers<T>) {
        self.furnish(pass, values);
        for (index, node) in self.nodes.iter().enumerate() {
            let mut y = std::mem::take(&mut values[index + 1]);
            node.layer.forward(pass, &seen(node, input, values), &mut y);
            values[index + 1] = y;
        }
    }

    /// Evaluates every node, keeps no value longer than it is needed, and calls `look` on each
    /// node's inputs before it is evaluated. Leaves the output.
    pub(crate) fn forward_releasing(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &mut ValueBuffers<T>,
        cancel: &Cancel,
        mut look: impl FnMut(&Node<T>, &[&[T]]),
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
                let x = seen(node, input, values);
                look(node, &x);
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

    /// The network's output, after a run.
    pub(crate) fn output_of<'a>(&self, input: &'a [T], values: &'a ValueBuffers<T>) -> &'a [T] {
        if self.output == 0 { input } else { &values[self.output] }
    }

    /// Tangents of all values along the pass's direction.
    pub(crate) fn propagate_tangents(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &ValueBuffers<T>,
        dots: &mut ValueBuffers<T>,
    ) {
        self.furnish(pass, dots);
        for (index, node) in self.nodes.iter().enumerate() {
            if !self.active[index + 1] {
                continue;
            }
            let mut y_dot = std::mem::take(&mut dots[index + 1]);
            {
                let x_dot = self.moving(node, dots);
                let x = seen(node, input, values);
                node.layer.tangent(pass, &x, &values[index + 1], &x_dot, &mut y_dot);
            }
            dots[index + 1] = y_dot;
        }
    }

    /// Sets all derivatives but the output's, for which `slopes` is taken, to zero.
    pub(crate) fn seed_adjoints(
        &self,
        pass: &Pass<'_, T>,
        slopes: &[T],
        bars: &mut ValueBuffers<T>,
    ) {
        self.furnish(pass, bars);
        for bar in bars.iter_mut() {
            bar.fill(T::ZERO);
        }
        if self.output > 0 {
            bars[self.output].copy_from_slice(slopes);
        }
    }

    /// From the output's derivative to all others, and the gradient, which is added to.
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
            let x = seen(node, input, values);
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

    /// The tangents of what [`pull`](Self::pull) computes, from those of the output's derivative.
    pub(crate) fn backpropagate_tangents(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        tape: &Tape<T>,
        along: &mut TapeTangents<T>,
        w_bar_dot: &mut [T],
    ) {
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if !self.active[index + 1] {
                continue;
            }
            let y_bar_dot = std::mem::take(&mut along.bar_dots[index + 1]);
            let x = seen(node, input, &tape.values);
            let y = &tape.values[index + 1];
            let primal = Primal { x: &x, y, y_bar: &tape.bars[index + 1] };
            let x_dot = self.moving(node, &along.dots);
            let tangent = Tangent { x: &x_dot, y_bar: &y_bar_dot };
            node.layer.second_gradient(pass, &primal, &tangent, w_bar_dot);
            for (which, &value) in node.inputs.iter().enumerate() {
                if self.active[value] {
                    let out = &mut along.bar_dots[value];
                    node.layer.second_adjoint(pass, which, &primal, &tangent, out);
                }
            }
            along.bar_dots[index + 1] = y_bar_dot;
        }
    }

    /// Numbers that a sample's tape takes, values and derivatives.
    pub(crate) fn tape_size(&self) -> usize {
        2 * self.shapes[1..].iter().map(|shape| shape.features()).sum::<usize>()
    }

    /// The last node that reads a value; the output's is never over.
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

    /// Gives every value the size that the pass needs. Sizes repeat, so this allocates once.
    fn furnish(&self, pass: &Pass<'_, T>, values: &mut ValueBuffers<T>) {
        values.resize_with(self.shapes.len(), AlignedVec::default);
        for (value, shape) in values.iter_mut().zip(&self.shapes).skip(1) {
            value.resize(shape.features() * T::LANES * pass.panels);
        }
    }

    /// The tangents of a node's inputs, where they move at all.
    fn moving<'a>(&self, node: &Node<T>, dots: &'a ValueBuffers<T>) -> Few<Option<&'a [T]>> {
        let dot = |&value: &usize| self.active[value].then(|| &dots[value][..]);
        node.inputs.iter().map(dot).collect()
    }
}

/// The values of a node's inputs.
fn seen<'a, T>(node: &Node<T>, input: &'a [T], values: &'a ValueBuffers<T>) -> Few<&'a [T]> {
    let value = |&value: &usize| if value == 0 { input } else { &values[value][..] };
    node.inputs.iter().map(value).collect()
}
