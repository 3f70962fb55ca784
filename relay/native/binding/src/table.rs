//! All open ports: opened, closed, aimed at each other, and served when epoll names them.
//!
//! The thread and Python's thread change the table in turn, behind one lock that the thread gives
//! up between two packets, or two batches, where somebody waits for it. So a command is in force
//! when it returns, and no descriptor can be closed while a packet is on it; a queue would have to
//! wake the thread for each command, and Python to wait for the answer before it may let go of a
//! port.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Result;
use slab::Slab;

use crate::address::Address;
use crate::flow::{Aim, AtOnce, Flow, Outcome};
use crate::poll::{Flag, Poll};
use crate::port::{Drops, INHERITED, Port, PortId, Side, Totals};
use crate::punts::{Punt, Punts};
use crate::sockets::Media;

/// The largest datagram.
pub(crate) const LARGEST: usize = 65_536;
/// Packets of one socket that wait for the slow path before nothing more is read from it.
const MOST_WAITING: u32 = 64;
const FEW_WAITING: u32 = 32;
/// Packets that may wait on `rx` when the peer's own socket is made.
const OVERTAKEN: u32 = 64;
const SERIALS: u32 = (1 << 31) - 1;

/// All open ports.
pub(crate) struct Table {
    poll: Arc<Poll>,
    totals: Arc<Totals>,
    pub(crate) ports: Slab<Port>,
    serial: u32,
    punts: Punts,
    buffer: Box<[u8]>,
}

/// What epoll says of a port's socket, and the reverse.
fn number(port: PortId, side: Side) -> u64 {
    u64::from(port.index) << 32 | u64::from(port.serial) << 1 | side as u64
}

pub(crate) fn port_of(number: u64) -> (PortId, Side) {
    let port = PortId { index: (number >> 32) as u32, serial: (number as u32) >> 1 };
    (port, if number & 1 == 0 { Side::Rx } else { Side::Tx })
}

impl Table {
    pub(crate) fn new(poll: Arc<Poll>, flag: Flag, totals: Arc<Totals>) -> Table {
        Table {
            poll,
            totals,
            ports: Slab::new(),
            serial: 0,
            punts: Punts::new(flag),
            buffer: vec![0; LARGEST].into_boxed_slice(),
        }
    }

    pub(crate) fn flag(&self) -> &Flag {
        self.punts.flag()
    }

    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    /// Nothing waits for the slow path.
    pub(crate) fn is_quiet(&self) -> bool {
        self.punts.is_empty()
    }

    pub(crate) fn get(&self, id: PortId) -> Option<&Port> {
        self.ports.get(id.index as usize).filter(|port| port.serial == id.serial)
    }

    fn get_mut(&mut self, id: PortId) -> Option<&mut Port> {
        self.ports.get_mut(id.index as usize).filter(|port| port.serial == id.serial)
    }

    /// Serves a port: everything is punted until a flow is installed. What waits on the socket is
    /// a former call's or a stranger's and is discarded.
    pub(crate) fn open(&mut self, rx: Media, drops: Arc<Drops>) -> Result<PortId> {
        rx.empty();
        self.serial = self.serial % SERIALS + 1;
        let entry = self.ports.vacant_entry();
        let id = PortId { index: entry.key() as u32, serial: self.serial };
        self.poll.add(&rx, number(id, Side::Rx))?;
        entry.insert(Port::new(self.serial, rx, drops));
        Ok(id)
    }

    /// Stops serving a port.
    pub(crate) fn close(&mut self, id: PortId) {
        if self.get(id).is_none() {
            return;
        }
        self.forget(id);
        self.punts.reclaim(id);
        let port = self.ports.remove(id.index as usize);
        self.poll.remove(&port.rx);
        port.rx.empty();
        if port.tos != 0 {
            port.rx.mark(0);
        }
        if let Some(feeder) = port.feeder {
            self.aim(feeder);
        }
    }

    /// Sets the byte that packets bear which leave by this port, until it is closed.
    pub(crate) fn mark(&mut self, id: PortId, tos: u8) {
        if let Some(port) = self.get_mut(id) {
            port.tos = tos;
            port.rx.mark(tos);
            if let Some(tx) = &port.tx {
                tx.mark(tos);
            }
        }
    }

