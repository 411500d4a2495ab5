//! Windows that slide over images: those of convolutions and of pooling.

use crate::error::{Error, require};
use crate::network::kernel::GatherTable;
use crate::network::shape::Shape;

/// More entries than the windows of any network have; keeps malformed graphs from asking for memory.
const LARGEST: usize = 1 << 24;

/// A window, its steps, and the padding around the image; height first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

/// One axis of a window's way over an image.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    /// How many places the window has.
    places: usize,
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
        let places = (padded - span) / stride + 1;
        Ok(Self { size, kernel, stride, padding, dilation, places })
    }

    /// What the window sees at a place; no sum overflows, for all lie within the padded axis.
    fn source(&self, place: usize, tap: usize) -> Option<usize> {
        let padded = place * self.stride + tap * self.dilation;
        padded.checked_sub(self.padding).filter(|&source| source < self.size)
    }
}

impl Window {
    /// Which positions every place of the window sees, by taps, and how many places each axis has.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a window that does not fit the image, and for too many entries.
    pub fn taps(&self, image: Shape) -> Result<(GatherTable, [usize; 2]), Error> {
        let height = Axis::new(self, 0, image.height)?;
        let width = Axis::new(self, 1, image.width)?;
        let count = height.kernel.checked_mul(width.kernel);
        let positions = height.places.checked_mul(width.places);
        let entries = |positions: usize| count.and_then(|count| count.checked_mul(positions));
        require!(
            [positions.and_then(entries), entries(image.positions())]
                .iter()
                .all(|entries| entries.is_some_and(|entries| entries <= LARGEST)),
            "got a window of {:?} at {:?} places; pass fewer than {LARGEST} entries in all",
            self.kernel,
            [height.places, width.places]
        );
        let mut sources = Vec::new();
        for (y, x) in pairs(height.places, width.places) {
            for (tap_y, tap_x) in pairs(height.kernel, width.kernel) {
                let row = height.source(y, tap_y);
                let source = row.zip(width.source(x, tap_x));
                sources.push(source.map(|(row, column)| row * image.width + column));
            }
        }
        let places = [height.places, width.places];
        Ok((GatherTable::new(places[0] * places[1], sources, image.positions())?, places))
    }
}

/// All pairs of indices, the second one fastest.
fn pairs(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// What windows see of the image, without the padding.
pub(super) struct Views {
    /// Where each window's sources start, and where the last one's end.
    starts: Vec<usize>,
    sources: Vec<usize>,
    image_positions: usize,
}

impl Views {
    /// The windows of pooling over images of this shape, and the shape of what it makes.
    ///
    /// # Errors
    /// As for [`Window::taps`], and for padding that a window could lie in as a whole.
    pub fn new(window: &Window, image: Shape) -> Result<(Self, Shape), Error> {
        let most = window.kernel.map(|kernel| kernel / 2);
        require!(
            window.padding[0] <= most[0] && window.padding[1] <= most[1],
            "got a padding of {:?} for a kernel of {:?}; pass at most half of it",
            window.padding,
            window.kernel
        );
        let (table, [height, width]) = window.taps(image)?;
        let mut views =
            Self { starts: vec![0], sources: Vec::new(), image_positions: image.positions() };
        for position in 0..table.positions() {
            let seen = (0..table.taps()).filter_map(|tap| table.source(position, tap));
            views.sources.extend(seen);
            require!(
                views.sources.len() > views.starts[position],
                "got a window that sees nothing but padding at position {position}; pass less of it"
            );
            views.starts.push(views.sources.len());
        }
        Ok((views, Shape::new(image.channels, height, width)?))
    }

    /// How many windows there are.
    pub fn positions(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many positions they look at.
    pub fn image_positions(&self) -> usize {
        self.image_positions
    }

    /// Where each window's sources start, and where the last one's end; and all sources.
    pub fn table(&self) -> (&[usize], &[usize]) {
        (&self.starts, &self.sources)
    }

    /// What each window sees, in the order of its entries.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.starts.windows(2).map(|ends| &self.sources[ends[0]..ends[1]])
    }
}
