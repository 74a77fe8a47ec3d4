//! The beginning of what zstd has compressed, unpacked in memory that we own: it never allocates, and
//! whatever a frame says of its own size is not believed.
//!
//! Block by block, and no further than is wanted: the first block holds 128 KiB at most, whatever is
//! behind it. It takes 94 KiB of state and 160 KiB of buffers.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use memmap2::MmapMut;
use zstd::zstd_safe::zstd_sys as zstd;

/// Most bytes of a frame that are looked at. What compresses as badly as to need more for its first
/// block is told by its size.
pub const PACKED_LEN_MAX: usize = 32 << 10;

/// Most that a block becomes (RFC 8878, 3.1.1.2.3).
const BLOCK_LEN_MAX: usize = 128 << 10;

/// A zstd decompressor whose whole state lies in mappings of its own.
#[derive(Debug)]
pub struct StaticDecompressor {
    context: NonNull<zstd::ZSTD_DCtx>,
    /// Holds what `context` points to; never touched by anybody else.
    _workspace: MmapMut,
    packed: MmapMut,
    plain: MmapMut,
}

// SAFETY: the context is reached only through `&mut self`, and its memory moves along with it (a
// mapping stays at its address when its handle moves). zstd ties no context to a thread.
unsafe impl Send for StaticDecompressor {}

impl StaticDecompressor {
    /// Maps all the memory that it will ever use. See zstd.h, `ZSTD_initStaticDCtx`.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes nothing and computes.
        let size = unsafe { zstd::ZSTD_estimateDCtxSize() };
        let mut workspace = MmapMut::map_anon(size)?;
        let start: *mut c_void = workspace.as_mut_ptr().cast();
        // SAFETY: the mapping is page-aligned, as long as said, exclusively ours, and is kept
        // alive by the value that is returned.
        let context = unsafe { zstd::ZSTD_initStaticDCtx(start, workspace.len()) };
        let refused = || io::Error::other("zstd refused its workspace: a bug in flightrecd");
        Ok(Self {
            context: NonNull::new(context).ok_or_else(refused)?,
            _workspace: workspace,
            packed: MmapMut::map_anon(PACKED_LEN_MAX)?,
            plain: MmapMut::map_anon(BLOCK_LEN_MAX)?,
        })
    }

    /// Where a frame is to be put, or the beginning of it.
    pub fn packed(&mut self) -> &mut [u8] {
        &mut self.packed
    }

    /// The beginning of what `len` bytes in [`Self::packed`] stand for: as much as is `wanted`, or
    /// all of it, or all that can be had. See zstd.h, "Buffer-less streaming decompression".
    pub fn unpack(&mut self, len: usize, wanted: usize) -> Option<&[u8]> {
        // SAFETY: the context is alive, and the call takes no other pointer.
        if !succeeded(unsafe { zstd::ZSTD_decompressBegin(self.context.as_ptr()) }) {
            return None;
        }
        let mut source = self.packed.get(..len)?;
        let mut written = 0;
        while written < wanted {
            // SAFETY: the context is alive, and the call takes no other pointer.
            let next = unsafe { zstd::ZSTD_nextSrcSizeToDecompress(self.context.as_ptr()) };
            if next == 0 {
                break;
            }
            let Some((part, rest)) = source.split_at_checked(next) else { break };
            let Some(room) = self.plain.get_mut(written..) else { break };
            // SAFETY: the context is alive, and each pointer comes with the length of its slice. What
            // was written before lies in front of `room` in the same mapping, as the call demands.
            let answer = unsafe {
                zstd::ZSTD_decompressContinue(
                    self.context.as_ptr(),
                    room.as_mut_ptr().cast(),
                    room.len(),
                    part.as_ptr().cast(),
                    part.len(),
                )
            };
            if !succeeded(answer) {
                break;
            }
            written = written.saturating_add(answer);
            source = rest;
        }
        self.plain.get(..written).filter(|plain| !plain.is_empty())
    }
}

fn succeeded(answer: usize) -> bool {
    // SAFETY: takes a number and compares.
    unsafe { zstd::ZSTD_isError(answer) == 0 }
}