    /// Puts a flow in force. Both ports are open.
    pub(crate) fn install(&mut self, id: PortId, out: PortId, flow: Flow, now: f64) {
        let source = flow.source;
        let Some(port) = self.get_mut(id) else { return };
        port.take(flow);
        let mut fresh = false;
        if port.source != source {
            fresh = self.connect(id, source);
        }
        self.link(id, out);
        self.aim(id);
        if let Some(feeder) = self.get(id).and_then(|port| port.feeder) {
            self.aim(feeder);
        }
        self.look_again(id);
        if fresh {
            self.overtaken(id, now);
        }
    }

    /// Has no flow on this port; its packets are punted.
    pub(crate) fn forget(&mut self, id: PortId) {
        let Some(port) = self.get_mut(id) else { return };
        port.flow = None;
        port.source = None;
        port.aim = None;
        let feeder = port.feeder;
        self.disconnect(id);
        if let Some(feeder) = feeder {
            self.aim(feeder);
        }
        self.unlink(id);
    }

    /// Has no flow on any port.
    pub(crate) fn flush(&mut self) {
        let ids =
            |(index, port): (usize, &Port)| PortId { index: index as u32, serial: port.serial };
        let all: Vec<PortId> = self.ports.iter().map(ids).collect();
        for id in all {
            self.forget(id);
        }
    }

    /// Leaves a flooded port alone, or listens to it again; its peer is on its other socket. What
    /// waits on `rx` and on its way up from there is the flood's and is discarded, both times: whom
    /// it hides is heard the sooner.
    pub(crate) fn mute(&mut self, id: PortId, muted: bool) {
        let Some(port) = self.get_mut(id).filter(|port| port.muted != muted) else { return };
        port.muted = muted;
        port.rx.empty();
        for punt in self.punts.reclaim(id) {
            if punt.side == Side::Tx {
                self.punts.push(punt);
            } else {
                self.taken(id, Side::Rx);
            }
        }
        self.watch(id, Side::Rx);
    }

    /// Serves what epoll has named: one packet.
    pub(crate) fn serve(&mut self, named: u64, now: f64) {
        let (id, side) = port_of(named);
        if self.listening(id, side).is_some() {
            self.receive(id, side, now);
        }
    }

    /// A port, unless that socket of it was closed or is left alone since the round began.
    pub(crate) fn listening(&mut self, id: PortId, side: Side) -> Option<&mut Port> {
        self.get_mut(id)
            .filter(|port| !port.paused[side as usize] && (side == Side::Tx || !port.muted))
    }

    /// The oldest packet on its way up.
    pub(crate) fn next_punt(&mut self) -> Option<Punt> {
        let punt = self.punts.pop()?;
        self.taken(punt.port, punt.side);
        Some(punt)
    }

    /// One packet, if there is one.
    fn receive(&mut self, id: PortId, side: Side, now: f64) -> bool {
        let Some(port) = self.ports.get_mut(id.index as usize) else { return false };
        let Some((size, source)) = port.receive(side, &mut self.buffer) else { return false };
        if port.handle(&mut self.buffer, size, source, now, &mut AtOnce) {
            let data = self.buffer[..size].to_vec();
            self.punt(Punt { port: id, side, source, data, now });
        }
        true
    }

    /// Hands a packet up.
    pub(crate) fn punt(&mut self, punt: Punt) {
        let (id, side) = (punt.port, punt.side);
        self.punts.push(punt);
        let full = self.punts.full();
        let Some(port) = self.get_mut(id) else { return };
        port.waiting[side as usize] += 1;
        if full || port.waiting[side as usize] >= MOST_WAITING {
            self.pause(id, side, true);
        }
    }

    /// A packet has left the queue.
    fn taken(&mut self, id: PortId, side: Side) {
        let full = self.punts.full();
        let Some(port) = self.get_mut(id) else { return };
        let waiting = &mut port.waiting[side as usize];
        *waiting = waiting.saturating_sub(1);
        if port.paused[side as usize] && (*waiting == 0 || *waiting < FEW_WAITING && !full) {
            self.pause(id, side, false);
        }
    }

    fn pause(&mut self, id: PortId, side: Side, paused: bool) {
        if let Some(port) = self.get_mut(id) {
            port.paused[side as usize] = paused;
            self.watch(id, side);
        }
    }

