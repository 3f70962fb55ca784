//! What the thread hands up: packets that wait for the slow path, in the order of their arrival.

use std::collections::VecDeque;

use crate::address::Address;
use crate::poll::Flag;
use crate::port::{PortId, Side};

/// Of all packets that wait together.
const MOST_OCTETS: usize = 4 << 20;
const MOST_PACKETS: usize = 4096;

/// One packet on its way up.
pub(crate) struct Punt {
    pub(crate) port: PortId,
    /// Which of the port's sockets it came from.
    pub(crate) side: Side,
    pub(crate) source: Address,
    pub(crate) data: Vec<u8>,
    /// Its arrival, monotonic seconds.
    pub(crate) now: f64,
}

/// The queue, and the flag that is up while there is something in it.
pub(crate) struct Punts {
    queue: VecDeque<Punt>,
    octets: usize,
    raised: bool,
    flag: Flag,
}

impl Punts {
    pub(crate) fn new(flag: Flag) -> Punts {
        Punts { queue: VecDeque::new(), octets: 0, raised: false, flag }
    }

    pub(crate) fn flag(&self) -> &Flag {
        &self.flag
    }

    /// No more should be read that would come here.
    pub(crate) fn full(&self) -> bool {
        self.octets >= MOST_OCTETS || self.queue.len() >= MOST_PACKETS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, punt: Punt) {
        self.octets += punt.data.len();
        self.queue.push_back(punt);
        if !self.raised {
            self.raised = true;
            self.flag.raise();
        }
    }

    /// The oldest; the flag goes down with the last.
    pub(crate) fn pop(&mut self) -> Option<Punt> {
        let punt = self.queue.pop_front();
        match &punt {
            Some(one) => self.octets -= one.data.len(),
            None => {
                self.raised = false;
                self.flag.lower();
            }
        }
        punt
    }

    /// Takes out all of one port.
    pub(crate) fn reclaim(&mut self, port: PortId) -> Vec<Punt> {
        let mut of_it = Vec::new();
        let mut others = VecDeque::with_capacity(self.queue.len());
        for punt in self.queue.drain(..) {
            if punt.port == port {
                self.octets -= punt.data.len();
                of_it.push(punt);
            } else {
                others.push_back(punt);
            }
        }
        self.queue = others;
        of_it
    }
}
