//! SIP messages and SDP that are usual and well formed: bytes to offsets and values.
//!
//! The parsers in `sbc/sip` and `sbc/sdp` are the specification; these recognise a part of what those
//! take, and read it in the same way. Of everything else (folding, bare line ends, odd spellings, whatever
//! is an error) it says nothing but [`None`], and Python decides. So rules and errors stay in one
//! place, and a doubt is always resolved by leaving the message to Python.

#![forbid(unsafe_code)]

mod address;
mod bytes;
mod message;
mod names;
mod numbers;
pub mod sdp;
mod uri;
mod via;

pub use message::{Line, Message, Start, read};
pub use names::{METHODS, Name};
pub use via::Via;

/// A part of a message, as offsets from its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub from: u16,
    /// One past the last byte.
    pub to: u16,
}

impl Span {
    /// What is there; nothing where `data` is another, shorter message.
    #[must_use]
    pub fn of(self, data: &[u8]) -> &[u8] {
        data.get(usize::from(self.from)..usize::from(self.to)).unwrap_or_default()
    }

    /// Within a message whose size was checked.
    pub(crate) fn new(from: usize, to: usize) -> Option<Span> {
        Some(Span { from: u16::try_from(from).ok()?, to: u16::try_from(to).ok()? })
    }
}
