//! Reads that begin long before they are needed.
//!
//! A table larger than the caches is read one miss at a time, unless the processor is told beforehand
//! where it will be looked into. [`prefetch`] tells it: nothing waits for the answer.

#![allow(
    unsafe_code,
    reason = "an instruction that takes an address; benches/shard.rs"
)]

/// Brings the element at this index into the cache, if there is one.
#[inline(always)]
pub(crate) fn prefetch<T>(table: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = table.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction reads no value and never faults; SSE, which it is of, is part of
        // x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, index);
}
