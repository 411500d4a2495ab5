//! A product of weights and panels, by direct summation or Winograd's algorithm.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::direct::{DirectProduct, OutputOrder, pack_by_position};
use super::epilogue::Epilogue;
use super::gather_table::GatherTable;
use super::micro_tile::{MAX_POINTWISE, MicroTiles, pointwise};
use super::packing::{Packing, Weights};
use super::pool2x2::Pool2x2;
use super::real::Real;
use super::winograd::{Choice, Winograd};
use crate::isa::Isa;

/// Channels of several positions that stay in the L1 cache.
const BLOCK_DEPTH: usize = 128;

/// y[row][p] = Σ_{tap, c} w[row][tap][c] x[c][source(p, tap)].
///
/// Taps that read padding add nothing. 3 × 3 convolutions use Winograd's algorithm where it is cheaper;
/// all other products sum over taps and then over channels.
#[derive(Clone, Debug)]
pub struct Contraction {
    packing: Packing,
    table: GatherTable,
    choice: Option<Choice>,
    /// The tiles of all positions, built at first use.
    positions: OnceLock<MicroTiles>,
    /// The tiles of the pooling windows of the first pooled call; later calls rarely differ.
    squares: OnceLock<(Pool2x2, MicroTiles)>,
}

impl Contraction {
    /// A product of `inner` channels with `rows` rows of weights.
    #[must_use]
    pub fn new(rows: usize, inner: usize, table: GatherTable) -> Self {
        let packing = Packing::new(rows, table.taps(), inner);
        let choice = table.image().and_then(|image| Choice::new(&packing, &table, image));
        let (positions, squares) = (OnceLock::new(), OnceLock::new());
        Self { packing, table, choice, positions, squares }
    }

    /// The layout of the weights.
    #[must_use]
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// The gather table.
    #[must_use]
    pub fn gather_table(&self) -> &GatherTable {
        &self.table
    }

    /// Numbers of x in a panel.
    #[must_use]
    pub fn input_size<T: Real>(&self) -> usize {
        self.packing.inner() * self.table.source_positions() * T::LANES
    }

    /// Numbers of y in a panel before pooling.
    #[must_use]
    pub fn output_size<T: Real>(&self) -> usize {
        self.packing.rows() * self.table.positions() * T::LANES
    }

    /// The length of prepared weights; 0 where the packed ones are used directly.
    #[must_use]
    pub fn prepared_len(&self) -> usize {
        self.choice.map_or(0, |choice| choice.prepared_len(&self.packing))
    }

    /// Prepares weights for repeated use.
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
    /// `[panel][row][position][lane]`, and so is the residual of the epilogue.
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
            let mut skipped = Vec::new();
            let images = Winograd { packing: &self.packing, weights, choice, panels, x, epilogue };
            images.run(isa, y, &mut skipped);
            let columns = epilogue.output_columns(self.table.positions());
            for columns_skipped in skipped.chunk_by(|a, b| a / columns == b / columns) {
                let panel = columns_skipped[0] / columns;
                let in_panel = columns_skipped.iter().map(|column| column % columns).collect();
                let columns = MicroTiles::subset(&self.table, epilogue.pool(), in_panel);
                self.multiply_direct(isa, weights.packed, panel, x, epilogue, y, &columns);
            }
        } else if self.table.is_identity() {
            self.multiply_across_panels(isa, weights.packed, panels, x, epilogue, y);
        } else {
            let columns = self.columns(epilogue.pool());
            for panel in 0..panels {
                self.multiply_direct(isa, weights.packed, panel, x, epilogue, y, &columns);
            }
        }
    }

    /// The tiles of all columns.
    fn columns(&self, pool: Option<Pool2x2>) -> Cow<'_, MicroTiles> {
        let Some(pool) = pool else {
            return Cow::Borrowed(
                self.positions.get_or_init(|| MicroTiles::positions(&self.table)),
            );
        };
        let (first, squares) =
            self.squares.get_or_init(|| (pool, MicroTiles::windows(&self.table, pool)));
        if *first == pool {
            return Cow::Borrowed(squares);
        }
        Cow::Owned(MicroTiles::windows(&self.table, pool))
    }

    /// A product with one position: panels take the role of positions, in blocks of so few channels
    /// that their numbers stay in the L1 cache while all rows read them.
    fn multiply_across_panels<T: Real>(
        &self,
        isa: Isa,
        weights: &[T],
        panels: usize,
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) {
        let (x_size, y_size) = (self.input_size::<T>(), self.output_size::<T>());
        let (rows, inner) = (self.packing.rows(), self.packing.inner());
        let block_depth = inner.div_ceil(inner.div_ceil(BLOCK_DEPTH).max(1)).max(1);
        for first in (0..panels).step_by(MAX_POINTWISE) {
            let count = MAX_POINTWISE.min(panels - first);
            let sums = first * y_size..(first + count) * y_size;
            let (table, columns) = pointwise(count);
            let epilogue = epilogue.restrict(0..rows, sums.clone());
            // The epilogue runs even if there are no channels.
            for start in (0..inner.max(1)).step_by(block_depth) {
                let depth = start..inner.min(start + block_depth);
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
                        x: &x[first * x_size..][..count * x_size],
                        epilogue: &epilogue,
                        y: &mut y[sums.clone()],
                        order: OutputOrder::ByColumn,
                        columns,
                    },
                );
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a panel, and a subset of its columns")]
    fn multiply_direct<T: Real>(
        &self,
        isa: Isa,
        weights: &[T],
        panel: usize,
        x: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
        columns: &MicroTiles,
    ) {
        let (x_size, sums_size) = (self.input_size::<T>(), self.output_size::<T>());
        let y_size =
            self.packing.rows() * epilogue.output_columns(self.table.positions()) * T::LANES;
        let x = &x[panel * x_size..][..x_size];
        let packed_x = pack_by_position(x, self.packing.inner(), self.table.source_positions());
        T::dispatch(
            isa,
            DirectProduct {
                packing: &self.packing,
                weights,
                table: &self.table,
                depth: 0..self.packing.inner(),
                x: packed_x.as_deref().unwrap_or(x),
                epilogue: &epilogue
                    .restrict(0..self.packing.rows(), panel * sums_size..(panel + 1) * sums_size),
                y: &mut y[panel * y_size..][..y_size],
                order: OutputOrder::ByRow,
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
