//! A round of many packets: received with one call of the kernel, sent with another.

use rustix::io::Result;

use crate::address::Address;
use crate::flow::WithOthers;
use crate::port::{PortId, Side};
use crate::prefetch::prefetch;
use crate::punts::Punt;
use crate::ring::{Ring, SLOTS};
use crate::table::{Table, port_of};

/// One packet of a batch.
struct Item {
    port: PortId,
    side: Side,
    /// Size and source, where they are not the ring's to tell.
    came: Option<(usize, Address)>,
    /// What is sent of it, octets; 0: nothing.
    leaving: usize,
}

impl Table {
    /// Serves what epoll has named, one packet of each, with one call for what is received and
    /// another for what is sent.
    pub(crate) fn serve_batch(&mut self, named: &[u64], now: f64, ring: &mut Ring) -> Result<()> {
        let mut batch = [const { None }; SLOTS];
        for (slot, &number) in named.iter().take(SLOTS).enumerate() {
            let (id, side) = port_of(number);
            let Some(port) = self.listening(id, side) else { continue };
            let came = match port.sure(side) {
                Some(socket) => {
                    ring.receive(slot, socket);
                    None
                }
                None => match port.receive(side, ring.buffer(slot)) {
                    Some(came) => Some(came),
                    None => continue,
                },
            };
            if let Some(flow) = &port.flow {
                prefetch(&**flow);
            }
            batch[slot] = Some(Item { port: id, side, came, leaving: 0 });
        }
        for item in batch.iter().flatten() {
            if let Some(port) = self.get(item.port) {
                port.prefetch();
            }
        }
        ring.run()?;
        let batch = &mut batch[..named.len().min(SLOTS)];
        for (slot, item) in batch.iter_mut().enumerate() {
            if let Some(item) = item {
                self.pass_on(slot, item, now, ring);
            }
        }
        ring.run()?;
        for (slot, item) in batch.iter().enumerate() {
            if let Some(item) = item.as_ref().filter(|item| item.leaving > 0)
                && ring.result(slot).is_err()
                && let Some(port) = self.get(item.port)
            {
                port.send_again(&ring.buffer(slot)[..item.leaving]);
            }
        }
        Ok(())
    }

    /// Decides on what has come into a slot, and queues what is to be sent from there.
    fn pass_on(&mut self, slot: usize, item: &mut Item, now: f64, ring: &mut Ring) {
        let Some(port) = self.ports.get_mut(item.port.index as usize) else { return };
        let came = item.came.or_else(|| Some((ring.result(slot).ok()?, port.source?)));
        let Some((size, source)) = came else { return };
        let mut exit = WithOthers(0);
        let buffer = ring.buffer(slot);
        if port.handle(buffer, size, source, now, &mut exit) {
            let data = buffer[..size].to_vec();
            self.punt(Punt { port: item.port, side: item.side, source, data, now });
        } else if let Some(aim) = port.aim.as_ref().filter(|_| exit.0 > 0) {
            item.leaving = exit.0;
            ring.send(slot, &aim.socket, exit.0);
        }
    }
}
