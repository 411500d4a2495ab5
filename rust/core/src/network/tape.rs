//! The values of a block of samples, node by node, and the passes over them.
//!
//! forward → tangent → reverse → second order; each starts from what those before it left.

use smallvec::SmallVec;

use crate::error::Error;
use crate::monitor::Cancel;
use crate::network::graph::{Network, Node};
use crate::network::kernel::{Lines, Real};
use crate::network::layer::{Pass, Primal, Tangent};

/// One buffer for each room. That of the input stays empty: the data are read where they lie.
pub(crate) type Rooms<T> = Vec<Lines<T>>;

type Few<V> = SmallVec<[V; 4]>;

/// What is known of a block at a point.
#[derive(Default)]
pub(crate) struct Tape<T> {
    /// The value of every room.
    pub values: Rooms<T>,
    /// The derivative of L by it.
    pub bars: Rooms<T>,
}

/// Room for derivatives along a direction.
#[derive(Default)]
pub(crate) struct Along<T> {
    /// The tangent of every room's value.
    pub dots: Rooms<T>,
    /// The tangent of its derivative.
    pub bar_dots: Rooms<T>,
}

impl<T: Real> Network<T> {
    /// Evaluates every node.
    pub(crate) fn run(&self, pass: &Pass<'_, T>, input: &[T], values: &mut Rooms<T>) {
        self.furnish(pass, values);
        for (index, node) in self.nodes.iter().enumerate() {
            let mut y = std::mem::take(&mut values[index + 1]);
            node.layer.forward(pass, &seen(node, input, values), &mut y);
            values[index + 1] = y;
        }
    }

    /// Evaluates every node, keeps no value longer than it is needed, and calls `look` on each
    /// node's inputs before it is evaluated. Leaves the output.
    pub(crate) fn run_through(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &mut Rooms<T>,
        cancel: &Cancel,
        mut look: impl FnMut(&Node<T>, &[&[T]]),
    ) -> Result<(), Error> {
        values.resize_with(self.shapes.len(), Lines::default);
        let last = self.last_uses();
        let mut spare: Rooms<T> = values.iter_mut().map(std::mem::take).collect();
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
            for &room in &node.inputs {
                if last[room] == index {
                    spare.push(std::mem::take(&mut values[room]));
                }
            }
        }
        Ok(())
    }

    /// The network's output, after a run.
    pub(crate) fn output_of<'a>(&self, input: &'a [T], values: &'a Rooms<T>) -> &'a [T] {
        if self.output == 0 { input } else { &values[self.output] }
    }

    /// Tangents of all values along the pass's direction.
    pub(crate) fn push(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &Rooms<T>,
        dots: &mut Rooms<T>,
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
    pub(crate) fn seed(&self, pass: &Pass<'_, T>, slopes: &[T], bars: &mut Rooms<T>) {
        self.furnish(pass, bars);
        for bar in bars.iter_mut() {
            bar.fill(T::ZERO);
        }
        if self.output > 0 {
            bars[self.output].copy_from_slice(slopes);
        }
    }

    /// From the output's derivative to all others, and the gradient, which is added to.
    pub(crate) fn pull(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        values: &Rooms<T>,
        bars: &mut Rooms<T>,
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
            for (which, &room) in node.inputs.iter().enumerate() {
                if self.active[room] {
                    node.layer.adjoint(pass, which, &primal, &mut bars[room]);
                }
            }
            bars[index + 1] = y_bar;
        }
    }

    /// The tangents of what [`pull`](Self::pull) computes, from those of the output's derivative.
    pub(crate) fn pull_along(
        &self,
        pass: &Pass<'_, T>,
        input: &[T],
        tape: &Tape<T>,
        along: &mut Along<T>,
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
            for (which, &room) in node.inputs.iter().enumerate() {
                if self.active[room] {
                    let out = &mut along.bar_dots[room];
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

    /// The last node that reads a room; the output's is never over.
    pub(crate) fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> =
            (0..self.shapes.len()).map(|room| room.saturating_sub(1)).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            for &room in &node.inputs {
                last[room] = index;
            }
        }
        last[self.output] = usize::MAX;
        last
    }

    /// Gives every room the size that the pass needs. Sizes repeat, so this allocates once.
    fn furnish(&self, pass: &Pass<'_, T>, rooms: &mut Rooms<T>) {
        rooms.resize_with(self.shapes.len(), Lines::default);
        for (room, shape) in rooms.iter_mut().zip(&self.shapes).skip(1) {
            room.resize(shape.features() * T::LANES * pass.panels);
        }
    }

    /// The tangents of a node's inputs, where they move at all.
    fn moving<'a>(&self, node: &Node<T>, dots: &'a Rooms<T>) -> Few<Option<&'a [T]>> {
        let dot = |&room: &usize| self.active[room].then(|| &dots[room][..]);
        node.inputs.iter().map(dot).collect()
    }
}

/// The values of a node's inputs.
fn seen<'a, T>(node: &Node<T>, input: &'a [T], values: &'a Rooms<T>) -> Few<&'a [T]> {
    let value = |&room: &usize| if room == 0 { input } else { &values[room][..] };
    node.inputs.iter().map(value).collect()
}
