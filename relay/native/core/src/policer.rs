//! A token bucket (RFC 2697's, in one colour): so much at once, so much a second.
//!
//! The twin of `relay/policer.py`: the same arithmetic in the same order, so the same verdicts.

/// A level that drains with use and refills with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policer {
    rate: f64,
    burst: f64,
    level: f64,
    then: f64,
}

impl Policer {
    /// `rate` units per second; `burst`, what a pause can save up, is there at the start; `now` is
    /// monotonic seconds.
    pub fn new(rate: f64, burst: f64, now: f64) -> Policer {
        Policer { rate, burst, level: burst, then: now }
    }

    /// Whether so much may pass now; if so it is taken.
    #[inline]
    pub fn take(&mut self, units: f64, now: f64) -> bool {
        self.refill(now);
        if units > self.level {
            return false;
        }
        self.level -= units;
        true
    }

    /// Takes up to `most` in advance and returns how much. For callers who count down themselves.
    #[inline]
    pub fn grant(&mut self, most: f64, now: f64) -> f64 {
        self.refill(now);
        // As Python's min(most, level): the first of two equals.
        let granted = if self.level < most { self.level } else { most };
        self.level -= granted;
        granted
    }

    /// What may pass at once, as of the last packet.
    pub fn level(&self) -> f64 {
        self.level
    }

    #[inline]
    fn refill(&mut self, now: f64) {
        if now > self.then {
            let level = self.level + (now - self.then) * self.rate;
            self.level = if level < self.burst { level } else { self.burst };
            self.then = now;
        }
    }
}
