//! Published vectors, for tests.

use serde_json::Value;

use super::cipher::Cipher;

/// A file of tests/vectors/srtp.
pub(crate) fn read(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors/srtp");
    let path = format!("{folder}/{name}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The octets of a JSON string of hexadecimal digits.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

/// The octets of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A cipher of a key of any size.
pub(super) fn cipher(key: &[u8]) -> Cipher {
    let mut padded = [0; 32];
    padded[..key.len()].copy_from_slice(key);
    Cipher::new(&padded, key.len())
}
