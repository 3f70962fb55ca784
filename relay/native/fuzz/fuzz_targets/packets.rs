//! Headers of RTP and RTCP, and changing them in place.

#![no_main]

#[path = "../../core/tests/harness/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::packets(data));
