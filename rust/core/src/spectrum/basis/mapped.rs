//! A memory-mapped file of numbers.

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
    /// Creates a file of `count` zeros, replacing an existing one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file cannot be created.
    #[expect(unsafe_code, reason = "another process could change a mapped file")]
    pub(super) fn new<S: Scalar>(path: &Path, count: usize) -> Result<Self, Error> {
        let bytes = count * size_of::<S>();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let map = file.and_then(|file| {
            file.set_len(bytes as u64)?;
            // SAFETY: no other process may modify the file, as `Basis::new` demands.
            unsafe { MmapOptions::new().len(bytes).map_mut(&file) }
        });
        map.map(|map| Self { map }).map_err(|cause| {
            Error::Invalid(format!(
                "cannot keep {bytes} bytes of basis in {}: {cause}; pass a file that can be written \
                 on a disk with room, or keep the basis in memory",
                path.display()
            ))
        })
    }

    #[expect(unsafe_code, reason = "bytes read as numbers")]
    pub(super) fn numbers<S: Scalar>(&self) -> &[S] {
        // SAFETY: Scalar is sealed to f32 and f64, for which every bit pattern is valid; the
        // unaligned prefix is empty, because a map starts at a page.
        unsafe { self.map.align_to().1 }
    }

    #[expect(unsafe_code, reason = "bytes written as numbers")]
    pub(super) fn numbers_mut<S: Scalar>(&mut self) -> &mut [S] {
        // SAFETY: as in `numbers`.
        unsafe { self.map.align_to_mut().1 }
    }
}
