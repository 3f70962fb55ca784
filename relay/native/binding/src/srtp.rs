//! SRTP sessions, shared by the thread and the slow path: `relay.rtp.session.SrtpSession` in Rust.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt};
use relay_core::srtp::{Error, Options, Passed, Session, Suite};

use crate::table::LARGEST;

/// Room for the trailer of any suite, with the longest MKI.
const TRAILER: usize = 192;

/// Why a session did not do it: `relay.rtp.session.Failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Size = 1,
    Source = 2,
    Replay = 3,
    Auth = 4,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Size | Error::Room => Failure::Size,
            Error::Sources => Failure::Source,
            Error::Replayed | Error::Old | Error::Exhausted => Failure::Replay,
            Error::Authentication | Error::Mki => Failure::Auth,
        }
    }
}

/// A session as flows hold it: the thread and the slow path use it in turn.
pub(crate) type Key = Arc<Mutex<Session>>;

/// A session, as Python holds it.
#[pyclass(frozen, module = "relay._native")]
pub(crate) struct Srtp {
    pub(crate) key: Key,
    /// What Python knows the key by; 0: it has not asked.
    fingerprint: AtomicU64,
}

type Step = fn(&mut Session, &mut [u8], usize) -> Result<Passed, Error>;

impl Srtp {
    /// A packet in, new bytes or the number of a failure out.
    fn step<'py>(&self, packet: &Bound<'py, PyAny>, step: Step) -> PyResult<Bound<'py, PyAny>> {
        let py = packet.py();
        let packet = match packet.cast::<PyBytes>() {
            Ok(whole) => whole.clone(),
            Err(_) => py.get_type::<PyBytes>().call1((packet,))?.cast_into()?,
        };
        let packet = packet.as_bytes();
        if packet.len() > LARGEST {
            return Ok(PyInt::new(py, Failure::Size as u8).into_any());
        }
        let mut buffer = Vec::with_capacity(packet.len() + TRAILER);
        buffer.extend_from_slice(packet);
        buffer.resize(packet.len() + TRAILER, 0);
        match step(&mut self.key.lock(), &mut buffer, packet.len()) {
            Ok(passed) => Ok(PyBytes::new(py, &buffer[..passed.len]).into_any()),
            Err(error) => Ok(PyInt::new(py, Failure::from(error) as u8).into_any()),
        }
    }
}

#[pymethods]
impl Srtp {
    #[new]
    fn new(suite: &str, key: PyBackedBytes, mki: PyBackedBytes, roc: u32) -> PyResult<Srtp> {
        let suite = Suite::by_name(suite)
            .ok_or_else(|| PyValueError::new_err(format!("expected an SRTP suite, got {suite}")))?;
        let options = Options { roc, ..Options::default() };
        let session = Session::new(suite, &key, &mki, options)
            .map_err(|_| PyValueError::new_err("expected a key as long as the suite says"))?;
        let fingerprint = AtomicU64::new(0);
        Ok(Srtp { key: Arc::new(Mutex::new(session)), fingerprint })
    }

    fn protect<'py>(&self, packet: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(packet, Session::protect_rtp)
    }

    fn unprotect<'py>(&self, packet: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(packet, Session::unprotect_rtp)
    }

    fn protect_rtcp<'py>(&self, packet: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(packet, Session::protect_rtcp)
    }

    fn unprotect_rtcp<'py>(&self, packet: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(packet, Session::unprotect_rtcp)
    }

    /// The highest RTP index of a source; −1: it is not known.
    fn index(&self, ssrc: u32) -> i64 {
        let index = self.key.lock().index(ssrc);
        index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
    }

    /// Goes on with a source after `index`.
    fn resume(&self, ssrc: u32, index: u64) {
        self.key.lock().resume(ssrc, index);
    }

    #[getter]
    fn fingerprint(&self) -> u64 {
        self.fingerprint.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_fingerprint(&self, value: u64) {
        self.fingerprint.store(value, Ordering::Relaxed);
    }

    #[getter]
    fn rtcp_index(&self) -> u32 {
        self.key.lock().rtcp_index()
    }

    /// Goes on with RTCP at `index`.
    fn resume_rtcp(&self, index: u32) {
        self.key.lock().resume_rtcp(index);
    }
}
