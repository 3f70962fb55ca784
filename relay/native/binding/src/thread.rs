//! The thread that moves packets. It never takes the GIL, and no panic of it reaches Python.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::event::epoll::Event;
use rustix::io::Result;

use crate::pace::{BUDGET_S, Pace, TICK_NS};
use crate::poll::{Flag, Poll, monotonic, sleep};
use crate::port::Totals;
use crate::ring::{Ring, SLOTS};
use crate::table::Table;

/// What epoll calls the flag that wakes the thread; no port has this number.
const WAKE: u64 = u64::MAX;
/// In one round.
const MOST_EVENTS: usize = SLOTS;
/// So few fresh packets are cheaper with those that the next tick finds.
const FEW: usize = 16;

/// What the thread and Python share.
pub(crate) struct Shared {
    pub(crate) table: Mutex<Table>,
    pub(crate) poll: Arc<Poll>,
    pub(crate) totals: Arc<Totals>,
    wake: Flag,
    stop: AtomicBool,
    batch: usize,
    /// The thread's, once it runs.
    ring: Mutex<Option<Ring>>,
    /// Why there is none, or none any more.
    pub(crate) ringless: Mutex<Option<String>>,
    /// Why the thread has ended, where nobody asked for it.
    pub(crate) fault: Mutex<Option<String>>,
    pub(crate) passes: AtomicU64,
}

impl Shared {
    /// `batch`: from how many ready sockets on a round has one call for all; 0: never.
    pub(crate) fn new(batch: usize) -> Result<Shared> {
        let poll = Arc::new(Poll::new()?);
        let wake = Flag::new()?;
        poll.add(&wake, WAKE)?;
        let totals = Arc::new(Totals::default());
        let table = Table::new(Arc::clone(&poll), Flag::new()?, Arc::clone(&totals));
        let ring = match batch {
            0 => Err("not wanted".to_owned()),
            _ => Ring::new().map_err(|error| error.to_string()),
        };
        Ok(Shared {
            batch,
            ringless: Mutex::new(ring.as_ref().err().cloned()),
            ring: Mutex::new(ring.ok()),
            table: Mutex::new(table),
            poll,
            totals,
            wake,
            stop: AtomicBool::new(false),
            fault: Mutex::new(None),
            passes: AtomicU64::new(0),
        })
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake.raise();
    }

    /// The thread's whole life.
    pub(crate) fn run(&self) {
        let fault = match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("polling: {error}"),
            Err(panic) => match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
                (Some(text), _) => (*text).to_owned(),
                (_, Some(text)) => text.clone(),
                _ => "a panic without words".to_owned(),
            },
        };
        *self.fault.lock() = Some(fault);
        self.table.lock().flag().raise(); // Python looks, finds the fault, and ends the worker
    }

    fn serve(&self) -> Result<()> {
        let mut events = Vec::with_capacity(MOST_EVENTS);
        let mut pace = Pace::new(monotonic());
        let mut spent = false;
        let mut ring = self.ring.lock().take();
        let mut served = Vec::with_capacity(MOST_EVENTS);
        while !self.stop.load(Ordering::Acquire) {
            if pace.ticking && !spent {
                sleep(TICK_NS);
            }
            self.poll.wait(&mut events, !pace.ticking)?;
            let start = monotonic();
            let mut now = start;
            spent = false;
            while !events.is_empty() {
                pace.count(events.len());
                if let Err(error) = self.round(&events, now, ring.as_mut()) {
                    ring = None; // nothing is in flight in it, and plain calls serve as well
                    *self.ringless.lock() = Some(format!("given up: {error}"));
                }
                now = monotonic();
                spent = now - start > BUDGET_S;
                if spent || !pace.ticking {
                    break;
                }
                served.clear();
                served.extend(events.iter().map(|event| event.data.u64()));
                self.poll.wait(&mut events, false)?;
                // Not so where a socket had more than one packet: it may have many.
                let fresh = |event: &Event| !served.contains(&event.data.u64());
                if events.len() < FEW && events.iter().all(fresh) {
                    break;
                }
            }
            pace.adapt(now);
            self.passes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One packet of each socket that is ready, and a chance for Python behind a batch, or between
    /// any two packets.
    fn round(&self, events: &[Event], now: f64, ring: Option<&mut Ring>) -> Result<()> {
        let mut named = [0; MOST_EVENTS];
        let mut count = 0;
        for event in events {
            match event.data.u64() {
                WAKE => self.wake.lower(),
                number => {
                    named[count] = number;
                    count += 1;
                }
            }
        }
        let mut table = self.table.lock();
        match ring {
            Some(ring) if count >= self.batch => {
                let served = table.serve_batch(&named[..count], now, ring);
                MutexGuard::unlock_fair(table);
                served
            }
            _ => {
                for &number in &named[..count] {
                    table.serve(number, now);
                    MutexGuard::bump(&mut table);
                }
                Ok(())
            }
        }
    }
}
