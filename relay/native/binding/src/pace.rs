//! The adaptive tick (`relay/loop.py`): waking for each packet is the largest single cost of a
//! relay in user space, so above a few thousand packets a second the thread sleeps between drains.

/// One sleep.
pub(crate) const TICK_NS: i64 = 700_000;
/// A drain ends when nothing is ready but a few fresh packets, or after this.
pub(crate) const BUDGET_S: f64 = 0.004;
const MEASURE_S: f64 = 0.05;
/// Packets a second between which the thread keeps to what it does.
const TICK_ABOVE: f64 = 3000.0;
const WAKE_BELOW: f64 = 1500.0;

/// Measures the rate and decides.
pub(crate) struct Pace {
    /// Sleeps between drains rather than waking for each packet.
    pub(crate) ticking: bool,
    events: usize,
    measured_at: f64,
}

impl Pace {
    pub(crate) fn new(now: f64) -> Pace {
        Pace { ticking: false, events: 0, measured_at: now }
    }

    /// So many packets came.
    pub(crate) fn count(&mut self, events: usize) {
        self.events += events;
    }

    /// After each drain.
    pub(crate) fn adapt(&mut self, now: f64) {
        let elapsed_s = now - self.measured_at;
        if elapsed_s < MEASURE_S {
            return;
        }
        let rate = self.events as f64 / elapsed_s;
        self.events = 0;
        self.measured_at = now;
        self.ticking = rate > if self.ticking { WAKE_BELOW } else { TICK_ABOVE };
    }
}
