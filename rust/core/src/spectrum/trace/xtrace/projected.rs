//! The projected matrices of XTrace, from which its estimates are computed without long vectors.

use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::vector::inner_product;

type Square = Vec<Vec<f64>>;

/// Square matrices with a row and a column for every vector.
#[derive(Default)]
pub(super) struct ProjectedMatrices {
    /// Column j holds the coefficients of Aωⱼ in Q: entries 0 to j.
    r: Square,
    /// QᵀAQ, Qᵀω and (AQ)ᵀω, by rows.
    h: Square,
    w: Square,
    t: Square,
    /// ωᵀAω.
    forms: Vec<f64>,
}

impl ProjectedMatrices {
    /// Extends the matrices by the rows and columns of new vectors.
    pub fn extend<S: Scalar>(
        &mut self,
        vectors: &Basis<S>,
        basis: &Basis<S>,
        images: &Basis<S>,
        columns: Square,
        forms: Vec<f64>,
    ) {
        self.r.extend(columns);
        self.forms.extend(forms);
        let all = basis.len();
        extend_matrix(&mut self.h, all, |i, j| inner_product(basis.row(i), images.row(j)));
        extend_matrix(&mut self.w, all, |i, j| inner_product(basis.row(i), vectors.row(j)));
        extend_matrix(&mut self.t, all, |i, j| inner_product(images.row(i), vectors.row(j)));
    }

    /// tr(QᵀAQ), and the sum of the absolute values of its terms.
    pub fn exact_trace(&self) -> (f64, f64) {
        let diagonal = || self.h.iter().enumerate().map(|(i, row)| row[i]);
        (diagonal().sum(), diagonal().map(f64::abs).sum())
    }

    /// XTrace's estimate in `dim` dimensions, and its jackknife standard error.
    pub fn estimate(&self, dim: usize) -> (f64, f64) {
        let jackknife = Jackknife::new(self, dim);
        let m = self.r.len();
        let mean = |terms: &mut dyn Iterator<Item = f64>, n: usize| terms.sum::<f64>() / n as f64;
        let value = mean(&mut (0..m).map(|i| jackknife.without(i)), m);
        let without = |j: usize| {
            let others = (0..m).filter(|&i| i != j);
            mean(&mut others.map(|i| jackknife.without_both(i, j)), m - 1)
        };
        let estimates: Vec<f64> = (0..m).map(without).collect();
        let centre = mean(&mut estimates.iter().copied(), m);
        let squares: f64 = estimates.iter().map(|x| (x - centre).powi(2)).sum();
        (value, (squares * (m - 1) as f64 / m as f64).sqrt())
    }

    /// Rows of unit vectors sᵢ with Qᵢ Qᵢᵀ = Q (1 − sᵢsᵢᵀ) Qᵀ: the columns of R⁻ᵀ.
    fn directions(&self) -> Square {
        let m = self.r.len();
        let solve = |i: usize| {
            // Rᵀ s = eᵢ, forwards.
            let mut s = vec![0.0; m];
            for j in i..m {
                let known: f64 = (i..j).map(|k| self.r[j][k] * s[k]).sum();
                s[j] = (f64::from(u8::from(i == j)) - known) / self.r[j][j];
            }
            let size = dot(&s, &s).sqrt();
            s.iter().map(|x| x / size).collect()
        };
        (0..m).map(solve).collect()
    }
}

/// The products that estimates without one or two of the vectors are computed from.
struct Jackknife<'a> {
    matrices: &'a ProjectedMatrices,
    dim: usize,
    trace: f64,
    /// sᵢᵀsⱼ, sᵢᵀHsⱼ, sᵢᵀwⱼ, sᵢᵀtⱼ and sᵢᵀHwⱼ.
    ss: Square,
    shs: Square,
    sw: Square,
    st: Square,
    shw: Square,
    /// wᵢᵀwᵢ, tᵢᵀwᵢ and wᵢᵀHwᵢ.
    ww: Vec<f64>,
    tw: Vec<f64>,
    whw: Vec<f64>,
}