    /// Polls a socket, or no longer: not with an empty mask, which would still wake for errors.
    fn watch(&self, id: PortId, side: Side) {
        let Some(port) = self.get(id) else { return };
        let socket = match side {
            Side::Rx => Some(&port.rx),
            Side::Tx => port.tx.as_ref(),
        };
        let Some(socket) = socket else { return };
        if port.paused[side as usize] || side == Side::Rx && port.muted {
            self.poll.remove(socket);
        } else {
            let _ = self.poll.add(socket, number(id, side)); // EEXIST: it is polled
        }
    }

    /// Settles how a port's packets leave.
    fn aim(&mut self, id: PortId) {
        let aim = self.get(id).and_then(|port| {
            let flow = port.flow.as_ref().filter(|flow| flow.forward)?;
            let out = self.get(port.out?)?;
            let (socket, to) = match &out.tx {
                Some(tx) if out.source == flow.destination => (tx, None),
                _ => (&out.rx, Some(flow.destination?)),
            };
            Some(Aim { socket: socket.clone(), to, totals: Arc::clone(&self.totals) })
        });
        if let Some(port) = self.get_mut(id) {
            port.aim = aim;
        }
    }

    fn link(&mut self, id: PortId, out: PortId) {
        if self.get(id).is_some_and(|port| port.out != Some(out)) {
            self.unlink(id);
            if let Some(port) = self.get_mut(id) {
                port.out = Some(out);
            }
            if let Some(port) = self.get_mut(out) {
                port.feeder = Some(id);
            }
        }
    }

    fn unlink(&mut self, id: PortId) {
        let out = self.get_mut(id).and_then(|port| port.out.take());
        if let Some(port) = out.and_then(|out| self.get_mut(out))
            && port.feeder == Some(id)
        {
            port.feeder = None;
        }
    }

    /// The flow's source, and a socket for it: the former source's, if there was one, for that
    /// costs a tenth of a new one. Returns whether there is one.
    fn connect(&mut self, id: PortId, source: Option<Address>) -> bool {
        let Some(port) = self.get_mut(id) else { return false };
        port.source = source;
        let Some(source) = source else {
            self.disconnect(id);
            return false;
        };
        if port.reconnect(source) {
            return true;
        }
        self.disconnect(id);
        let poll = Arc::clone(&self.poll);
        let Some(port) = self.get_mut(id) else { return false };
        let made = port.rx.connect_beside(source).and_then(|tx| {
            if port.tos != 0 {
                tx.mark(port.tos);
            }
            poll.add(&tx, number(id, Side::Tx))?;
            Ok(tx)
        });
        match made {
            Ok(tx) => {
                port.connected(tx);
                true
            }
            Err(_) => {
                // Out of descriptors, or no route: everything goes on over `rx`, only dearer.
                self.totals.unconnected.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    fn disconnect(&mut self, id: PortId) {
        let Some(port) = self.get_mut(id) else { return };
        port.paused[Side::Tx as usize] = false;
        port.waiting[Side::Tx as usize] = 0;
        let feeder = port.feeder;
        if let Some(tx) = port.tx.take() {
            self.poll.remove(&tx);
            if let Some(feeder) = feeder {
                self.aim(feeder); // it may have sent by this socket
            }
        }
    }

    /// Packets that were on their way up when the flow came: the peer's are the flow's now.
    fn look_again(&mut self, id: PortId) {
        let Some(port) = self.get(id) else { return };
        if port.source.is_none() || port.waiting == [0; 2] {
            return;
        }
        for punt in self.punts.reclaim(id) {
            let size = punt.data.len();
            self.buffer[..size].copy_from_slice(&punt.data);
            let Some(port) = self.ports.get_mut(id.index as usize) else { return };
            let now = punt.now;
            if port.pass(&mut self.buffer, size, punt.source, now, &mut AtOnce) != Outcome::Punt {
                self.taken(id, punt.side);
            } else {
                self.punts.push(punt);
            }
        }
    }

    /// Packets of the peer that wait on `rx` come before those on its own socket; and what of
    /// others has landed there before it was connected is told apart at once.
    fn overtaken(&mut self, id: PortId, now: f64) {
        for (side, most) in [(Side::Rx, OVERTAKEN), (Side::Tx, INHERITED)] {
            for _ in 0..most {
                if self.get(id).is_none_or(|port| port.paused[side as usize]) {
                    return;
                }
                if !self.receive(id, side, now) {
                    break;
                }
            }
        }
    }
}
