//! Memory that is about to be needed: a packet's port, flow and keys are cold, for hundreds of other
//! packets came since the one before.

const LINE: usize = 64;

/// Asks for the cache lines of a value. Only a hint; nothing happens on other processors.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of::<T>()).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: `at` is within the value, and a prefetch changes nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().add(at)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE);
}
