//! `relay.stats.Reception` in Rust: counted by the thread, and by the slow path in turn.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use relay_core::stats;

/// The packets of one direction: what `relay.stats.Reception` is, field by field.
#[pyclass(frozen, module = "relay._native")]
pub(crate) struct Reception {
    pub(crate) counted: Arc<Mutex<stats::Reception>>,
}

/// Payload type → Hz of any mapping, in the order of the types.
fn rates(clock_rates: &Bound<'_, PyAny>) -> PyResult<Vec<(u8, u32)>> {
    let mut found = Vec::new();
    for item in clock_rates.call_method0("items")?.try_iter()? {
        found.push(item?.extract::<(u8, u32)>()?);
    }
    found.sort_unstable();
    Ok(found)
}

#[pymethods]
impl Reception {
    #[new]
    fn new(clock_rates: &Bound<'_, PyAny>) -> PyResult<Reception> {
        let counted = stats::Reception::new(&rates(clock_rates)?);
        Ok(Reception { counted: Arc::new(Mutex::new(counted)) })
    }

    fn packet(&self, second: u8, sequence: u16, timestamp: u32, ssrc: u32, size: usize, now: f64) {
        self.counted.lock().packet(second, sequence, timestamp, ssrc, size, now);
    }

    fn signal(&self, clock_rates: &Bound<'_, PyAny>) -> PyResult<()> {
        let rates = rates(clock_rates)?; // before the lock: this runs Python
        self.counted.lock().signal(&rates);
        Ok(())
    }

    fn pause(&self) {
        self.counted.lock().pause();
    }

    #[getter]
    fn row(&self) -> (u64, u64, i64, u64, u64, u64, i64, i64) {
        let counted = self.counted.lock();
        (
            counted.packets,
            counted.octets,
            counted.lost(),
            (counted.jitter_ms() * 1000.0) as u64,
            (counted.first * 1e9) as u64,
            (counted.last_packet() * 1e9) as u64,
            counted.ssrc.max(0),
            counted.highest,
        )
    }

    #[getter]
    fn packets(&self) -> u64 {
        self.counted.lock().packets
    }

    #[getter]
    fn octets(&self) -> u64 {
        self.counted.lock().octets
    }

    #[getter]
    fn lost(&self) -> i64 {
        self.counted.lock().lost()
    }

    #[getter]
    fn expected(&self) -> i64 {
        self.counted.lock().expected()
    }

    #[getter]
    fn tally(&self) -> (i64, i64, i64, i64, i64) {
        self.counted.lock().tally().into()
    }

    #[getter]
    fn jitter_ticks(&self) -> f64 {
        self.counted.lock().jitter_ticks
    }

    #[getter]
    fn jitter_ms(&self) -> f64 {
        self.counted.lock().jitter_ms()
    }

    #[getter]
    fn payload_types(&self) -> Vec<u16> {
        self.counted.lock().payload_types().map(u16::from).collect()
    }

    #[getter]
    fn timestamp(&self) -> i64 {
        self.counted.lock().timestamp
    }

    #[getter]
    fn clock(&self) -> u32 {
        self.counted.lock().clock
    }

    #[getter]
    fn first(&self) -> f64 {
        self.counted.lock().first
    }

    #[getter]
    fn last(&self) -> f64 {
        self.counted.lock().last
    }

    #[getter]
    fn last_packet(&self) -> f64 {
        self.counted.lock().last_packet()
    }

    #[getter]
    fn max_gap_s(&self) -> f64 {
        self.counted.lock().max_gap_s
    }

    #[getter]
    fn ssrc(&self) -> i64 {
        self.counted.lock().ssrc
    }

    #[getter]
    fn highest(&self) -> i64 {
        self.counted.lock().highest
    }
}
