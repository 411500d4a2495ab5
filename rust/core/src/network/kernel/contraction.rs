//! Weights times panels.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::direct::{DirectProduct, Order, by_position};
use super::epilogue::Epilogue;
use super::gather_table::GatherTable;
use super::micro_tile::{MAX_POINTWISE, MicroTiles, pointwise};
use super::packing::{Packing, Weights};
use super::pool2x2::Pool2x2;
use super::real::Real;
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
    table: GatherTable,
    choice: Option<Choice>,
    /// All positions, where somebody asks for them.
    positions: OnceLock<MicroTiles>,
    /// The squares that were pooled first, and most likely always are.
    squares: OnceLock<(Pool2x2, MicroTiles)>,
}

impl Contraction {
    /// Of so many channels to so many rows.
    #[must_use]
    pub fn new(rows: usize, inner: usize, table: GatherTable) -> Self {
        let packing = Packing::new(rows, table.taps(), inner);
        let choice = table.image().and_then(|image| Choice::new(&packing, &table, image));
        let (positions, squares) = (OnceLock::new(), OnceLock::new());
        Self { packing, table, choice, positions, squares }
    }

    /// The order of the weights.
    #[must_use]
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// What reads what.
    #[must_use]
    pub fn gather_table(&self) -> &GatherTable {
        &self.table
    }

    /// How many numbers a panel's x has.
    #[must_use]
    pub fn input_size<T: Real>(&self) -> usize {
        self.packing.inner() * self.table.source_positions() * T::LANES
    }

    /// How many numbers a panel's y has before it is pooled.
    #[must_use]
    pub fn output_size<T: Real>(&self) -> usize {
        self.packing.rows() * self.table.positions() * T::LANES
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

    /// y = epilogue(w x) for some panels. x is `[panel][inner][source position][lane]`, y is
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
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        self.check(weights, panels, x, epilogue, y);
        if let Some(choice) = self.choice {
            let mut left = Vec::new();
            let images = Winograd { packing: &self.packing, weights, choice, panels, x, epilogue };
            images.run(isa, y, &mut left);
            let columns = epilogue.output_columns(self.table.positions());
            for columns_left in left.chunk_by(|a, b| a / columns == b / columns) {
                let panel = columns_left[0] / columns;
                let some = columns_left.iter().map(|column| column % columns).collect();
                let columns = MicroTiles::some(&self.table, epilogue.pool(), some);
                self.by_terms(isa, weights.packed, panel, x, epilogue, y, &columns);
            }
        } else if self.table.is_identity() {
            self.by_panels(isa, weights.packed, panels, x, epilogue, y);
        } else {
            let columns = self.columns(epilogue.pool());
            for panel in 0..panels {
                self.by_terms(isa, weights.packed, panel, x, epilogue, y, &columns);
            }
        }
    }

    /// All columns.
    fn columns(&self, pool: Option<Pool2x2>) -> Cow<'_, MicroTiles> {
        let Some(pool) = pool else {
            return Cow::Borrowed(
                self.positions.get_or_init(|| MicroTiles::positions(&self.table)),
            );
        };
        let (first, squares) =
            self.squares.get_or_init(|| (pool, MicroTiles::squares(&self.table, pool)));
        if *first == pool {
            return Cow::Borrowed(squares);
        }
        Cow::Owned(MicroTiles::squares(&self.table, pool))
    }

    /// Where there is one position, panels are worked on as positions are, by so few channels at a
    /// time that their numbers stay in the first cache while all rows pass over them.
    fn by_panels<T: Real>(
        &self,
        isa: Isa,
        weights: &[T],
        panels: usize,
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        let (read, made) = (self.input_size::<T>(), self.output_size::<T>());
        let (rows, inner) = (self.packing.rows(), self.packing.inner());
        let deep = inner.div_ceil(inner.div_ceil(DEPTH).max(1)).max(1);
        for first in (0..panels).step_by(MAX_POINTWISE) {
            let some = MAX_POINTWISE.min(panels - first);
            let places = first * made..(first + some) * made;
            let (table, columns) = pointwise(some);
            let epilogue = epilogue.restrict(0..rows, places.clone());
            // Without any channel, sums are still to be finished.
            for start in (0..inner.max(1)).step_by(deep) {
                let depth = start..inner.min(start + deep);
                let epilogue = match (epilogue, depth.end == inner) {
                    (Epilogue::Overwrite(_), false) if start == 0 => Epilogue::plain(),
                    (_, false) => Epilogue::Accumulate,
                    (Epilogue::Overwrite(store), true) if start > 0 => Epilogue::CompleteSum(store),
                    (epilogue, true) => epilogue,
                };
                T::dispatch(
                    isa,
                    DirectProduct {
                        packing: &self.packing,
                        weights,
                        table,
                        depth,
                        x: &x[first * read..][..some * read],
                        epilogue: &epilogue,
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
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
        columns: &MicroTiles,
    ) {
        let (read, summed) = (self.input_size::<T>(), self.output_size::<T>());
        let made = self.packing.rows() * epilogue.output_columns(self.table.positions()) * T::LANES;
        let x = &x[panel * read..][..read];
        let gathered = by_position(x, self.packing.inner(), self.table.source_positions());
        T::dispatch(
            isa,
            DirectProduct {
                packing: &self.packing,
                weights,
                table: &self.table,
                depth: 0..self.packing.inner(),
                x: gathered.as_deref().unwrap_or(x),
                epilogue: &epilogue
                    .restrict(0..self.packing.rows(), panel * summed..(panel + 1) * summed),
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
        epilogue: &Epilogue<'_, T>,
        y: &[T],
    ) {
        let rows = self.packing.rows();
        assert_eq!(weights.packed.len(), self.packing.len(), "weights");
        let prepared = weights.prepared.len();
        assert!(prepared == 0 || prepared == self.prepared_len(), "prepared weights");
        assert_eq!(x.len(), panels * self.input_size::<T>(), "x");
        assert_eq!(
            y.len(),
            panels * rows * epilogue.output_columns(self.table.positions()) * T::LANES,
            "y"
        );
        if let Epilogue::Overwrite(store) | Epilogue::CompleteSum(store) = epilogue {
            assert!(store.scale.is_none_or(|scale| scale.len() == rows), "scale");
            assert!(store.shift.is_none_or(|shift| shift.len() == rows), "shift");
            let sums = panels * self.output_size::<T>();
            assert!(store.residual.is_none_or(|residual| residual.len() == sums), "residual");
            let positions = self.table.positions();
            assert!(store.pool.is_none_or(|pool| pool.positions() == positions), "positions");
        }
    }
}
