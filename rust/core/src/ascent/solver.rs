//! The solver: ascents from many starts, evaluated together.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::neighbourhood::Neighbourhood;
use super::options::AscentOptions;
use super::row::Row;
use crate::batch_sampler::{require_batches, require_same_batches};
use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::monitor::Cancel;
use crate::objective::BatchedObjective;
use crate::scalar::Scalar;
use crate::solver::{Checkpoint, RecordReader, Resumable, Solver, Status, to_record};
use crate::threads::install;

const READER: RecordReader = RecordReader("an ascent");

/// How many vectors of p entries a row takes at most, and of d entries.
const VECTORS: (usize, usize) = (36, 4);

/// Which mini-batch each row is evaluated on, of how many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Batches {
    count: usize,
    of_rows: Vec<usize>,
}

/// The state besides vectors and the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Default")]
struct State<S> {
    options: AscentOptions,
    /// None where all rows are evaluated on all data.
    batches: Option<Batches>,
    rows: Vec<Row<S>>,
    /// Evaluations so far, that of the starts included, and of how many points.
    evaluated: usize,
    gradients: u64,
}

/// The maximum of L(θ₀ + δ) over δ = S u with ‖u‖₂ ≤ ρ, or |uᵢ| ≤ ρ, by gradient ascent from k starts.
///
/// S = diag(s) scales the coordinates: s = 1 is the plain neighbourhood, s = |θ₀| the adaptive
/// one (Kwon et al. 2021), and s = |θ₀| + 1 in a box that of Keskar et al. (2017), metric 2.1, also in a
/// random subspace. Ascents are independent, each on all data or on a mini-batch of its own, and are
/// evaluated together; one that has ended is not evaluated any more. The first step evaluates
/// the starts. A loss or gradient that is not finite ends its row as diverged, with the highest finite
/// loss that it has met.
///
/// # Reference
/// Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), *On large-batch training for deep learning:
/// generalization gap and sharp minima*; Kwon, Kim, Park, Choi (2021), *ASAM: adaptive sharpness-aware
/// minimization for scale-invariant learning of deep neural networks*.
pub struct Ascent<S> {
    neighbourhood: Neighbourhood<S>,
    state: State<S>,
    /// The best loss of every row after every evaluation, row-major (evaluations, rows).
    history: Vec<f64>,
}

impl<S: Scalar> Ascent<S> {
    /// Ascents from displacements δ, row-major (k, coordinates). Nothing is evaluated yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option is out of range, or a start is outside the neighbourhood;
    /// [`Error::Memory`].
    pub fn new(
        objective: &dyn BatchedObjective<S>,
        neighbourhood: Neighbourhood<S>,
        starts: &[S],
        batches: Option<Vec<usize>>,
        options: AscentOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        let (size, dim) = (neighbourhood.coordinates(), objective.dim());
        require!(
            neighbourhood.dim() == dim,
            "got a point of {} parameters for an objective of {dim}; pass one of {dim}",
            neighbourhood.dim()
        );
        require!(
            !starts.is_empty() && starts.len().is_multiple_of(size),
            "got starts of {} entries for {size} coordinates; pass one row of {size} or more",
            starts.len()
        );
        let count = starts.len() / size;
        require_rows::<S>(count, size, dim)?;
        let start = |(index, displacement): (usize, &[S])| {
            let u = neighbourhood.scaled(displacement);
            let inside = |u: &Vec<S>| options.constraint.contains(options.radius, u);
            u.filter(inside).map(Row::new).ok_or_else(|| {
                Error::Invalid(format!(
                    "got start {index}, which is not in the neighbourhood of radius {} or moves a \
                     coordinate of scale 0; pass displacements inside",
                    options.radius
                ))
            })
        };
        let rows: Vec<_> = starts.chunks(size).enumerate().map(start).collect::<Result<_, _>>()?;
        let batches = match batches {
            Some(of_rows) => Some(Batches { count: require_batches(objective)?, of_rows }),
            None => None,
        };
        require_row_batches(batches.as_ref(), count)?;
        let state = State { options, batches, rows, evaluated: 0, gradients: 0 };
        Ok(Self { neighbourhood, state, history: Vec::new() })
    }

