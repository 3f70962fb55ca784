//! `Message`, `Request` and `Response`: what `sbc/sip/message.py` says of them.

use std::panic::catch_unwind;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFrozenSet, PyInt, PyList};
use sbc_core::{Line, METHODS, Span, Start};

use crate::via::Via;

create_exception!(sbc._native, Unusual, PyException, "A message for the other parser.");

/// What requests and responses have in common.
#[pyclass(frozen, subclass, module = "sbc._native")]
pub(crate) struct Message {
    data: Py<PyBytes>,
    head: sbc_core::Message,
    #[pyo3(get)]
    call_id: Py<PyBytes>,
    #[pyo3(get)]
    cseq: Py<PyInt>,
    #[pyo3(get)]
    cseq_method: Py<PyBytes>,
    #[pyo3(get)]
    from_tag: Py<PyBytes>,
    #[pyo3(get)]
    to_tag: Py<PyBytes>,
    #[pyo3(get)]
    via: Py<Via>,
    contact: PyOnceLock<Py<PyAny>>,
}

impl Message {
    fn make(data: Bound<'_, PyBytes>, head: sbc_core::Message) -> PyResult<Message> {
        let py = data.py();
        let text = data.as_bytes();
        let bytes = |span: Span| PyBytes::new(py, span.of(text)).unbind();
        Ok(Message {
            call_id: bytes(head.call_id),
            cseq: head.cseq.into_pyobject(py)?.unbind(),
            cseq_method: method(py, head.method),
            from_tag: bytes(head.from_tag),
            to_tag: bytes(head.to_tag),
            via: Via::make(py, text, &head.via)?,
            contact: PyOnceLock::new(),
            data: data.unbind(),
            head,
        })
    }

    fn text<'py>(&'py self, py: Python<'py>) -> &'py [u8] {
        self.data.as_bytes(py)
    }

    fn lines_of<'py>(
        &'py self,
        py: Python<'py>,
        name: &'py Bound<'py, PyBytes>,
    ) -> impl Iterator<Item = &'py Line> {
        self.head.of(self.text(py), name.as_bytes())
    }
}

#[pymethods]
impl Message {
    /// The datagram's body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.head.body.of(self.text(py)))
    }

    /// What `contact` has been read to; None: it has not.
    #[getter(_contact)]
    fn contact(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.contact.get(py).map(|contact| contact.clone_ref(py))
    }

    #[setter(_contact)]
    fn set_contact(&self, py: Python<'_>, contact: Py<PyAny>) {
        let _ = self.contact.set(py, contact); // it is read once
    }

    /// The canonical names present.
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        let text = self.text(py);
        PyFrozenSet::new(
            py,
            self.head.lines.iter().map(|line| match line.name.text() {
                Some(name) => PyBytes::new(py, name),
                None => PyBytes::new(py, &line.spelling().of(text).to_ascii_lowercase()),
            }),
        )
    }

    /// Which of these canonical names are present.
    fn names_among<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyFrozenSet>,
    ) -> PyResult<Bound<'py, PyFrozenSet>> {
        let mut present = Vec::new();
        for name in names {
            let name = name.cast_into::<PyBytes>()?;
            if self.lines_of(py, &name).next().is_some() {
                present.push(name);
            }
        }
        PyFrozenSet::new(py, present)
    }

    /// The value of the first line of that name, or None.
    fn first<'py>(&self, name: &Bound<'py, PyBytes>) -> Option<Bound<'py, PyBytes>> {
        let py = name.py();
        let line = self.lines_of(py, name).next()?;
        Some(PyBytes::new(py, line.value.of(self.text(py))))
    }

    /// The value of each line of that name, in order.
    fn every<'py>(&self, name: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyList>> {
        let py = name.py();
        let text = self.text(py);
        let found = PyList::empty(py);
        for line in self.lines_of(py, name) {
            found.append(PyBytes::new(py, line.value.of(text)))?;
        }
        Ok(found)
    }

    /// The first line of that name with its CRLF; b"" if there is none.
    fn raw<'py>(&self, name: &Bound<'py, PyBytes>) -> Bound<'py, PyBytes> {
        let py = name.py();
        let text = self.text(py);
        let line = self.lines_of(py, name).next();
        PyBytes::new(py, line.map_or(b"", |line| line.whole(text).of(text)))
    }

    /// The lines of that name after the first.
    fn further<'py>(&self, name: &Bound<'py, PyBytes>) -> Bound<'py, PyBytes> {
        let py = name.py();
        let text = self.text(py);
        let mut lines = self.lines_of(py, name).skip(1).peekable();
        if lines.peek().is_none() {
            return PyBytes::new(py, b"");
        }
        let whole: Vec<u8> = lines.flat_map(|line| line.whole(text).of(text)).copied().collect();
        PyBytes::new(py, &whole)
    }

    /// The lines of those names: each name's in order, the names in that of their first line.
    fn lines<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyFrozenSet>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let text = self.text(py);
        let names: Result<Vec<_>, _> = names.iter().map(Bound::cast_into::<PyBytes>).collect();
        let names = names?;
        let of_each = names.iter().map(|name| self.lines_of(py, name).collect::<Vec<_>>());
        let mut found: Vec<_> = of_each.filter(|lines| !lines.is_empty()).collect();
        found.sort_by_key(|lines| lines[0].from);
        let whole: Vec<_> = found.iter().flatten().map(|line| line.whole(text).of(text)).collect();
        Ok(PyBytes::new(py, &whole.concat()))
    }
}

