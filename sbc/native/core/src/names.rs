//! Header names and methods that are known, by number. As in `sbc/sip/headers.py` and `status.py`.

/// The methods that are known; any other is left to Python.
pub const METHODS: [&[u8]; 14] = [
    b"INVITE",
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"OPTIONS",
    b"PRACK",
    b"UPDATE",
    b"INFO",
    b"MESSAGE",
    b"NOTIFY",
    b"PUBLISH",
    b"REFER",
    b"REGISTER",
    b"SUBSCRIBE",
];

/// Where a method stands in [`METHODS`].
pub(crate) fn method(word: &[u8]) -> Option<u8> {
    METHODS.iter().position(|&known| known == word).and_then(|at| u8::try_from(at).ok())
}

/// A header's name: one of those that are known, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u8);

macro_rules! names {
    ($($name:literal),* $(,)?) => {
        const KNOWN: &[&[u8]] = &[$($name),*];
    };
}

// The first are those that the parser itself reads; `Name` counts from one.
names! {
    b"via", b"from", b"to", b"call-id", b"cseq", b"content-length", b"max-forwards", b"content-type",
    b"accept", b"accept-contact", b"accept-encoding", b"accept-language", b"alert-info", b"allow",
    b"allow-events", b"authorization", b"call-info", b"contact", b"content-disposition",
    b"content-encoding", b"content-id", b"date", b"diversion", b"error-info", b"event", b"expires",
    b"history-info", b"identity", b"identity-info", b"in-reply-to", b"info-package", b"join",
    b"mime-version", b"min-expires", b"min-se", b"organization", b"p-access-network-info",
    b"p-asserted-identity", b"p-called-party-id", b"p-charging-vector", b"p-early-media",
    b"p-preferred-identity", b"path", b"priority", b"privacy", b"proxy-authenticate",
    b"proxy-authorization", b"proxy-require", b"rack", b"reason", b"record-route", b"recv-info",
    b"refer-to", b"referred-by", b"reject-contact", b"remote-party-id", b"replaces", b"reply-to",
    b"request-disposition", b"require", b"resource-priority", b"retry-after", b"route", b"rseq",
    b"server", b"service-route", b"session-expires", b"session-id", b"sip-etag", b"sip-if-match",
    b"subject", b"subscription-state", b"supported", b"timestamp", b"unsupported", b"user-agent",
    b"user-to-user", b"warning", b"www-authenticate",
}

/// Compact forms: letter, long form.
const COMPACT: &[(u8, &[u8])] = &[
    (b'a', b"accept-contact"),
    (b'b', b"referred-by"),
    (b'c', b"content-type"),
    (b'd', b"request-disposition"),
    (b'e', b"content-encoding"),
    (b'f', b"from"),
    (b'i', b"call-id"),
    (b'j', b"reject-contact"),
    (b'k', b"supported"),
    (b'l', b"content-length"),
    (b'm', b"contact"),
    (b'n', b"identity-info"),
    (b'o', b"event"),
    (b'r', b"refer-to"),
    (b's', b"subject"),
    (b't', b"to"),
    (b'u', b"allow-events"),
    (b'v', b"via"),
    (b'x', b"session-expires"),
    (b'y', b"identity"),
];

const SLOTS: usize = 512;

/// Name + 1 by hash, 0 where there is none; a taken slot's name goes into the next.
static TABLE: [u8; SLOTS] = table();
/// The same for single letters.
static LETTERS: [u8; 256] = letters();

const _: () = assert!(KNOWN.len() < 128, "a message's names are bits of a u128");

impl Name {
    /// Any name that is not known.
    pub const OTHER: Name = Name(0);
    pub(crate) const VIA: Name = Name(1);
    pub(crate) const FROM: Name = Name(2);
    pub(crate) const TO: Name = Name(3);
    pub(crate) const CALL_ID: Name = Name(4);
    pub(crate) const CSEQ: Name = Name(5);
    pub(crate) const CONTENT_LENGTH: Name = Name(6);
    const LAST_SINGLE: Name = Name(8);

