//! `relay._native`: the fast path `native`, as `relay/forward/native.py` drives it.
//!
//! Python's side is here and in [`reception`], [`srtp`] and [`wanted`]; the rest knows nothing of it.

mod address;
mod batch;
mod flow;
mod pace;
mod poll;
mod port;
mod prefetch;
mod punts;
mod reception;
mod ring;
mod sockets;
mod srtp;
mod table;
mod thread;
mod wanted;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use rustix::io::Errno;

use crate::poll::monotonic;
use crate::port::{Drops, PortId};
use crate::reception::Reception;
use crate::ring::Ring;
use crate::sockets::Media;
use crate::srtp::Srtp;
use crate::thread::Shared;
use crate::wanted::Wanted;

/// An open port, as Python holds it.
#[pyclass(frozen, module = "relay._native")]
struct Port {
    id: PortId,
    drops: Arc<Drops>,
}

#[pymethods]
impl Port {
    /// Its place among the open ports: another port gets it after this one.
    #[getter]
    fn index(&self) -> u32 {
        self.id.index
    }

    /// What was dropped since the port was opened, by number of reason; None: nothing. Asks nobody.
    fn drops(&self) -> Option<Vec<(usize, u64)>> {
        self.drops.read().map(Iterator::collect)
    }
}

fn refused(error: Errno) -> PyErr {
    PyOSError::new_err((error.raw_os_error(), error.to_string()))
}

/// One thread, its ports and its flows.
#[pyclass(frozen, module = "relay._native")]
struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type PuntedUp<'py> = (u32, Bound<'py, PyByteArray>, (String, u16), f64);

#[pymethods]
impl Engine {
    /// Starts the thread. `batch`: from how many packets on a round has one call of the kernel for
    /// all; 0: never. Raises OSError: out of descriptors, of threads.
    #[new]
    fn new(batch: usize) -> PyResult<Engine> {
        let shared = Arc::new(Shared::new(batch).map_err(refused)?);
        let its = Arc::clone(&shared);
        let thread = Builder::new().name("relay-native".to_owned()).spawn(move || its.run())?;
        Ok(Engine { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Readable while a packet waits for `next_punt`, and for good once the thread has died.
    fn fileno(&self) -> RawFd {
        self.shared.table.lock().flag().number()
    }

    /// Why the thread has ended; None while it lives.
    #[getter]
    fn fault(&self) -> Option<String> {
        self.shared.fault.lock().clone()
    }

    /// Why each packet has calls of its own; None: io_uring has one for many.
    #[getter]
    fn ringless(&self) -> Option<String> {
        self.shared.ringless.lock().clone()
    }

    /// Open ports.
    fn __len__(&self) -> usize {
        self.shared.table.lock().len()
    }

    /// Serves a port by its bound socket, which stays open until after `close`. Raises OSError.
    fn open(&self, rx: RawFd, ipv6: bool) -> PyResult<Port> {
        let drops = Arc::new(Drops::default());
        let rx = Media::of_python(rx, ipv6);
        let id = self.shared.table.lock().open(rx, Arc::clone(&drops)).map_err(refused)?;
        Ok(Port { id, drops })
    }

    /// Stops serving ports.
    fn close(&self, py: Python<'_>, ports: Vec<Py<Port>>) {
        py.detach(|| {
            let mut table = self.shared.table.lock();
            for port in &ports {
                table.close(port.get().id);
            }
        });
    }

    /// Adds or replaces flows, as one batch: port, the port that the flow leaves from, flow.
    fn install(&self, py: Python<'_>, wanted: Vec<(Py<Port>, Py<Port>, Wanted)>) -> PyResult<()> {
        let mut flows = Vec::with_capacity(wanted.len());
        for (port, out, flow) in &wanted {
            flows.push((port.get().id, out.get().id, flow.to_flow()?));
        }
        py.detach(|| {
            let mut table = self.shared.table.lock();
            for (port, out, flow) in flows {
                table.install(port, out, flow, monotonic());
            }
        });
        Ok(())
    }

    /// Forgets flows; their ports punt again.
    fn remove(&self, ports: Vec<Py<Port>>) {
        let mut table = self.shared.table.lock();
        for port in &ports {
            table.forget(port.get().id);
        }
    }

    /// Forgets all flows.
    fn flush(&self) {
        self.shared.table.lock().flush();
    }

    /// The byte that packets bear which leave by a port.
    fn mark(&self, port: &Port, tos: u8) {
        self.shared.table.lock().mark(port.id, tos);
    }

    /// Leaves a port's unconnected socket alone, or not.
    fn mute(&self, port: &Port, muted: bool) {
        self.shared.table.lock().mute(port.id, muted);
    }

    /// The oldest packet that waits: its port's index, bytes, source, arrival. None: there is none.
    fn next_punt<'py>(&self, py: Python<'py>) -> Option<PuntedUp<'py>> {
        let punt = self.shared.table.lock().next_punt()?;
        let source = (punt.source.host.to_string(), punt.source.port);
        Some((punt.port.index, PyByteArray::new(py, &punt.data), source, punt.now))
    }

    /// Nothing is ready to be received and nothing waits to be fetched. For tests.
    fn quiet(&self) -> PyResult<bool> {
        let table = self.shared.table.lock();
        let mut events = Vec::with_capacity(1);
        self.shared.poll.wait(&mut events, false).map_err(refused)?;
        Ok(events.is_empty() && table.is_quiet())
    }

    /// Since the start: flows on their unconnected socket; packets sent once more; passes.
    fn totals(&self) -> (u64, u64, u64) {
        let Shared { totals, passes, .. } = &*self.shared;
        (
            totals.unconnected.load(Ordering::Relaxed),
            totals.resent.load(Ordering::Relaxed),
            passes.load(Ordering::Relaxed),
        )
    }

    /// Ends the thread and waits for it.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.end());
    }
}

impl Engine {
    fn end(&self) {
        self.shared.stop();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join(); // a panic was caught, and told as the fault
        }
    }
}

/// Ports that are still open may lose their sockets next: nobody may be at them any more.
impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether this is a release build: only that is worth measuring.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// As `relay/extension.py` expects it: grows with each change of what is offered here.
const INTERFACE: u32 = 5;

/// Why this machine has no io_uring for us; None: it has.
#[pyfunction]
fn ringless() -> Option<String> {
    Ring::probe().err().map(|error| error.to_string())
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("PROFILE", PROFILE)?;
    module.add("INTERFACE", INTERFACE)?;
    module.add_function(wrap_pyfunction!(ringless, module)?)?;
    module.add_class::<Engine>()?;
    module.add_class::<Port>()?;
    module.add_class::<Reception>()?;
    module.add_class::<Srtp>()
}