/// A request.
#[pyclass(frozen, subclass, extends = Message, module = "sbc._native")]
pub(crate) struct Request {
    #[pyo3(get)]
    method: Py<PyBytes>,
    #[pyo3(get)]
    uri: Py<PyBytes>,
    target: PyOnceLock<Py<PyAny>>,
}

#[pymethods]
impl Request {
    /// Raises `Unusual`.
    #[new]
    fn new(data: Bound<'_, PyBytes>) -> PyResult<PyClassInitializer<Request>> {
        let py = data.py();
        let head = read(data.as_bytes())?;
        let Start::Request { uri } = head.start else { return Err(Unusual::new_err(())) };
        let request = Request {
            method: method(py, head.method),
            uri: PyBytes::new(py, uri.of(data.as_bytes())).unbind(),
            target: PyOnceLock::new(),
        };
        Ok(PyClassInitializer::from(Message::make(data, head)?).add_subclass(request))
    }

    /// What `uri` has been read to; None: it has not.
    #[getter(_target)]
    fn target(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.target.get(py).map(|target| target.clone_ref(py))
    }

    #[setter(_target)]
    fn set_target(&self, py: Python<'_>, target: Py<PyAny>) {
        let _ = self.target.set(py, target); // it is read once
    }
}

/// A response.
#[pyclass(frozen, subclass, extends = Message, module = "sbc._native")]
pub(crate) struct Response {
    #[pyo3(get)]
    status: Py<PyInt>,
    reason: Span,
}

#[pymethods]
impl Response {
    /// Raises `Unusual`.
    #[new]
    fn new(data: Bound<'_, PyBytes>) -> PyResult<PyClassInitializer<Response>> {
        let py = data.py();
        let head = read(data.as_bytes())?;
        let Start::Response { status, reason } = head.start else {
            return Err(Unusual::new_err(()));
        };
        let response = Response { status: status.into_pyobject(py)?.unbind(), reason };
        Ok(PyClassInitializer::from(Message::make(data, head)?).add_subclass(response))
    }

    /// As received.
    #[getter]
    fn reason<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, slf.reason.of(slf.as_super().text(py)))
    }
}

/// A fault of ours is no reason to lose the message, or the border.
fn read(data: &[u8]) -> PyResult<sbc_core::Message> {
    catch_unwind(|| sbc_core::read(data)).ok().flatten().ok_or_else(|| Unusual::new_err(()))
}

/// The method of that number, one object for all messages.
fn method(py: Python<'_>, number: u8) -> Py<PyBytes> {
    static KNOWN: PyOnceLock<[Py<PyBytes>; METHODS.len()]> = PyOnceLock::new();
    let known = KNOWN.get_or_init(py, || METHODS.map(|name| PyBytes::new(py, name).unbind()));
    known[usize::from(number)].clone_ref(py)
}
