//! Cycles of a band that grows where it must.

mod state;

use self::state::State;
pub use self::state::{AutoNebOptions, Look};
use super::chain::{Chain, check_ends};
use super::descent::Descent;
use super::draw::Draw;
use super::insertion::{Place, Profile};
use super::neb::{force, tangent};
use super::outcome::{Cycle, Ending};
use crate::error::Error;
use crate::monitor::{Cancel, stepped};
use crate::objective::BatchedObjective;
use crate::scalar::Scalar;

/// What is left of a pivot's old loss beside that on a new batch, in the mean that tangents see.
const MEMORY: f64 = 0.9;

/// An elastic band between two minima that owns its state and goes on step by step.
///
/// A look evaluates the band densely, on all data: it keeps the best band so far, and adds pivots
/// where the loss between two of them rises above the line. Then the pivots move for a cycle, each
/// on a batch of its own, across the band alone; looks and cycles take turns, and a look is last.
///
/// # Reference
/// Draxler, Veschgini, Salmhofer, Hamprecht (2018), *Essentially no barriers in neural network
/// energy landscape*, algorithm 1; Kolsbjerg, Groves, Hammer (2016), *An automated nudged elastic
/// band method*.
pub struct AutoNeb<S> {
    band: Chain<S>,
    /// The band before the last move, whose losses are known to be finite.
    good: Chain<S>,
    best: Chain<S>,
    descent: Descent<S>,
    draw: Draw,
    state: State,
}

