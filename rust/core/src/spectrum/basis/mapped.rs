//! A memory-mapped file of numbers.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

use crate::error::Error;
use crate::scalar::Scalar;

/// A file of numbers of `S`, mapped into memory.
pub(super) struct Mapped {
    map: MmapMut,
}

impl Mapped {
    /// Creates a file of `rows` times `dim` zeros, replacing an existing one.
    ///
    /// Its blocks are reserved on the disk: a write to a mapped page that does not fit on the disk is no
    /// error but a signal that ends the process.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file cannot be created, or the disk is full.
    #[expect(unsafe_code, reason = "another process could change a mapped file")]
    pub(super) fn new<S: Scalar>(path: &Path, dim: usize, rows: usize) -> Result<Self, Error> {
        let count = dim.checked_mul(rows).and_then(|count| count.checked_mul(size_of::<S>()));
        let bytes = count.filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(|| {
            Error::Memory(format!(
                "a basis of {rows} vectors of {dim} entries does not fit into the address space; \
                 ask for less"
            ))
        })?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let map = file.and_then(|file| {
            reserve(&file, bytes as u64)?;
            // SAFETY: no other process may modify the file, as `Basis::new` demands.
            unsafe { MmapOptions::new().len(bytes).map_mut(&file) }
        });
        map.map(|map| Self { map }).map_err(|cause| {
            Error::Invalid(format!(
                "cannot keep {bytes} bytes of basis in {}: {cause}; pass a file that can be written \
                 on a larger disk, or keep the basis in memory",
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

/// Gives a new file its size, with all its blocks on the disk.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no call that reserves blocks")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is that of an open file.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Gives a new file its size, with all its blocks on the disk.
#[cfg(not(target_os = "linux"))]
fn reserve(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).map(drop)
}
