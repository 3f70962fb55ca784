//! What one RTP direction has been: packets, loss, jitter, gaps (RFC 3550 §6.4.1, Appendix A).
//!
//! The twin of `Reception` in `relay/stats.py`: the same fields, the same arithmetic on `f64` in
//! the same order, so that both give the same figures to the last bit.
//!
//! Sequence numbers are kept extended: `highest` counts on past 16 bits (Appendix A.1's cycles are
//! its upper part). Each SSRC, and each restart of its numbering, is an epoch with a base of its
//! own; loss is summed over epochs (A.3). Jitter (A.8) is that of the current SSRC and payload
//! type; packets that share a timestamp (frames of video, RFC 4733 events) count for it once.

/// A step forward in sequence numbers below this is loss (Appendix A.1).
pub const MAX_DROPOUT: i64 = 3000;
/// A step backward of up to this is a late packet (Appendix A.1).
pub const MAX_MISORDER: i64 = 100;

const DEFAULT_CLOCK: u32 = 8000;
/// Silences up to this are the packetisation, not gaps.
const SHORTEST_GAP_S: f64 = 0.04;
/// A step between two packets' clocks beyond this is a new clock, not jitter.
const RESTART_S: f64 = 5.0;

/// So many packets in a row that came end a burst (RFC 3611 §4.7.2).
const GMIN: i64 = 16;

/// How the losses of one direction lie: the twin of `Losses` in `relay/losses.py`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    lost: i64,
    holes: i64,
    bursts: i64,
    burst_lost: i64,
    burst_span: i64,
    /// Extended number of the last packet that was lost.
    last: i64,
    /// Of what may become a burst; 0: there is nothing that could.
    run_lost: i64,
    run_span: i64,
}

impl Losses {
    /// After this extended number, so many packets in a row are missing.
    fn hole(&mut self, highest: i64, count: i64) {
        let received = highest - self.last;
        self.lost += count;
        self.holes += 1;
        if self.run_lost != 0 && received < GMIN {
            self.run_lost += count;
            self.run_span += received + count;
        } else {
            self.cut();
            self.run_lost = count;
            self.run_span = count;
        }
        self.last = highest + count;
    }

    /// What comes next has nothing to do with what was lost before.
    fn cut(&mut self) {
        if self.run_lost > 1 {
            self.bursts += 1;
            self.burst_lost += self.run_lost;
            self.burst_span += self.run_span;
        }
        self.run_lost = 0;
        self.run_span = 0;
    }

    /// As if it ended here: packets lost, holes, bursts, packets lost in bursts and spanned by them.
    fn tally(&self) -> [i64; 5] {
        let mut ended = self.clone();
        ended.cut();
        [ended.lost, ended.holes, ended.bursts, ended.burst_lost, ended.burst_span]
    }
}

/// The clock of a static payload type (RFC 3551 §6).
fn static_clock(payload_type: u8) -> u32 {
    match payload_type {
        6 => 16000,
        10 | 11 => 44100,
        14 | 25 | 26 | 28 | 31..=34 => 90000,
        16 => 11025,
        17 => 22050,
        _ => DEFAULT_CLOCK,
    }
}

/// The packets of one direction.
///
/// All of its state is public, for a binding lays it out in shared memory and takes it up again.
#[derive(Clone, Debug, PartialEq)]
pub struct Reception {
    /// Payload type and Hz, as signalled; static types need not be in it. 0 Hz: not known.
    pub clock_rates: Box<[(u8, u32)]>,
    /// All that came.
    pub packets: u64,
    /// Their UDP payload, bytes.
    pub octets: u64,
    /// When the first came, monotonic seconds; 0.0: no packet yet.
    pub first: f64,
    /// When the last came; 0.0: no packet since the last pause, and the next ends no gap.
    pub last: f64,
    /// The longest silence above 40 ms; 0.0: there was none.
    pub max_gap_s: f64,
    /// −1: none yet.
    pub ssrc: i64,
    /// Extended highest sequence number of the epoch.
    pub highest: i64,
    /// Interarrival jitter in ticks of `clock`.
    pub jitter_ticks: f64,
    /// First sequence number of the epoch.
    pub base: i64,
    /// Packets that are not of this epoch.
    pub before: i64,
    /// Loss of the epochs before.
    pub lost_before: i64,
    /// The number that would confirm a restart; −1: none.
    pub bad_sequence: i32,
    /// Marker and payload type of the last packet; −1: to be looked up with the next.
    pub second_byte: i32,
    /// Of the last packet; −1: none to compare with.
    pub timestamp: i64,
    /// Arrival less timestamp of the last packet, ticks.
    pub transit: f64,
    /// Hz of the current payload type.
    pub clock: u32,
    /// Payload types seen, a bit each.
    pub types: u128,
    /// `last` as it was at a pause.
    pub paused: f64,
    /// `None` until there are any: most directions have none.
    pub losses: Option<Box<Losses>>,
}

impl Reception {
    /// No packet yet.
    pub fn new(clock_rates: &[(u8, u32)]) -> Reception {
        Reception {
            clock_rates: clock_rates.into(),
            packets: 0,
            octets: 0,
            first: 0.0,
            last: 0.0,
            max_gap_s: 0.0,
            ssrc: -1,
            highest: 0,
            jitter_ticks: 0.0,
            base: 0,
            before: 0,
            lost_before: 0,
            bad_sequence: -1,
            second_byte: -1,
            timestamp: -1,
            transit: 0.0,
            clock: DEFAULT_CLOCK,
            types: 0,
            paused: 0.0,
            losses: None,
        }
    }

