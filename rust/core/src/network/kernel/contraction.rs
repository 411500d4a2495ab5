//! Weights times panels.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::columns::{Columns, POINTWISE, pointwise};
use super::finish::Finish;
use super::packing::{Packing, Weights};
use super::pool::Pool;
use super::real::Real;
use super::taps::Taps;
use super::terms::{Order, Terms, by_position};
use super::winograd::{Choice, Winograd};
use crate::isa::Isa;

/// Channels of several positions that stay in the first cache.
const DEPTH: usize = 128;

/// y[row][p] = Σ_{tap, c} w[row][tap][c] x[c][source(p, tap)].
///
/// A tap that reads padding adds nothing. Images under a window of 3 × 3 are transformed where that
/// is less to do; other sums take their terms by taps and then by channels.
#[derive(Clone, Debug)]
pub struct Contraction {
    packing: Packing,
    taps: Taps,
    choice: Option<Choice>,
    /// All positions, where somebody asks for them.
    positions: OnceLock<Columns>,
    /// The squares that were pooled first, and most likely always are.
    squares: OnceLock<(Pool, Columns)>,
}

impl Contraction {
    /// Of so many channels to so many rows.
    #[must_use]
    pub fn new(rows: usize, inner: usize, taps: Taps) -> Self {
        let packing = Packing::new(rows, taps.taps(), inner);
        let choice = taps.image().and_then(|image| Choice::new(&packing, &taps, image));
        let (positions, squares) = (OnceLock::new(), OnceLock::new());
        Self { packing, taps, choice, positions, squares }
    }

    /// The order of the weights.
    #[must_use]
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// What reads what.
    #[must_use]
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// How many numbers a panel's x has.
    #[must_use]
    pub fn input_size<T: Real>(&self) -> usize {
        self.packing.inner() * self.taps.source_positions() * T::LANES
    }

    /// How many numbers a panel's y has before it is pooled.
    #[must_use]
    pub fn output_size<T: Real>(&self) -> usize {
        self.packing.rows() * self.taps.positions() * T::LANES
    }

    /// How many numbers weights become where they are prepared; 0 where they are used as they are.
    #[must_use]
    pub fn prepared_len(&self) -> usize {
        self.choice.map_or(0, |choice| choice.prepared_len(&self.packing))
    }