    /// The ascent of a checkpoint, with the arrays `origin`, `scale`, `basis`, `points`, `best` and
    /// `memory`, and the numbers `history`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the record or the arrays are not those of an ascent.
    pub fn resume(mut checkpoint: Checkpoint<S>) -> Result<Self, Error> {
        let mut state: State<S> = checkpoint.parse_record("an ascent")?;
        let [origin, scale, basis, points, best, memory] =
            ["origin", "scale", "basis", "points", "best", "memory"]
                .map(|name| checkpoint.take_vectors(name));
        let basis = Some(basis?).filter(|basis| !basis.is_empty());
        let neighbourhood = Neighbourhood::new(origin?, scale?, basis)?;
        let (points, best, memory) = (points?, best?, memory?);
        let history = checkpoint.take_numbers("history")?;
        let (size, count) = (neighbourhood.coordinates(), state.rows.len());
        state.validate(history.len())?;
        require_rows::<S>(count, size, neighbourhood.dim())?;
        let entries = count * size;
        READER.require("dimension", checkpoint.dim == neighbourhood.dim())?;
        READER.require("points", points.len() == entries && best.len() == entries)?;
        READER.require("memory", memory.len().is_multiple_of(size))?;
        let inside = |u: &[S]| state.options.constraint.contains(state.options.radius, u);
        READER.require("points", points.chunks(size).chain(best.chunks(size)).all(inside))?;
        READER.require_entries("memory", &memory)?;
        let mut rest = memory.chunks(size).map(<[S]>::to_vec);
        let places = points.chunks(size).zip(best.chunks(size));
        for (row, (trial, best)) in state.rows.iter_mut().zip(places) {
            row.restore(&state.options, [trial.to_vec(), best.to_vec()], &mut rest)?;
        }
        READER.require("memory", rest.next().is_none())?;
        Ok(Self { neighbourhood, state, history })
    }

    /// The number of ascents.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.state.rows.len()
    }

    /// The number of ascents that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.state.rows.iter().filter(|row| row.status == Status::Running).count()
    }

    /// Steps so far; the evaluation of the starts is not one.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.evaluated.saturating_sub(1)
    }

    /// Gradients so far, one for every point.
    #[must_use]
    pub fn gradients(&self) -> u64 {
        self.state.gradients
    }

    /// The neighbourhood.
    #[must_use]
    pub fn neighbourhood(&self) -> &Neighbourhood<S> {
        &self.neighbourhood
    }

    /// How every row ended.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.state.rows.iter().map(|row| row.status).collect()
    }

    /// The highest finite loss of every row; NaN where there was none.
    #[must_use]
    pub fn losses(&self) -> Vec<f64> {
        self.state.rows.iter().map(|row| row.best_loss.unwrap_or(f64::NAN)).collect()
    }

    /// The highest of these; NaN where there is none.
    #[must_use]
    pub fn max_loss(&self) -> f64 {
        self.losses().into_iter().fold(f64::NAN, f64::max)
    }

    /// The displacements δ at which they were found, row-major (k, coordinates).
    #[must_use]
    pub fn displacements(&self) -> Vec<S> {
        let displacement = |row: &Row<S>| self.neighbourhood.displacement(&row.best);
        self.state.rows.iter().flat_map(displacement).collect()
    }

    /// The [`losses`](Self::losses) after every evaluation, row-major (steps + 1, k).
    #[must_use]
    pub fn history(&self) -> &[f64] {
        &self.history
    }

    /// The points to evaluate next in scaled coordinates, for checkpoints.
    #[must_use]
    pub fn points(&self) -> Vec<S> {
        self.state.rows.iter().flat_map(|row| row.trial.iter().copied()).collect()
    }

    /// The best points in scaled coordinates, for checkpoints.
    #[must_use]
    pub fn best(&self) -> Vec<S> {
        self.state.rows.iter().flat_map(|row| row.best.iter().copied()).collect()
    }

    /// What the rules remember, for checkpoints.
    #[must_use]
    pub fn memory(&self) -> Vec<S> {
        self.state.rows.iter().flat_map(|row| row.memory().concat()).collect()
    }

    /// Losses and gradients of rows at their points.
    fn evaluate(
        &self,
        objective: &dyn BatchedObjective<S>,
        rows: &[usize],
        cancel: &Cancel,
    ) -> Result<(Vec<f64>, Vec<S>), Error> {
        let dim = self.dim();
        let mut points = Vec::with_capacity(rows.len() * dim);
        for &row in rows {
            self.neighbourhood.push_point(&self.state.rows[row].trial, &mut points)?;
        }
        let mut losses = vec![0.0; rows.len()];
        let mut gradients = vec![S::default(); points.len()];
        if let Some(Batches { of_rows, .. }) = &self.state.batches {
            let batches: Vec<_> = rows.iter().map(|&row| of_rows[row]).collect();
            objective.gradients_on(&points, &batches, &mut losses, &mut gradients, cancel)?;
        } else {
            objective.gradients(&points, &mut losses, &mut gradients, cancel)?;
        }
        Ok((losses, gradients))
    }
}

