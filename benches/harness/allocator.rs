//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use rkllm_bench::ffi::sys;

/// Number of allocations whose time is recorded. One inference makes a few dozen.
const ROOM: usize = 4096;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static STAMPS: [AtomicU64; ROOM] = [const { AtomicU64::new(0) }; ROOM];

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// What a piece of work did to the heap.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Bytes still allocated after it.
    pub(crate) kept_bytes: usize,
    /// Peak of allocated bytes during it.
    pub(crate) peak_bytes: usize,
    /// When its thread allocated or grew something, `CLOCK_MONOTONIC` nanoseconds.
    pub(crate) stamps_ns: Vec<u64>,
}

/// Counts the allocations of `work`: bytes of all threads, times of the calling thread.
pub(crate) fn watch<T>(work: impl FnOnce() -> T) -> (T, Seen) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    COUNT.store(0, Relaxed);
    IS_WATCHED.set(true);
    let value = work();
    IS_WATCHED.set(false);
    let kept_bytes = LIVE.load(Relaxed).saturating_sub(before);
    let peak_bytes = PEAK.load(Relaxed).saturating_sub(before);
    let count = COUNT.load(Relaxed);
    assert!(count <= ROOM, "{count} allocations: their times found no room");
    let stamps_ns = STAMPS[..count].iter().map(|stamp| stamp.load(Relaxed)).collect();
    let seen = Seen {
        kept_bytes,
        peak_bytes,
        stamps_ns,
    };
    (value, seen)
}

fn grown(by: usize) {
    let live = LIVE.fetch_add(by, Relaxed) + by;
    PEAK.fetch_max(live, Relaxed);
    if IS_WATCHED.get() {
        // SAFETY: reads a clock.
        let now_ns = unsafe { sys::rkb_now_ns() };
        if let Some(stamp) = STAMPS.get(COUNT.fetch_add(1, Relaxed)) {
            stamp.store(now_ns, Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator with what the caller vouched for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        grown(new_size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
