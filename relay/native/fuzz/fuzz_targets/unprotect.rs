//! SRTP and SRTCP that nobody protected.

#![no_main]

#[path = "../../core/tests/harness/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::unprotect(data));