impl<'a> Jackknife<'a> {
    fn new(matrices: &'a ProjectedMatrices, dim: usize) -> Self {
        let s = matrices.directions();
        let (w, t) = (transpose(&matrices.w), transpose(&matrices.t));
        let image =
            |rows: &Square| rows.iter().map(|row| multiply(&matrices.h, row)).collect::<Square>();
        let (hs, hw) = (image(&s), image(&w));
        let pairs = |x: &Square, y: &Square| {
            x.iter().map(|a| y.iter().map(|b| dot(a, b)).collect()).collect::<Square>()
        };
        let own = |x: &Square, y: &Square| x.iter().zip(y).map(|(a, b)| dot(a, b)).collect();
        Self {
            matrices,
            dim,
            trace: matrices.exact_trace().0,
            ss: pairs(&s, &s),
            shs: pairs(&s, &hs),
            sw: pairs(&s, &w),
            st: pairs(&s, &t),
            shw: pairs(&s, &hw),
            ww: own(&w, &w),
            tw: own(&t, &w),
            whw: own(&w, &hw),
        }
    }

    /// The estimate with ωᵢ as the sample and the images of all others as the sketch.
    fn without(&self, i: usize) -> f64 {
        let a = self.sw[i][i];
        let inside = self.ww[i] - a * a;
        let cross = self.tw[i] - a * self.st[i][i];
        let form = self.whw[i] - 2.0 * a * self.shw[i][i] + a * a * self.shs[i][i];
        self.term(i, self.shs[i][i], (inside, cross, form), 1)
    }

    /// The same without ωⱼ in the sketch: the component orthogonal to the orthonormal pair sⱼ and
    /// e = (sᵢ − g sⱼ)/c.
    fn without_both(&self, i: usize, j: usize) -> f64 {
        let g = self.ss[i][j];
        let c = (1.0 - g * g).sqrt();
        let e = |rows: &Square, k: usize| (rows[i][k] - g * rows[j][k]) / c;
        let (a, b) = (self.sw[j][i], e(&self.sw, i));
        let jj = self.shs[j][j];
        let je = (self.shs[i][j] - g * jj) / c;
        let ee = (self.shs[i][i] - 2.0 * g * self.shs[i][j] + g * g * jj) / (c * c);
        let inside = self.ww[i] - a * a - b * b;
        let cross = self.tw[i] - a * self.st[j][i] - b * e(&self.st, i);
        let form = self.whw[i] - 2.0 * (a * self.shw[j][i] + b * e(&self.shw, i))
            + a * a * jj
            + 2.0 * a * b * je
            + b * b * ee;
        self.term(i, jj + ee, (inside, cross, form), 2)
    }

    /// tr(QᵀAQ) minus the omitted part, plus the sample's form orthogonal to the remaining sketch.
    fn term(
        &self,
        i: usize,
        omitted: f64,
        (inside, cross, form): (f64, f64, f64),
        count: usize,
    ) -> f64 {
        let complement = self.dim - (self.matrices.r.len() - count);
        let scale = complement as f64 / (self.dim as f64 - inside);
        self.trace - omitted + scale * (self.matrices.forms[i] - 2.0 * cross + form)
    }
}

/// Extends a square matrix to `order` rows and columns.
fn extend_matrix(matrix: &mut Square, order: usize, entry: impl Fn(usize, usize) -> f64) {
    matrix.resize_with(order, Vec::new);
    for (i, row) in matrix.iter_mut().enumerate() {
        for j in row.len()..order {
            row.push(entry(i, j));
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn multiply(matrix: &Square, x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, x)).collect()
}

fn transpose(matrix: &Square) -> Square {
    (0..matrix.len()).map(|j| matrix.iter().map(|row| row[j]).collect()).collect()
}
