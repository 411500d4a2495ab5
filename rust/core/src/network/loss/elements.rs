//! Losses that are sums over elements, where every output has its own target.

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::network::loss::panel::{Block, Lanes, Outputs, Scratch, ZEROS};
use crate::network::loss::{Curvature, Hits, Loss, Targets, empirical_fisher};
use crate::network::shape::Shape;

/// The moments of a gradient when targets are drawn from the model's own likelihood.
pub(super) struct Noise {
    pub mean: Lanes,
    pub variance: Lanes,
}

/// The loss of one element, output z and target t, on a block of lanes.
pub(super) trait Rule: Send + Sync {
    /// The name of the loss.
    const NAME: &'static str;
    /// Whether [`noise`](Self::noise) is defined.
    const HAS_LIKELIHOOD: bool = false;
    /// Whether [`is_hit`](Self::is_hit) is defined.
    const HAS_HITS: bool = false;

    /// ℓ.
    fn losses(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes;

    /// ∂ℓ/∂z.
    fn gradients(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes;

    /// ∂²ℓ/∂z².
    fn hessians(&self, isa: Isa, element: usize, z: &Lanes, t: &Lanes) -> Lanes;

    /// The gradient's moments under the model's likelihood.
    fn noise(&self, _isa: Isa, _element: usize, _z: &Lanes) -> Noise {
        unreachable!("{} has no likelihood", Self::NAME)
    }

    /// Whether an output predicts its target.
    fn is_hit(_z: f64, _t: f64) -> bool {
        unreachable!("{} has no hits", Self::NAME)
    }
}

/// The sum of a rule over elements.
pub(super) struct Elements<R> {
    rule: R,
    targets: Vec<f64>,
    width: usize,
}

impl<R: Rule> Elements<R> {
    /// The loss of these targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is a target for each output.
    pub fn new(rule: R, targets: Targets, shape: Shape) -> Result<Self, Error> {
        Ok(Self { rule, targets: targets.dense(R::NAME, shape)?, width: shape.features() })
    }

    /// The targets of an element. Lanes that hold no sample get 0.
    #[inline(always)]
    fn targets(&self, block: &Block<'_>, element: usize) -> Lanes {
        let mut targets = ZEROS;
        for (target, sample) in targets.iter_mut().zip(block.samples) {
            *target = self.targets[sample * self.width + element];
        }
        targets
    }

    /// Writes the result of `of` for each element and its outputs.
    #[inline(always)]
    fn map(
        &self,
        outputs: &Outputs<'_>,
        out: &mut [f64],
        of: impl Fn(&Block<'_>, usize, &Lanes) -> Lanes,
    ) {
        outputs.check_all(self.width, out);
        outputs.isa.run(
            #[inline(always)]
            || {
                for block in outputs.blocks() {
                    for element in 0..self.width {
                        let row = element * outputs.lanes;
                        let result = of(&block, element, &block.read(outputs.values, row));
                        block.write(out, row, result);
                    }
                }
            },
        );
    }

    /// Writes the sum of the results of `of` over all elements and their outputs.
    #[inline(always)]
    fn sum(
        &self,
        outputs: &Outputs<'_>,
        out: &mut [f64],
        of: impl Fn(&Block<'_>, usize, &Lanes) -> Lanes,
    ) {
        outputs.check_lanes(self.width, out);
        outputs.isa.run(
            #[inline(always)]
            || {
                for block in outputs.blocks() {
                    let mut sum = ZEROS;
                    for element in 0..self.width {
                        let z = block.read(outputs.values, element * outputs.lanes);
                        let result = of(&block, element, &z);
                        sum = std::array::from_fn(|i| sum[i] + result[i]);
                    }
                    block.write(out, 0, sum);
                }
            },
        );
    }

    /// (V + m mᵀ) t, with the gradient's variances V and means m: elements are drawn independently.
    fn fisher(&self, outputs: &Outputs<'_>, tangent: &[f64], out: &mut [f64]) {
        let noise = |block: &Block<'_>, element: usize, row: usize| {
            self.rule.noise(outputs.isa, element, &block.read(outputs.values, row))
        };
        outputs.check_all(self.width, out);
        outputs.isa.run(
            #[inline(always)]
            || {
                for block in outputs.blocks() {
                    let rows = || (0..self.width).map(|element| (element, element * outputs.lanes));
                    let mut inner = ZEROS;
                    for (element, row) in rows() {
                        let Noise { mean, .. } = noise(&block, element, row);
                        let t = block.read(tangent, row);
                        inner = std::array::from_fn(|i| inner[i] + mean[i] * t[i]);
                    }
                    for (element, row) in rows() {
                        let Noise { mean, variance } = noise(&block, element, row);
                        let t = block.read(tangent, row);
                        let result =
                            std::array::from_fn(|i| variance[i] * t[i] + mean[i] * inner[i]);
                        block.write(out, row, result);
                    }
                }
            },
        );
    }
}

impl<R: Rule> Loss for Elements<R> {
    fn samples(&self) -> usize {
        self.targets.len() / self.width
    }

    fn losses(&self, outputs: &Outputs<'_>, _scratch: &mut Scratch, out: &mut [f64]) {
        self.sum(
            outputs,
            out,
            #[inline(always)]
            |block, element, z| {
                self.rule.losses(outputs.isa, element, z, &self.targets(block, element))
            },
        );
    }

    fn gradients(&self, outputs: &Outputs<'_>, _scratch: &mut Scratch, out: &mut [f64]) {
        self.map(
            outputs,
            out,
            #[inline(always)]
            |block, element, z| {
                self.rule.gradients(outputs.isa, element, z, &self.targets(block, element))
            },
        );
    }

    fn check_curvature(&self, kind: Curvature) -> Result<(), Error> {
        require!(
            kind != Curvature::Fisher || R::HAS_LIKELIHOOD,
            "{} has no likelihood, so no Fisher matrix; pass another curvature",
            R::NAME
        );
        Ok(())
    }

    fn multiply_curvature(
        &self,
        kind: Curvature,
        outputs: &Outputs<'_>,
        tangent: &[f64],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        outputs.check(tangent);
        let floor = match kind {
            Curvature::Hessian => f64::NEG_INFINITY,
            Curvature::GaussNewton => 0.0,
            Curvature::Fisher => return self.fisher(outputs, tangent, out),
            Curvature::EmpiricalFisher => {
                return empirical_fisher(self, outputs, tangent, scratch, out);
            }
        };
        self.map(
            outputs,
            out,
            #[inline(always)]
            |block, element, z| {
                let targets = self.targets(block, element);
                let h = self.rule.hessians(outputs.isa, element, z, &targets);
                let t = block.read(tangent, element * outputs.lanes);
                // Not f64::max, which would turn NaN into the floor.
                std::array::from_fn(|i| t[i] * if h[i] < floor { floor } else { h[i] })
            },
        );
    }

    fn hits(&self) -> Option<&dyn Hits> {
        R::HAS_HITS.then_some(self)
    }
}

impl<R: Rule> Hits for Elements<R> {
    fn hits(&self, outputs: &Outputs<'_>, out: &mut [f64]) {
        self.sum(
            outputs,
            out,
            #[inline(always)]
            |block, element, z| {
                let t = self.targets(block, element);
                std::array::from_fn(|i| f64::from(u8::from(R::is_hit(z[i], t[i]))))
            },
        );
    }
}