    /// Prepares weights that are to be used more than once.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn prepare<T: Real>(&self, isa: Isa, packed: &[T], prepared: &mut [T]) {
        assert_eq!(packed.len(), self.packing.len(), "weights");
        assert_eq!(prepared.len(), self.prepared_len(), "prepared weights");
        if let Some(choice) = self.choice {
            choice.prepare(isa, &self.packing, packed, prepared);
        }
    }

    /// y = finish(w x) for some panels. x is `[panel][inner][source position][lane]`, y is
    /// `[panel][row][position][lane]`, and so are the places of sums.
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn run<T: Real>(
        &self,
        isa: Isa,
        weights: Weights<'_, T>,
        panels: usize,
        x: &[T],
        finish: &Finish<'_, T>,
        y: &mut [T],
    ) {
        self.check(weights, panels, x, finish, y);
        if let Some(choice) = self.choice {
            let mut left = Vec::new();
            let images = Winograd { packing: &self.packing, weights, choice, panels, x, finish };
            images.run(isa, y, &mut left);
            let columns = finish.columns(self.taps.positions());
            for columns_left in left.chunk_by(|a, b| a / columns == b / columns) {
                let panel = columns_left[0] / columns;
                let some = columns_left.iter().map(|column| column % columns).collect();
                let columns = Columns::some(&self.taps, finish.pool(), some);
                self.by_terms(isa, weights.packed, panel, x, finish, y, &columns);
            }
        } else if self.taps.is_identity() {
            self.by_panels(isa, weights.packed, panels, x, finish, y);
        } else {
            let columns = self.columns(finish.pool());
            for panel in 0..panels {
                self.by_terms(isa, weights.packed, panel, x, finish, y, &columns);
            }
        }
    }

    /// All columns.
    fn columns(&self, pool: Option<Pool>) -> Cow<'_, Columns> {
        let Some(pool) = pool else {
            return Cow::Borrowed(self.positions.get_or_init(|| Columns::positions(&self.taps)));
        };
        let (first, squares) =
            self.squares.get_or_init(|| (pool, Columns::squares(&self.taps, pool)));
        if *first == pool {
            return Cow::Borrowed(squares);
        }
        Cow::Owned(Columns::squares(&self.taps, pool))
    }

    /// Where there is one position, panels are worked on as positions are, by so few channels at a
    /// time that their numbers stay in the first cache while all rows pass over them.
    fn by_panels<T: Real>(
        &self,
        isa: Isa,
        weights: &[T],
        panels: usize,
        x: &[T],
        finish: &Finish<'_, T>,
        y: &mut [T],
    ) {
        let (read, made) = (self.input_size::<T>(), self.output_size::<T>());
        let (rows, inner) = (self.packing.rows(), self.packing.inner());
        let deep = inner.div_ceil(inner.div_ceil(DEPTH).max(1)).max(1);
        for first in (0..panels).step_by(POINTWISE) {
            let some = POINTWISE.min(panels - first);
            let places = first * made..(first + some) * made;
            let (taps, columns) = pointwise(some);
            let finish = finish.part(0..rows, places.clone());
            // Without any channel, sums are still to be finished.
            for start in (0..inner.max(1)).step_by(deep) {
                let depth = start..inner.min(start + deep);
                let finish = match (finish, depth.end == inner) {
                    (Finish::Store(_), false) if start == 0 => Finish::plain(),
                    (_, false) => Finish::Add,
                    (Finish::Store(store), true) if start > 0 => Finish::Complete(store),
                    (finish, true) => finish,
                };
                T::dispatch(
                    isa,
                    Terms {
                        packing: &self.packing,
                        weights,
                        taps,
                        depth,
                        x: &x[first * read..][..some * read],
                        finish: &finish,
                        y: &mut y[places.clone()],
                        order: Order::ByColumn,
                        columns,
                    },
                );
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a panel, and which of its columns")]
    fn by_terms<T: Real>(
        &self,
        isa: Isa,
        weights: &[T],
        panel: usize,
        x: &[T],
        finish: &Finish<'_, T>,
        y: &mut [T],
        columns: &Columns,
    ) {
        let (read, summed) = (self.input_size::<T>(), self.output_size::<T>());
        let made = self.packing.rows() * finish.columns(self.taps.positions()) * T::LANES;
        let x = &x[panel * read..][..read];
        let gathered = by_position(x, self.packing.inner(), self.taps.source_positions());
        T::dispatch(
            isa,
            Terms {
                packing: &self.packing,
                weights,
                taps: &self.taps,
                depth: 0..self.packing.inner(),
                x: gathered.as_deref().unwrap_or(x),
                finish: &finish.part(0..self.packing.rows(), panel * summed..(panel + 1) * summed),
                y: &mut y[panel * made..][..made],
                order: Order::ByRow,
                columns,
            },
        );
    }

    fn check<T: Real>(
        &self,
        weights: Weights<'_, T>,
        panels: usize,
        x: &[T],
        finish: &Finish<'_, T>,
        y: &[T],
    ) {
        let rows = self.packing.rows();
        assert_eq!(weights.packed.len(), self.packing.len(), "weights");
        let prepared = weights.prepared.len();
        assert!(prepared == 0 || prepared == self.prepared_len(), "prepared weights");
        assert_eq!(x.len(), panels * self.input_size::<T>(), "x");
        assert_eq!(y.len(), panels * rows * finish.columns(self.taps.positions()) * T::LANES, "y");
        if let Finish::Store(store) | Finish::Complete(store) = finish {
            assert!(store.scale.is_none_or(|scale| scale.len() == rows), "scale");
            assert!(store.shift.is_none_or(|shift| shift.len() == rows), "shift");
            let sums = panels * self.output_size::<T>();
            assert!(store.residual.is_none_or(|residual| residual.len() == sums), "residual");
            let positions = self.taps.positions();
            assert!(store.pool.is_none_or(|pool| pool.positions() == positions), "positions");
        }
    }
}
