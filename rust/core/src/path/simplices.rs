//! Connecting points that are trained.

mod state;

pub use self::state::SimplicesOptions;
use self::state::State;
use super::complex::{Complex, simplex_weights};
use super::descent::Descent;
use super::draw::Draw;
use super::outcome::Ending;
use crate::error::{Error, require};
use crate::monitor::{Cancel, stepped};
use crate::objective::BatchedObjective;
use crate::random::Gaussian;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// Streams of the weights of points: one a connecting point, none of batches or curves.
const WEIGHTS: u64 = 1 << 42;
/// Streams of where connecting points begin.
const STARTS: u64 = 1 << 43;

/// A simplicial complex through minima that owns its state and goes on step by step.
///
/// Connecting points are added one after the other, and each descends
/// E L(θ) − λⱼ log V(K), θ uniform in the simplices, all of which count alike; those before it
/// stand still. λⱼ = λ* / max(1, |log V(K)|) with the volume where it begins: the logarithm grows
/// with the number of dimensions, and would outweigh the loss. The first one between several
/// minima has λ = 0, since simplices are segments there.
///
/// # Reference
/// Benton, Maddox, Lotfi, Wilson (2021), *Loss surface simplexes for mode connecting volumes and
/// fast ensembling*, section 4. There λⱼ = λ* / log V(K), which changes its sign at a volume of 1.
pub struct Simplices<S> {
    complex: Complex<S>,
    /// The last vertex before its last move, where losses are known to be finite.
    good: Vec<S>,
    descent: Descent<S>,
    draw: Draw,
    state: State,
}

