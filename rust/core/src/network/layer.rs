//! The interface of a layer: its value and three derivatives, on panels of samples.
//!
//! With y = f(x, w), a dot for derivatives along a direction and a bar for derivatives of L:
//!
//! | rule | computes |
//! |---|---|
//! | forward | y |
//! | tangent | ẏ = ∂ₓf ẋ + ∂_w f ẇ |
//! | adjoint | x̄ += (∂ₓf)ᵀ ȳ, and w̄ += (∂_w f)ᵀ ȳ |
//! | second order | the tangents of the adjoint: x̄˙ and w̄˙ (Pearlmutter 1994) |
//!
//! A value is stored as (panels, channels, positions, lanes), and the lanes of a panel are samples: no
//! rule mixes lanes, batch statistics apart.

use crate::network::fusion::Fusion;
use crate::network::kernel::Real;
use crate::network::pass::{Pass, Primal, Tangent};

/// A kind of layer. `forward` and `tangent` overwrite their output, all other rules add to it.
pub trait Layer<T: Real>: Send + Sync {
    /// y, overwritten.
    fn forward(&self, pass: &Pass<'_, T>, x: &[&[T]], y: &mut [T]);

    /// ẏ, overwritten.
    fn tangent(
        &self,
        pass: &Pass<'_, T>,
        x: &[&[T]],
        y: &[T],
        x_dot: &[Option<&[T]>],
        y_dot: &mut [T],
    );

    /// Adds to x̄ of input `which`.
    fn adjoint(&self, pass: &Pass<'_, T>, which: usize, primal: &Primal<'_, T>, x_bar: &mut [T]);

    /// Adds to w̄, in the order of θ. The default is for layers without parameters.
    fn gradient(&self, _pass: &Pass<'_, T>, _primal: &Primal<'_, T>, _w_bar: &mut [T]) {}

    /// Adds to the tangent of x̄ of input `which`. The default, the adjoint applied to the tangent of ȳ,
    /// is right for a layer that is linear in its inputs and has no parameters.
    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        which: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        let tangent = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
        self.adjoint(pass, which, &tangent, x_bar_dot);
    }

    /// Adds to the tangent of w̄. The default is for layers without parameters.
    fn second_gradient(
        &self,
        _pass: &Pass<'_, T>,
        _primal: &Primal<'_, T>,
        _tangent: &Tangent<'_, T>,
        _w_bar_dot: &mut [T],
    ) {
    }

    /// The layer's role in a fused forward pass.
    fn fusion(&self) -> Fusion<'_, T> {
        Fusion::None
    }

    /// Whether y may overwrite the only input.
    fn runs_in_place(&self) -> bool {
        false
    }

    /// Overwrites x by y, for layers that run in place.
    fn in_place(&self, _pass: &Pass<'_, T>, _values: &mut [T]) {}
}