    /// Counts one packet: fields of its header (`second`: marker and payload type), the size of
    /// its UDP payload, its arrival in monotonic seconds.
    ///
    /// Source: RFC 3550 Appendix A.1, A.8.
    #[inline]
    pub fn packet(
        &mut self,
        second: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        size: usize,
        now: f64,
    ) {
        self.packets += 1;
        self.octets += size as u64;
        let gap = now - self.last;
        self.last = now;
        if gap > SHORTEST_GAP_S {
            self.gap(gap, now);
        }
        if i64::from(ssrc) == self.ssrc {
            let step = (i64::from(sequence) - self.highest) & 0xFFFF;
            if step == 1 {
                self.highest += 1;
            } else {
                self.jump(sequence, step);
            }
        } else {
            self.begin(ssrc, sequence, now);
        }
        if i32::from(second) != self.second_byte {
            self.change_type(second);
        }
        if i64::from(timestamp) != self.timestamp {
            self.arrival(timestamp, now);
        }
    }

    /// One step of the jitter filter (A.8).
    #[inline]
    fn arrival(&mut self, timestamp: u32, now: f64) {
        let clock = f64::from(self.clock);
        let transit = now * clock - f64::from(timestamp);
        let mut delta = (transit - self.transit).abs();
        self.transit = transit;
        if self.timestamp < 0 || delta > RESTART_S * clock {
            delta = self.jitter_ticks;
        }
        self.timestamp = i64::from(timestamp);
        self.jitter_ticks += (delta - self.jitter_ticks) * 0.0625;
    }

    /// Packets expected less packets received (A.3); duplicates make it negative.
    pub fn lost(&self) -> i64 {
        if self.ssrc < 0 {
            return 0;
        }
        let expected = self.highest - self.base + 1;
        self.lost_before + expected - (self.packets as i64 - self.before)
    }

    /// Packets that the peer has sent, as far as its sequence numbers tell.
    pub fn expected(&self) -> i64 {
        self.lost() + self.packets as i64
    }

    /// How the losses lie: packets, holes, bursts, packets lost in bursts and spanned by them. What
    /// came late after all is in it.
    pub fn tally(&self) -> [i64; 5] {
        self.losses.as_ref().map_or([0; 5], |losses| losses.tally())
    }

    /// Interarrival jitter in milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter_ticks * 1000.0 / f64::from(self.clock)
    }

    /// Those seen, rising.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        (0..128).filter(|kind| self.types >> kind & 1 != 0)
    }

    /// When the last packet came, monotonic seconds; 0.0: there was none.
    pub fn last_packet(&self) -> f64 {
        if self.last != 0.0 { self.last } else { self.paused }
    }

    /// Signalling has named other payload types.
    pub fn signal(&mut self, clock_rates: &[(u8, u32)]) {
        if *clock_rates != *self.clock_rates {
            self.clock_rates = clock_rates.into();
            self.second_byte = -1; // looked up again with the next packet
        }
    }

    /// The peer may rightly fall silent: the next packet does not end a gap.
    pub fn pause(&mut self) {
        self.paused = self.last_packet();
        self.last = 0.0;
    }

    /// The first packet, or a new SSRC.
    #[cold]
    fn begin(&mut self, ssrc: u32, sequence: u16, now: f64) {
        if self.ssrc < 0 {
            self.first = now;
        } else {
            self.close_epoch();
        }
        self.ssrc = i64::from(ssrc);
        self.timestamp = -1;
        self.jitter_ticks = 0.0;
        self.open_epoch(sequence);
    }

    /// Books the loss of an epoch that the packet in hand, already counted, is not part of.
    fn close_epoch(&mut self) {
        let received = self.packets as i64 - 1 - self.before;
        self.lost_before += self.highest - self.base + 1 - received;
    }

    fn open_epoch(&mut self, sequence: u16) {
        self.base = i64::from(sequence);
        self.highest = self.base;
        self.before = self.packets as i64 - 1;
        self.bad_sequence = -1;
        if let Some(losses) = &mut self.losses {
            losses.cut();
        }
    }

    /// Anything but the next number (A.1).
    fn jump(&mut self, sequence: u16, step: i64) {
        if 0 < step && step < MAX_DROPOUT {
            self.losses.get_or_insert_default().hole(self.highest, step - 1);
            self.highest += step;
        } else if 0 < step && step <= 0x10000 - MAX_MISORDER {
            if i32::from(sequence) == self.bad_sequence {
                // Two in a row: the other side has started anew. The first of them is not known
                // to belong anywhere and is neither received nor lost.
                self.close_epoch();
                self.open_epoch(sequence);
            } else {
                self.bad_sequence = i32::from(sequence.wrapping_add(1));
                self.before += 1;
            }
        }
    }

    #[cold]
    fn gap(&mut self, gap: f64, now: f64) {
        // Equal to `now`: `last` was 0.0, after a pause.
        if gap > self.max_gap_s && gap != now {
            self.max_gap_s = gap;
        }
    }

    /// Another payload type, or the marker bit.
    fn change_type(&mut self, second: u8) {
        let kind = second & 0x7F;
        let before = self.second_byte;
        self.second_byte = i32::from(second);
        if before >= 0 && before & 0x7F == i32::from(kind) {
            return;
        }
        self.types |= 1 << kind;
        let clock = match self.clock_rates.iter().find(|(of, _)| *of == kind) {
            Some(&(_, clock)) if clock != 0 => clock,
            _ => static_clock(kind),
        };
        if clock != self.clock {
            self.clock = clock;
            self.jitter_ticks = 0.0;
        }
        self.timestamp = -1;
    }
}