impl<S: Scalar> Simplices<S> {
    /// The minima, row-major (minima, dim), without a connecting point; nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the minima do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        minima: Vec<S>,
        options: SimplicesOptions,
    ) -> Result<Self, Error> {
        let dim = objective.dim();
        options.check(dim)?;
        let modes = minima.len() / dim.max(1);
        let complex = Complex::new(minima, dim, modes)?;
        let equal = (0..modes).find(|&i| (0..i).any(|j| complex.row(i) == complex.row(j)));
        require!(
            equal.is_none() && complex.count() == modes,
            "got the same point twice among {modes} minima; pass different ones"
        );
        let batches = objective.batches()?;
        Ok(Self {
            good: complex.row(modes - 1).to_vec(),
            descent: Descent::new(options.rule, dim),
            draw: Draw::new(options.seed, batches),
            state: State::new(options, batches, modes),
            complex,
        })
    }

    /// Goes on with what [`record`](Self::record), [`complex`](Self::complex) and
    /// [`memory`](Self::memory) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they do not belong together.
    pub fn resumed(
        record: &str,
        dim: usize,
        vertices: Vec<S>,
        memory: &[S],
    ) -> Result<Self, Error> {
        let state = State::read(record)?;
        let complex = Complex::new(vertices, dim, state.modes)?;
        require!(
            complex.count() == state.modes + state.placed,
            "got {} vertices for {} minima and {} connecting points; pass the state it gave",
            complex.count(),
            state.modes,
            state.placed
        );
        Ok(Self {
            good: complex.row(complex.count() - 1).to_vec(),
            descent: Descent::resumed(state.options.rule, dim, memory, state.moves)?,
            draw: Draw::new(state.options.seed, state.batches),
            state,
            complex,
        })
    }

    /// The complex as it is.
    #[must_use]
    pub fn complex(&self) -> &Complex<S> {
        &self.complex
    }

    /// The optimiser's memory, as one vector.
    #[must_use]
    pub fn memory(&self) -> Vec<S> {
        self.descent.state().0
    }

    /// Everything else, as text.
    #[must_use]
    pub fn record(&self) -> String {
        self.state.text(self.descent.state().1)
    }

    /// Whether and how it has ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.state.ending
    }

    /// Steps so far, of all connecting points.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The mean loss at the points of the last step; NaN before the first.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.state.loss.unwrap_or(f64::NAN)
    }

    /// log V(K) before the last move; NaN where there was no volume, or no move yet.
    #[must_use]
    pub fn log_volume(&self) -> f64 {
        self.state.log_volume.unwrap_or(f64::NAN)
    }

    /// Gradients of single batches so far.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.state.gradients
    }

    /// One step of the last connecting point, which is added first where it is due.
    ///
    /// # Errors
    /// Those of the objective, after which it is as it was before, and [`Error::NonFinite`], after
    /// which the connecting point is at the last place where losses were finite.
    pub fn step(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        if self.state.ending != Ending::Running {
            return Ok(());
        }
        if self.state.rate().is_none() {
            self.place()?;
        }
        self.state.rate().map_or(Ok(()), |rate| self.train(objective, rate, cancel))
    }

    /// Steps until it has ended (true) or `tick`, called after every step, says false.
    ///
    /// # Errors
    /// Those of the objective and of `tick`.
    pub fn run(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
        tick: impl FnMut(&Self) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let running = |search: &Self| search.ending() == Ending::Running;
        stepped(self, running, |search| search.step(objective, cancel), tick)
    }

    /// Adds a connecting point at the mean of all vertices, and where volume counts a little off
    /// it, in a random direction: at the mean there may be no volume, and no way to gain one.
    fn place(&mut self) -> Result<(), Error> {
        let (options, dim) = (&self.state.options, self.complex.dim());
        let centre = self.complex.centre()?;
        let mut complex = self.complex.clone();
        let mut weight = 0.0;
        if self.state.regularised() {
            let mut drawn = vec![0.0; dim];
            Gaussian::new(options.seed, STARTS + self.state.placed as u64).fill(0, &mut drawn);
            let extent = self.complex.extent()?;
            let extent = if extent > 0.0 { extent } else { 1.0 };
            let length = options.spread * extent / norm(&drawn);
            let moved = centre.iter().zip(&drawn).map(|(c, g)| S::narrow(c.widen() + length * g));
            complex.push(&moved.collect::<Vec<_>>());
            let log = complex.growth()?.map_or(f64::NEG_INFINITY, |(log, _)| log);
            require!(
                log.is_finite() || options.volume == 0.0,
                "got the spread {}, which leaves connecting point {} without a volume in the \
                 precision of the vertices; pass a larger one",
                options.spread,
                self.state.placed
            );
            weight = options.volume / log.abs().max(1.0);
        } else {
            complex.push(&centre);
        }
        self.complex = complex;
        self.state.begin(weight);
        self.good = self.complex.row(self.complex.count() - 1).to_vec();
        self.rest();
        Ok(())
    }

    /// One step of the last connecting point.
    fn train(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        rate: f64,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let (dim, each) = (self.complex.dim(), self.state.options.samples);
        let count = each * self.state.modes;
        let corners = self.state.placed + 1;
        let stream = Gaussian::new(self.state.options.seed, WEIGHTS + self.state.placed as u64);
        let weights = simplex_weights(&stream, self.state.gradients, count, corners);
        let mut points = Vec::with_capacity(count * dim);
        for (index, row) in weights.chunks(corners).enumerate() {
            points.extend(self.complex.point(index / each, row)?);
        }
        let batches = self.draw.take(self.state.gradients, count);
        let mut losses = vec![0.0; count];
        let mut gradients = vec![S::default(); count * dim];
        objective.gradients_on(&points, &batches, &mut losses, &mut gradients, cancel)?;
        drop(points);
        let finite = |index: &usize| {
            losses[*index].is_finite() && norm(&gradients[index * dim..][..dim]).is_finite()
        };
        if let Some(index) = (0..count).find(|index| !finite(index)) {
            let error = self.state.not_finite(index / each, losses[index]);
            self.complex.last_mut().copy_from_slice(&self.good);
            self.rest();
            return Err(error);
        }
        let growth = self.complex.growth()?;
        let last = weights.chunks(corners).map(|row| row[corners - 1]);
        let force = self.force(last, &gradients, growth.as_ref().map(|(_, weights)| &**weights))?;
        self.good = self.complex.row(self.complex.count() - 1).to_vec();
        self.descent.step(self.complex.last_mut(), &force, rate);
        let mean = losses.iter().sum::<f64>() / count as f64;
        self.state.moved(mean, growth.map(|(log, _)| log), count);
        Ok(())
    }

    /// −1/n Σᵢ wᵢ ∇L(θᵢ) + λ ∇ log V(K), with the weights of the last vertex in the points.
    fn force(
        &self,
        last: impl Iterator<Item = f64>,
        gradients: &[S],
        growth: Option<&[f64]>,
    ) -> Result<Vec<S>, Error> {
        let mut rows: Vec<&[S]> = gradients.chunks(self.complex.dim()).collect();
        let count = rows.len() as f64;
        let mut weights: Vec<_> = last.map(|weight| -weight / count).collect();
        if let Some(growth) = growth.filter(|_| self.state.weight > 0.0) {
            rows.extend((0..self.complex.count()).map(|vertex| self.complex.row(vertex)));
            weights.extend(growth.iter().map(|weight| self.state.weight * weight));
        }
        combine(&rows, &weights)
    }

    fn rest(&mut self) {
        self.descent = Descent::new(self.state.options.rule, self.complex.dim());
    }
}
