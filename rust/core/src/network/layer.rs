//! What a layer must know: its value and three derivatives, on panels of samples.
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
//! A value lies in memory as (panels, channels, positions, lanes): a panel is as many samples as a
//! kernel works on at once, side by side, so that no rule ever mixes lanes (batch statistics apart).

use crate::isa::Isa;
use crate::network::kernel::{Pool, Real};

/// Where batch normalisation takes its mean and variance from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moments {
    /// The running statistics, which are part of the point.
    Stored,
    /// The batch itself: all panels of the pass are one batch.
    Batch,
}

/// A point or a direction, packed for the kernels.
#[derive(Clone, Debug, Default)]
pub struct Packed<T> {
    /// In the order of the forward rules.
    pub forward: Vec<T>,
    /// Transposed, in the order of the adjoint rules; empty where only values are wanted.
    pub backward: Vec<T>,
}

/// What all rules of one pass share.
pub struct Pass<'a, T> {
    /// The instruction set.
    pub isa: Isa,
    /// The parameters.
    pub point: &'a Packed<T>,
    /// The direction of a tangent pass.
    pub direction: Option<&'a Packed<T>>,
    /// How many panels lie one after another.
    pub panels: usize,
    /// How many lanes of them, from the first, hold samples.
    pub samples: usize,
    /// Where batch statistics come from.
    pub moments: Moments,
}

impl<'a, T> Pass<'a, T> {
    /// The direction's packed numbers. Only tangent passes ask, and they have one.
    pub fn along(&self) -> &'a Packed<T> {
        self.direction.expect("a tangent pass has a direction")
    }
}

/// The values that the adjoint and second-order rules of a layer start from.
pub struct Primal<'a, T> {
    /// Inputs.
    pub x: &'a [&'a [T]],
    /// The output.
    pub y: &'a [T],
    /// ȳ, the derivative of L by the output.
    pub y_bar: &'a [T],
}

/// Derivatives of the same along the direction.
pub struct Tangent<'a, T> {
    /// ẋ; None for inputs that no varied parameter reaches.
    pub x: &'a [Option<&'a [T]>],
    /// The tangent of ȳ.
    pub y_bar: &'a [T],
}

/// One kind of layer. All but `forward` and `tangent` add to what they are given.
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

    /// The share of input `which` in x̄.
    fn adjoint(&self, pass: &Pass<'_, T>, which: usize, primal: &Primal<'_, T>, x_bar: &mut [T]);

    /// w̄ in the order of θ. Layers without parameters leave it as it is.
    fn gradient(&self, _pass: &Pass<'_, T>, _primal: &Primal<'_, T>, _w_bar: &mut [T]) {}

    /// The share of input `which` in the tangent of x̄. A layer that is linear in its inputs and has
    /// no parameters keeps this default: its adjoint, applied to the tangent of ȳ.
    fn second_adjoint(
        &self,
        pass: &Pass<'_, T>,
        which: usize,
        primal: &Primal<'_, T>,
        tangent: &Tangent<'_, T>,
        x_bar_dot: &mut [T],
    ) {
        let along = Primal { x: primal.x, y: primal.y, y_bar: tangent.y_bar };
        self.adjoint(pass, which, &along, x_bar_dot);
    }

    /// The tangent of w̄. Layers without parameters leave it as it is.
    fn second_gradient(
        &self,
        _pass: &Pass<'_, T>,
        _primal: &Primal<'_, T>,
        _tangent: &Tangent<'_, T>,
        _w_bar_dot: &mut [T],
    ) {
    }

    /// The layer as a matrix product whose finish can take over what follows it.
    fn as_product(&self) -> Option<&super::layers::product::Product<T>> {
        None
    }

    /// The layer as y = scale x + shift per channel, at a point.
    fn as_normalisation(&self) -> Option<&super::layers::batch_norm::BatchNorm> {
        None
    }

    /// Whether the layer is max(0, x), which a product's finish can take over.
    fn is_relu(&self) -> bool {
        false
    }

    /// Whether the layer is tanh x, which a combination of known products can take over.
    fn is_tanh(&self) -> bool {
        false
    }

    /// The squares whose largest numbers the layer keeps, which a product's finish can take over.
    fn as_pool(&self) -> Option<Pool> {
        None
    }

    /// Whether the layer is x₀ + x₁, which a product's finish can take over.
    fn is_sum(&self) -> bool {
        false
    }

    /// Whether y may take the place of the only input.
    fn runs_in_place(&self) -> bool {
        false
    }

    /// y in the place of x, for layers that run in place.
    fn in_place(&self, _pass: &Pass<'_, T>, _values: &mut [T]) {}
}
