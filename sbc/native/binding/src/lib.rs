//! `sbc._native`: messages as `sbc/sip/native.py` wants them, and sections of SDP.
//!
//! An object holds the datagram and where its lines are. What the border asks of nearly every message
//! is made at once and read as a plain attribute; header lines are cut out when they are asked for.

mod message;
mod sdp;
mod via;

use pyo3::prelude::*;

use crate::message::{Message, Request, Response, Unusual};
use crate::via::Via;

/// Whether this is a release build: only that is worth measuring.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// As `sbc/extension.py` expects it: grows with each change of what is offered here.
const INTERFACE: u32 = 2;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("PROFILE", PROFILE)?;
    module.add("INTERFACE", INTERFACE)?;
    module.add("Unusual", module.py().get_type::<Unusual>())?;
    module.add_function(wrap_pyfunction!(sdp::description, module)?)?;
    module.add_class::<Message>()?;
    module.add_class::<Request>()?;
    module.add_class::<Response>()?;
    module.add_class::<Via>()
}
