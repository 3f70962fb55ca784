//! One octet of a protected packet changed, or its end cut off.

#![no_main]

#[path = "../../core/tests/harness/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::mutated(data));