impl<S: Scalar> AutoNeb<S> {
    /// The straight band from `first` to `last`; nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or the ends do not fit.
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        first: &[S],
        last: &[S],
        options: AutoNebOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        check_ends(objective.dim(), first, last)?;
        let (band, batches) = (Chain::straight(first, last, options.pivots)?, objective.batches()?);
        Ok(Self {
            good: band.clone(),
            best: band.clone(),
            descent: Descent::new(options.rule, band.interior().len()),
            draw: Draw::new(options.seed, batches),
            state: State::new(options, batches),
            band,
        })
    }

    /// Goes on with what [`record`](Self::record), [`band`](Self::band), [`best`](Self::best) and
    /// [`memory`](Self::memory) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they do not belong together.
    pub fn resumed(
        record: &str,
        dim: usize,
        band: Vec<S>,
        best: Vec<S>,
        memory: &[S],
    ) -> Result<Self, Error> {
        let state = State::read(record)?;
        let band = Chain::new(band, dim)?;
        let entries = band.interior().len();
        Ok(Self {
            good: band.clone(),
            best: Chain::new(best, dim)?,
            descent: Descent::resumed(state.options.rule, entries, memory, state.moves)?,
            draw: Draw::new(state.options.seed, state.batches),
            state,
            band,
        })
    }

    /// Where the band is.
    #[must_use]
    pub fn band(&self) -> &Chain<S> {
        &self.band
    }

    /// The band whose highest loss was the lowest, of all that were looked at.
    #[must_use]
    pub fn best(&self) -> &Chain<S> {
        &self.best
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

    /// What every look has found.
    #[must_use]
    pub fn looks(&self) -> &[Look] {
        &self.state.looks
    }

    /// Steps so far, of all cycles.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The highest loss of the band as it was last seen, less that of the higher end.
    #[must_use]
    pub fn barrier(&self) -> f64 {
        self.state.barrier()
    }

    /// The largest norm, over the pivots, of the force across the band.
    #[must_use]
    pub fn force(&self) -> f64 {
        self.state.force
    }

    /// Points at which the loss of all data was evaluated, and gradients of single batches.
    #[must_use]
    pub fn evaluations(&self) -> (usize, usize) {
        (self.state.losses, self.state.gradients)
    }

    /// One look, or one step of all pivots.
    ///
    /// # Errors
    /// Those of the objective, after which it is as it was before, and [`Error::NonFinite`], after
    /// which the band is the last one whose losses were finite.
    pub fn step(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        match self.state.cycle() {
            Some(cycle) if self.state.relaxing => self.relax(objective, cycle, cancel),
            _ => {
                let profile = self.look(objective, cancel)?;
                self.begin(&profile)
            }
        }
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

    /// Looks at the band where it is, so that [`best`](Self::best) knows of it.
    ///
    /// # Errors
    /// Those of the objective, and [`Error::NonFinite`].
    pub fn settle(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.look(objective, cancel).map(|_| ())
    }

    /// Evaluates the band densely: losses at the pivots, then those between them.
    fn look(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cancel: &Cancel,
    ) -> Result<Vec<f64>, Error> {
        cancel.check()?;
        let count = self.band.count();
        let between = self.state.options.between;
        let mut losses = vec![0.0; count + (count - 1) * between];
        let (pivots, others) = losses.split_at_mut(count);
        objective.losses(self.band.rows(), pivots, cancel)?;
        // One segment at a time: the points of all of them are many times the band.
        for (segment, found) in others.chunks_mut(between).enumerate() {
            objective.losses(&self.band.refined(segment, between)?, found, cancel)?;
        }
        if let Some(place) = losses.iter().position(|loss| !loss.is_finite()) {
            let what = if place < count {
                format!("pivot {place} of {count}")
            } else {
                let segment = (place - count) / self.state.options.between.max(1);
                format!("the segment from pivot {segment} to {} of {count}", segment + 1)
            };
            let found = losses[place];
            self.retreat();
            return Err(self.state.not_finite(&what, found));
        }
        let highest = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.state.best.is_none_or(|best| highest < best) {
            self.best = self.band.clone();
            self.state.best = Some(highest);
        }
        self.state.seen(&losses[..count], highest);
        Ok(losses)
    }

    /// Adds pivots where the band is too coarse and begins the next cycle, or ends.
    fn begin(&mut self, losses: &[f64]) -> Result<(), Error> {
        let options = &self.state.options;
        let (pivots, between) = losses.split_at(self.band.count());
        let room = options.max_pivots.saturating_sub(self.band.count() - 2);
        let places = Profile { pivots, between }.coarse(options.insertion, room);
        let converged = self.state.converged && places.is_empty();
        if self.state.finish(converged) {
            return Ok(());
        }
        let energies = energies_with(pivots, &places);
        self.band = self.band.with(&places)?;
        self.good = self.band.clone();
        self.descent = Descent::new(self.state.options.rule, self.band.interior().len());
        self.state.begin(energies);
        Ok(())
    }

    /// One step of all pivots.
    fn relax(
        &mut self,
        objective: &dyn BatchedObjective<S>,
        cycle: Cycle,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        cancel.check()?;
        let dim = self.band.dim();
        let movable = self.band.count() - 2;
        let batches = self.draw.take(self.state.drawn, movable);
        let mut losses = vec![0.0; movable];
        let mut gradients = vec![S::default(); movable * dim];
        objective.gradients_on(
            self.band.interior(),
            &batches,
            &mut losses,
            &mut gradients,
            cancel,
        )?;
        let energies =
            self.state.blended(&losses, if self.state.batches > 1 { MEMORY } else { 0.0 });
        let climber = self.state.climber(&energies);
        let pulls = self.pulls()?;
        let (mut forces, mut strongest) = (Vec::with_capacity(gradients.len()), 0.0_f64);
        for (index, gradient) in gradients.chunks(dim).enumerate() {
            let pivot = index + 1;
            let along = tangent(&self.band, &energies, pivot)?;
            let climbs = climber == Some(pivot);
            let (moved, across) = force(&along, gradient, pulls[index], climbs)?;
            if !(losses[index].is_finite() && across.is_finite()) {
                let what = format!("pivot {pivot} of {}", self.band.count());
                self.retreat();
                return Err(self.state.not_finite(&what, losses[index]));
            }
            forces.extend(moved);
            strongest = strongest.max(across);
        }
        self.good = self.band.clone();
        self.descent.step(self.band.interior_mut(), &forces, cycle.rate);
        if self.state.options.spring.is_none() {
            self.band.equalise(climber)?;
        }
        self.state.moved(energies, strongest, movable);
        Ok(())
    }

    /// What springs pull each inner pivot forward along the band; nothing where there are none.
    fn pulls(&self) -> Result<Vec<f64>, Error> {
        let Some(stiffness) = self.state.options.spring else {
            return Ok(vec![0.0; self.band.count() - 2]);
        };
        let lengths = self.band.lengths()?;
        Ok(lengths.windows(2).map(|sides| stiffness * (sides[1] - sides[0])).collect())
    }

    /// Back to the last band whose losses were finite, at rest.
    fn retreat(&mut self) {
        self.band = self.good.clone();
        self.descent = Descent::new(self.state.options.rule, self.band.interior().len());
    }
}

/// The losses of the pivots, with those of the new ones among them.
fn energies_with(pivots: &[f64], places: &[Place]) -> Vec<f64> {
    let after = |index| places.iter().filter(move |place| place.segment == index);
    let of = |(index, &loss)| std::iter::once(loss).chain(after(index).map(|place| place.loss));
    pivots.iter().enumerate().flat_map(of).collect()
}