impl<S> State<S> {
    /// # Errors
    /// [`Error::Invalid`] unless the state is one that an ascent can be in, with so many numbers in its
    /// history.
    fn validate(&self, history: usize) -> Result<(), Error>
    where
        S: Scalar,
    {
        use Status::{Complete, Converged, Diverged, MaxSteps, Running, Stalled};
        self.options.validate()?;
        READER.require("rows", !self.rows.is_empty())?;
        require_row_batches(self.batches.as_ref(), self.rows.len())?;
        READER.require_counts(&[
            ("evaluated", self.evaluated as u64),
            ("gradients", self.gradients),
        ])?;
        let numbers = self.evaluated.checked_mul(self.rows.len());
        READER.require("history", numbers == Some(history))?;
        for row in &self.rows {
            let known = [Running, Converged, Complete, Stalled, MaxSteps, Diverged];
            READER.require_status(row.status, &known)?;
            READER.require("best_loss", row.best_loss.is_none_or(f64::is_finite))?;
            let begins = row.status == Running && self.evaluated > 0;
            READER.require("state", row.has_begun() == begins)?;
        }
        Ok(())
    }
}

impl<S: Scalar> Solver for Ascent<S> {
    type Scalar = S;
    type Problem<'a> = dyn BatchedObjective<S> + 'a;

    fn dim(&self) -> usize {
        self.neighbourhood.dim()
    }

    /// Running while a row is; then that of the row that is farthest from convergence among those that
    /// have not diverged.
    fn status(&self) -> Status {
        use Status::{Complete, Converged, Diverged, MaxSteps, Running, Stalled};
        let order = [Running, MaxSteps, Complete, Stalled, Converged];
        let has = |status: &Status| self.state.rows.iter().any(|row| row.status == *status);
        order.into_iter().find(has).unwrap_or(Diverged)
    }

    fn accept(&self, objective: &Self::Problem<'_>) -> Result<(), Error> {
        if let Some(batches) = &self.state.batches {
            return require_same_batches(self.dim(), objective, batches.count);
        }
        let (given, dim) = (objective.dim(), self.dim());
        require!(
            given == dim,
            "got a problem of {given} dimensions for vectors of {dim} entries; pass the one that the \
             solver was created for"
        );
        Ok(())
    }

    fn step(&mut self, objective: &Self::Problem<'_>, cancel: &Cancel) -> Result<(), Error> {
        cancel.check()?;
        let is_running = |row: &usize| self.state.rows[*row].status == Status::Running;
        let running: Vec<_> = (0..self.rows()).filter(is_running).collect();
        if running.is_empty() {
            return Ok(());
        }
        let (losses, gradients) = self.evaluate(objective, &running, cancel)?;
        let dim = self.dim();
        let State { options, rows, evaluated, .. } = &mut self.state;
        let (options, step, neighbourhood) = (&*options, *evaluated, &self.neighbourhood);
        let rows: Vec<_> = rows.iter_mut().filter(|row| row.status == Status::Running).collect();
        let advance = |((row, loss), gradient): ((&mut Row<S>, &f64), &[S])| {
            row.advance(options, *loss, &neighbourhood.gradient(gradient), step);
        };
        install(|| {
            rows.into_par_iter().zip(&losses).zip(gradients.par_chunks(dim)).for_each(advance);
        });
        self.state.evaluated += 1;
        self.state.gradients += running.len() as u64;
        self.history.extend(self.losses());
        Ok(())
    }
}

impl<S: Scalar> Resumable for Ascent<S> {
    fn record(&self) -> String {
        to_record(&self.state)
    }

    fn checkpoint(&self) -> Checkpoint<S> {
        Checkpoint {
            record: self.record(),
            dim: self.dim(),
            vectors: vec![
                ("origin", self.neighbourhood.origin().to_vec()),
                ("scale", self.neighbourhood.scale().to_vec()),
                ("basis", self.neighbourhood.basis().to_vec()),
                ("points", self.points()),
                ("best", self.best()),
                ("memory", self.memory()),
            ],
            numbers: vec![("history", self.history.clone())],
        }
    }
}

/// # Errors
/// [`Error::Memory`] where the vectors of all rows do not fit into memory.
fn require_rows<S>(count: usize, size: usize, dim: usize) -> Result<(), Error> {
    let what = format!("an ascent from {count} starts");
    require_memory::<S>(&what, &[count, VECTORS.0, size])?;
    require_memory::<S>(&what, &[count, VECTORS.1, dim]).map(drop)
}

/// # Errors
/// [`Error::Invalid`] unless every row has a batch that there is.
fn require_row_batches(batches: Option<&Batches>, rows: usize) -> Result<(), Error> {
    let Some(Batches { count, of_rows }) = batches else { return Ok(()) };
    require!(
        of_rows.len() == rows && of_rows.iter().all(|batch| batch < count),
        "got the batches {of_rows:?} for {rows} starts and an objective of {count} batches; pass \
         one index below {count} for every start"
    );
    Ok(())
}
