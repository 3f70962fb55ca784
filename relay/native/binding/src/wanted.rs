//! Flows as Python writes them: `relay.forward.base.Flow`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::address::Address;
use crate::flow::{Flow, Numbering, Types};
use crate::reception::Reception;
use crate::srtp::{Key, Srtp};

// Numbers of `Verdict`.
const FORWARD: u8 = 0;
const PUNT: u8 = 2;

/// The attributes of a flow.
#[derive(FromPyObject)]
pub(crate) struct Wanted {
    verdict: u8,
    source: Option<(String, u16)>,
    destination: Option<(String, u16)>,
    reason: usize,
    unit_octets: f64,
    rate_octets: f64,
    reception: Py<Reception>,
    srtp_in: Option<Py<Srtp>>,
    srtp_out: Option<Py<Srtp>>,
    types: Option<PyBackedBytes>,
    payloads: Option<PyBackedBytes>,
    convert: Option<PyBackedBytes>,
    numbering: Option<WantedNumbering>,
}

/// The attributes of a numbering.
#[derive(FromPyObject)]
struct WantedNumbering {
    ssrc: u32,
    out_ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Wanted {
    /// As the thread needs it. Raises ValueError.
    pub(crate) fn to_flow(&self) -> PyResult<Flow> {
        Ok(Flow {
            forward: self.verdict == FORWARD,
            punt: self.verdict == PUNT,
            source: address(&self.source)?,
            destination: address(&self.destination)?,
            reason: self.reason,
            unit_octets: self.unit_octets,
            rate_octets: self.rate_octets,
            reception: Arc::clone(&self.reception.get().counted),
            srtp_in: key(&self.srtp_in),
            srtp_out: key(&self.srtp_out),
            types: types(&self.types)?,
            payloads: types(&self.payloads)?,
            convert: types(&self.convert)?,
            numbering: self.numbering.as_ref().map(|one| Numbering {
                ssrc: one.ssrc,
                out_ssrc: one.out_ssrc,
                sequence: one.sequence,
                timestamp: one.timestamp,
            }),
        })
    }
}

fn address(given: &Option<(String, u16)>) -> PyResult<Option<Address>> {
    let Some((host, port)) = given else { return Ok(None) };
    match Address::parse(host, *port) {
        Some(address) => Ok(Some(address)),
        None => Err(PyValueError::new_err(format!("expected an IP address, got {host}"))),
    }
}

fn key(given: &Option<Py<Srtp>>) -> Option<Key> {
    given.as_ref().map(|session| Arc::clone(&session.get().key))
}

fn types(given: &Option<PyBackedBytes>) -> PyResult<Option<Types>> {
    let Some(bytes) = given else { return Ok(None) };
    let types: [u8; 128] = bytes[..]
        .try_into()
        .map_err(|_| PyValueError::new_err("expected a byte for each payload type"))?;
    Ok(Some(Box::new(types)))
}
