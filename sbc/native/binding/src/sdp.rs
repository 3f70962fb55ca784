//! Session descriptions in their sections.

use std::panic::catch_unwind;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sbc_core::{Span, sdp};

type Bytes<'py> = Bound<'py, PyBytes>;
/// Port, the `m=` line; kind, what follows the port, the lines behind.
type Media<'py> = (u16, Bytes<'py>, (Bytes<'py>, Bytes<'py>, Bytes<'py>));

/// The `o=` line, the session's other lines, the media; None: a description for the other parser.
#[pyfunction]
pub(crate) fn description<'py>(
    data: &Bound<'py, PyBytes>,
) -> Option<(Bytes<'py>, Bytes<'py>, Vec<Media<'py>>)> {
    let text = data.as_bytes();
    let found = catch_unwind(|| sdp::cut(text)).ok()??;
    let bytes = |span: Span| PyBytes::new(data.py(), span.of(text));
    let media = found.media.iter().map(|one| {
        (one.port, bytes(one.line), (bytes(one.kind), bytes(one.rest), bytes(one.text)))
    });
    Some((bytes(found.origin), bytes(found.text), media.collect()))
}
