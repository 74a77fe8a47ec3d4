//! zstd in memory that we own: it never allocates, whatever happens to the machine.
//!
//! The default context for level 3 takes 1.3 MB. Our inputs are small and of one kind (columns of
//! small differences), so small tables lose nothing: measured on recorded samples, these 63 KiB
//! compress bodies of 100 KB and of 4 KB better than stock level 9, and the best that 225 KiB
//! could do was 0.8 % smaller.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use memmap2::MmapMut;
use zstd::zstd_safe::zstd_sys as zstd;

/// What is called a log is a power of two.
const PARAMETERS: zstd::ZSTD_compressionParameters = zstd::ZSTD_compressionParameters {
    windowLog: 13,
    chainLog: 10,
    hashLog: 10,
    searchLog: 4,
    minMatch: 4,
    targetLength: 0,
    strategy: zstd::ZSTD_strategy::ZSTD_lazy2,
};

/// A zstd compressor whose whole state lies in one mapping.
#[derive(Debug)]
pub struct StaticCompressor {
    context: NonNull<zstd::ZSTD_CCtx>,
    /// Holds what `context` points to; never touched by anybody else.
    _workspace: MmapMut,
}

// SAFETY: the context is reached only through `&mut self`, and its memory moves along with it (a
// mapping stays at its address when its handle moves). zstd ties no context to a thread.
unsafe impl Send for StaticCompressor {}

impl StaticCompressor {
    /// Maps all the memory that it will ever use. See zstd.h, "Memory management" and
    /// `ZSTD_initStaticCCtx`.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes its parameters by value and computes.
        let size = unsafe { zstd::ZSTD_estimateCCtxSize_usingCParams(PARAMETERS) };
        let mut workspace = MmapMut::map_anon(size)?;
        let start: *mut c_void = workspace.as_mut_ptr().cast();
        // SAFETY: the mapping is page-aligned, as long as said, exclusively ours, and is kept
        // alive by the value that is returned.
        let context = unsafe { zstd::ZSTD_initStaticCCtx(start, workspace.len()) };
        let refused = || io::Error::other("zstd refused its workspace: a bug in flightrecd");
        let context = NonNull::new(context).ok_or_else(refused)?;
        let mut compressor = Self { context, _workspace: workspace };
        if compressor.configure() { Ok(compressor) } else { Err(refused()) }
    }

    /// Compresses `src` into one zstd frame. `None`: it does not fit into `dst`. See zstd.h,
    /// `ZSTD_compress2`.
    pub fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        // SAFETY: the context is alive, and each pointer comes with the length of its slice.
        let answer = unsafe {
            zstd::ZSTD_compress2(
                self.context.as_ptr(),
                dst.as_mut_ptr().cast(),
                dst.len(),
                src.as_ptr().cast(),
                src.len(),
            )
        };
        succeeded(answer).then_some(answer)
    }

    fn configure(&mut self) -> bool {
        use zstd::ZSTD_cParameter as Parameter;
        let settings = [
            (Parameter::ZSTD_c_windowLog, PARAMETERS.windowLog),
            (Parameter::ZSTD_c_chainLog, PARAMETERS.chainLog),
            (Parameter::ZSTD_c_hashLog, PARAMETERS.hashLog),
            (Parameter::ZSTD_c_searchLog, PARAMETERS.searchLog),
            (Parameter::ZSTD_c_minMatch, PARAMETERS.minMatch),
            (Parameter::ZSTD_c_targetLength, PARAMETERS.targetLength),
            #[allow(clippy::as_conversions, reason = "the number of a C enum")]
            (Parameter::ZSTD_c_strategy, PARAMETERS.strategy as u32),
            (Parameter::ZSTD_c_contentSizeFlag, 1),
            // Frames have checksums of their own.
            (Parameter::ZSTD_c_checksumFlag, 0),
            (Parameter::ZSTD_c_dictIDFlag, 0),
        ];
        settings.into_iter().all(|(parameter, value)| {
            let Ok(value) = value.try_into() else { return false };
            // SAFETY: the context is alive, and the call takes no other pointer.
            succeeded(unsafe {
                zstd::ZSTD_CCtx_setParameter(self.context.as_ptr(), parameter, value)
            })
        })
    }
}

fn succeeded(answer: usize) -> bool {
    // SAFETY: takes a number and compares.
    unsafe { zstd::ZSTD_isError(answer) == 0 }
}