    /// The name of a line, in any case, long or compact.
    #[must_use]
    pub fn received(name: &[u8]) -> Name {
        match name {
            [letter] => Name(LETTERS[usize::from(*letter)]),
            _ => find(name, <[u8]>::eq_ignore_ascii_case),
        }
    }

    /// A canonical name: long form, lower case.
    #[must_use]
    pub fn canonical(name: &[u8]) -> Name {
        find(name, |known, asked| known == asked)
    }

    /// The long form in lower case; None for [`Name::OTHER`].
    #[must_use]
    pub fn text(self) -> Option<&'static [u8]> {
        KNOWN.get(usize::from(self.0).wrapping_sub(1)).copied()
    }

    /// Its bit among the names that a message has.
    pub(crate) fn bit(self) -> u128 {
        if self == Name::OTHER { 0 } else { 1 << self.0 }
    }

    /// Of these a second line makes the message ambiguous.
    pub(crate) fn is_single(self) -> bool {
        self.0 > Name::VIA.0 && self.0 <= Name::LAST_SINGLE.0
    }
}

fn find(name: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> Name {
    if name.is_empty() {
        return Name::OTHER;
    }
    let mut slot = hash(name);
    loop {
        let number = TABLE[slot];
        match KNOWN.get(usize::from(number).wrapping_sub(1)) {
            None => return Name::OTHER,
            Some(known) if same(known, name) => return Name(number),
            Some(_) => slot = (slot + 1) % SLOTS,
        }
    }
}

/// Of a name that is not empty; the same whatever the case of its letters.
const fn hash(name: &[u8]) -> usize {
    let size = name.len();
    let (first, middle, last) = (name[0] | 0x20, name[size / 2] | 0x20, name[size - 1] | 0x20);
    (size * 31 + first as usize * 7 + middle as usize * 13 + last as usize * 61) % SLOTS
}

const fn table() -> [u8; SLOTS] {
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < KNOWN.len() {
        let mut slot = hash(KNOWN[at]);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = at as u8 + 1;
        at += 1;
    }
    table
}

const fn letters() -> [u8; 256] {
    let mut letters = [0; 256];
    let mut at = 0;
    while at < COMPACT.len() {
        let (letter, long) = COMPACT[at];
        let mut number = 0;
        while !same(KNOWN[number], long) {
            number += 1;
        }
        letters[letter as usize] = number as u8 + 1;
        letters[letter.to_ascii_uppercase() as usize] = number as u8 + 1;
        at += 1;
    }
    letters
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_every_case() {
        for (at, name) in KNOWN.iter().enumerate() {
            let number = Name(u8::try_from(at).unwrap() + 1);
            assert_eq!(Name::canonical(name), number);
            assert_eq!(Name::received(name), number);
            assert_eq!(Name::received(&name.to_ascii_uppercase()), number);
            assert_eq!(Name::canonical(&name.to_ascii_uppercase()), Name::OTHER);
            assert_eq!(number.text(), Some(*name));
        }
    }

    #[test]
    fn the_numbers_that_have_names_are_those() {
        let numbered: [(Name, &[u8]); 6] = [
            (Name::VIA, b"via"),
            (Name::FROM, b"from"),
            (Name::TO, b"to"),
            (Name::CALL_ID, b"call-id"),
            (Name::CSEQ, b"cseq"),
            (Name::CONTENT_LENGTH, b"content-length"),
        ];
        for (name, text) in numbered {
            assert_eq!(name.text(), Some(text));
        }
        assert!(Name::canonical(b"content-type").is_single());
        assert!(!Name::canonical(b"accept").is_single());
        assert!(!Name::VIA.is_single());
        assert!(!Name::OTHER.is_single());
    }

    #[test]
    fn compact_forms_and_what_is_none() {
        assert_eq!(Name::received(b"I"), Name::CALL_ID);
        assert_eq!(Name::canonical(b"i"), Name::OTHER);
        assert_eq!(Name::received(b"z"), Name::OTHER);
        assert_eq!(Name::received(b""), Name::OTHER);
        assert_eq!(Name::received(b"x-own"), Name::OTHER);
        assert_eq!(Name::OTHER.text(), None);
    }
}
