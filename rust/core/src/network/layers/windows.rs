//! Sliding windows of convolutions and pooling.

use crate::error::{Error, require};
use crate::network::kernel::GatherTable;
use crate::network::shape::Shape;

/// The largest number of window entries: malformed graphs must not allocate without bound.
const MAX_ENTRIES: usize = 1 << 24;

/// A window with its stride, padding and dilation; height first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

/// One axis of a sliding window.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    /// The number of window positions.
    window_positions: usize,
}

impl Axis {
    fn new(window: &Window, axis: usize, size: usize) -> Result<Self, Error> {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let (padding, dilation) = (window.padding[axis], window.dilation[axis]);
        require!(
            kernel > 0 && stride > 0 && dilation > 0,
            "got a kernel of {kernel}, a stride of {stride} and a dilation of {dilation}; \
             pass positive numbers"
        );
        let span = (kernel - 1).checked_mul(dilation).and_then(|span| span.checked_add(1));
        let padded = padding.checked_mul(2).and_then(|padding| padding.checked_add(size));
        let (Some(span), Some(padded)) = (span, padded) else {
            return Err(Error::Invalid(format!(
                "got a kernel of {kernel}, a dilation of {dilation} and a padding of {padding}; \
                 pass smaller numbers"
            )));
        };
        require!(
            span <= padded,
            "got a kernel that covers {span} of {padded} padded positions; pass a smaller one"
        );
        let window_positions = (padded - span) / stride + 1;
        Ok(Self { size, kernel, stride, padding, dilation, window_positions })
    }

    /// The source of a window position through a tap. No sum overflows: all lie within the padded axis.
    fn source(&self, position: usize, tap: usize) -> Option<usize> {
        let padded = position * self.stride + tap * self.dilation;
        padded.checked_sub(self.padding).filter(|&source| source < self.size)
    }
}

impl Window {
    /// The gather table of the window, and the number of window positions of each axis.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a window that does not fit the image, and for too many entries.
    pub fn gather_table(&self, image: Shape) -> Result<(GatherTable, [usize; 2]), Error> {
        let height = Axis::new(self, 0, image.height)?;
        let width = Axis::new(self, 1, image.width)?;
        let count = height.kernel.checked_mul(width.kernel);
        let positions = height.window_positions.checked_mul(width.window_positions);
        let entries = |positions: usize| count.and_then(|count| count.checked_mul(positions));
        require!(
            [positions.and_then(entries), entries(image.positions())]
                .iter()
                .all(|entries| entries.is_some_and(|entries| entries <= MAX_ENTRIES)),
            "got a window of {:?} at {:?} window_positions; pass fewer than {MAX_ENTRIES} entries in all",
            self.kernel,
            [height.window_positions, width.window_positions]
        );
        let mut sources = Vec::new();
        for (y, x) in pairs(height.window_positions, width.window_positions) {
            for (tap_y, tap_x) in pairs(height.kernel, width.kernel) {
                let row = height.source(y, tap_y);
                let source = row.zip(width.source(x, tap_x));
                sources.push(source.map(|(row, column)| row * image.width + column));
            }
        }
        let window_positions = [height.window_positions, width.window_positions];
        Ok((
            GatherTable::new(
                window_positions[0] * window_positions[1],
                sources,
                image.positions(),
            )?,
            window_positions,
        ))
    }
}

/// All pairs of indices, the second one fastest.
fn pairs(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// The sources of every window, without the padding.
pub(super) struct Views {
    /// The offset of each window's sources, and the total.
    starts: Vec<usize>,
    sources: Vec<usize>,
    image_positions: usize,
}

impl Views {
    /// The pooling windows over images of this shape, and the shape of the output.
    ///
    /// # Errors
    /// As for [`Window::gather_table`], and for padding that could contain a whole window.
    pub fn new(window: &Window, image: Shape) -> Result<(Self, Shape), Error> {
        let max = window.kernel.map(|kernel| kernel / 2);
        require!(
            window.padding[0] <= max[0] && window.padding[1] <= max[1],
            "got a padding of {:?} for a kernel of {:?}; pass at most half of it",
            window.padding,
            window.kernel
        );
        let (table, [height, width]) = window.gather_table(image)?;
        let mut views =
            Self { starts: vec![0], sources: Vec::new(), image_positions: image.positions() };
        for position in 0..table.positions() {
            let sources = (0..table.taps()).filter_map(|tap| table.source(position, tap));
            views.sources.extend(sources);
            require!(
                views.sources.len() > views.starts[position],
                "got a window that sees nothing but padding at position {position}; pass less of it"
            );
            views.starts.push(views.sources.len());
        }
        Ok((views, Shape::new(image.channels, height, width)?))
    }

    /// The number of windows.
    pub fn positions(&self) -> usize {
        self.starts.len() - 1
    }

    /// Positions of the image.
    pub fn image_positions(&self) -> usize {
        self.image_positions
    }

    /// The offsets of the windows' sources with the total, and all sources.
    pub fn table(&self) -> (&[usize], &[usize]) {
        (&self.starts, &self.sources)
    }

    /// The sources of each window, in the order of its entries.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.starts.windows(2).map(|ends| &self.sources[ends[0]..ends[1]])
    }
}
