//! Numbers that lie in a file instead of in memory.

use std::fs::OpenOptions;
use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

use crate::error::Error;
use crate::scalar::Scalar;

/// A file of numbers of `S`, mapped into memory.
pub(super) struct Mapped {
    map: MmapMut,
}

impl Mapped {
    /// A new file of `count` zeros; one that lay there is replaced.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file cannot be made.
    #[expect(unsafe_code, reason = "a map is unsafe because others could change the file")]
    pub(super) fn new<S: Scalar>(path: &Path, count: usize) -> Result<Self, Error> {
        let bytes = count * size_of::<S>();
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let made = made.and_then(|file| {
            file.set_len(bytes as u64)?;
            // SAFETY: the file is this basis's own, as its documentation demands.
            unsafe { MmapOptions::new().len(bytes).map_mut(&file) }
        });
        made.map(|map| Self { map }).map_err(|cause| {
            Error::Invalid(format!(
                "cannot keep {bytes} bytes of basis in {}: {cause}; pass a file that can be written \
                 on a disk with room, or keep the basis in memory",
                path.display()
            ))
        })
    }

    #[expect(unsafe_code, reason = "bytes read as numbers")]
    pub(super) fn numbers<S: Scalar>(&self) -> &[S] {
        // SAFETY: Scalar is sealed to f32 and f64, of which every bit pattern is a value; what lies
        // before the first aligned byte is empty, because a map begins at a page.
        unsafe { self.map.align_to().1 }
    }

    #[expect(unsafe_code, reason = "bytes written as numbers")]
    pub(super) fn numbers_mut<S: Scalar>(&mut self) -> &mut [S] {
        // SAFETY: as in `numbers`.
        unsafe { self.map.align_to_mut().1 }
    }
}
