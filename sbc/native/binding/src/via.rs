//! `Via` of `sbc/sip/via.py`, ready made.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyInt};

const UDP: &[u8] = b"UDP";
const SIP_PORT: u16 = 5060;

/// The topmost Via.
#[pyclass(frozen, module = "sbc._native")]
pub(crate) struct Via {
    #[pyo3(get)]
    transport: Py<PyBytes>,
    #[pyo3(get)]
    host: Py<PyBytes>,
    #[pyo3(get)]
    port: Py<PyAny>,
    #[pyo3(get)]
    branch: Py<PyBytes>,
    #[pyo3(get)]
    wants_rport: Py<PyBool>,
    #[pyo3(get)]
    rport: Py<PyAny>,
    #[pyo3(get)]
    received: Py<PyBytes>,
}

impl Via {
    pub(crate) fn make(py: Python<'_>, data: &[u8], via: &sbc_core::Via) -> PyResult<Py<Via>> {
        let bytes = |span: sbc_core::Span| PyBytes::new(py, span.of(data)).unbind();
        let made = Via {
            transport: transport(py, via.transport.of(data)),
            host: bytes(via.host),
            port: port(py, via.port)?,
            branch: bytes(via.branch),
            wants_rport: PyBool::new(py, via.wants_rport).to_owned().unbind(),
            rport: port(py, via.rport)?,
            received: bytes(via.received),
        };
        Py::new(py, made)
    }
}

fn transport(py: Python<'_>, text: &[u8]) -> Py<PyBytes> {
    static KNOWN: PyOnceLock<Py<PyBytes>> = PyOnceLock::new();
    if text == UDP {
        return KNOWN.get_or_init(py, || PyBytes::new(py, UDP).unbind()).clone_ref(py);
    }
    PyBytes::new(py, text).unbind()
}

fn port(py: Python<'_>, port: Option<u16>) -> PyResult<Py<PyAny>> {
    static KNOWN: PyOnceLock<Py<PyInt>> = PyOnceLock::new();
    match port {
        None => Ok(py.None()),
        Some(SIP_PORT) => {
            let made = || SIP_PORT.into_pyobject(py).map(Bound::unbind);
            Ok(KNOWN.get_or_try_init(py, made)?.clone_ref(py).into_any())
        }
        Some(port) => Ok(port.into_pyobject(py)?.into_any().unbind()),
    }
}
