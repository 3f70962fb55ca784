//! From a master key to what protects packets (RFC 3711 §4.3, RFC 6188 §3, RFC 7714 §11).

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::cipher::Cipher;
use super::gcm::{self, Gcm};
use super::hmac::Hmac;
use super::{Error, Suite, WORD};

const AUTH_KEY: usize = 20;

/// What a derived key is for; RTCP's are three above RTP's (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
enum Label {
    Cipher = 0,
    Auth = 1,
    Salt = 2,
}

/// Which of the two protocols keys are for.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Rtp = 0,
    Rtcp = 3,
}

/// The pseudo-random function of one master key, with a key derivation rate of 0.
pub(super) struct Derivation {
    cipher: Cipher,
    salt: [u8; 16],
}

impl Derivation {
    /// Master key and master salt, one behind the other and of the suite's sizes. A salt of 12 bytes
    /// is followed by zeros.
    pub(super) fn new(suite: Suite, master: &[u8]) -> Derivation {
        let (key, salt) = master.split_at(suite.key_size());
        let mut padded = Zeroizing::new([0; 32]);
        padded[..key.len()].copy_from_slice(key);
        let cipher = Cipher::new(&padded, key.len());
        let mut padded = [0; 16];
        padded[..salt.len()].copy_from_slice(salt);
        Derivation { cipher, salt: padded }
    }

    fn derive(&self, protocol: Protocol, label: Label, key: &mut [u8]) {
        key.fill(0);
        let label = (protocol as u128 + label as u128) << 64;
        self.cipher.apply(u128::from_be_bytes(self.salt) ^ label, key);
    }
}

impl Drop for Derivation {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// The keys of one protocol under one master key. AES schedules and the powers of GHASH's key are
/// made for each packet.
pub(super) enum Keys {
    Cm { cipher: Cipher, salt: Zeroizing<[u8; 16]>, hmac: Hmac, tag: u8 },
    Gcm { gcm: Gcm, salt: Zeroizing<[u8; gcm::NONCE]> },
}

impl Keys {
    pub(super) fn new(suite: Suite, from: &Derivation, protocol: Protocol) -> Keys {
        let mut key = Zeroizing::new([0; 32]);
        from.derive(protocol, Label::Cipher, &mut key[..suite.key_size()]);
        let cipher = Cipher::new(&key, suite.key_size());
        if suite.is_aead() {
            let mut salt = Zeroizing::new([0; gcm::NONCE]);
            from.derive(protocol, Label::Salt, &mut salt[..]);
            return Keys::Gcm { gcm: Gcm::new(cipher), salt };
        }
        let mut salt = Zeroizing::new([0; 16]);
        from.derive(protocol, Label::Salt, &mut salt[..suite.salt_size()]);
        let mut auth = Zeroizing::new([0; AUTH_KEY]);
        from.derive(protocol, Label::Auth, &mut auth[..]);
        let tag = match protocol {
            Protocol::Rtp => suite.rtp_tag_size(),
            Protocol::Rtcp => suite.rtcp_tag_size(),
        };
        Keys::Cm { cipher, salt, hmac: Hmac::new(&auth[..]), tag: tag as u8 }
    }

    /// Protects the RTP packet in `buffer[..len]`, whose payload begins at `head`; the trailer
    /// goes behind it. There is room for it.
    ///
    /// Source: RFC 3711 §3.1, §4.1.1, §4.2; RFC 7714 §8.
    #[inline]
    pub(super) fn seal_rtp(&self, buffer: &mut [u8], part: &Part, id: Id, mki: &[u8]) {
        let Part { head, end } = *part;
        match self {
            Keys::Cm { cipher, salt, hmac, tag } => {
                cipher.apply(id.counter(salt), &mut buffer[head..end]);
                let code = hmac.code(&buffer[..end], &id.roc());
                let tag_at = end + mki.len();
                buffer[end..tag_at].copy_from_slice(mki);
                let tag = usize::from(*tag);
                buffer[tag_at..tag_at + tag].copy_from_slice(&code[..tag]);
            }
            Keys::Gcm { gcm, salt } => {
                let (aad, data) = buffer[..end].split_at_mut(head);
                let tag = gcm.seal(id.nonce(salt), aad, data);
                buffer[end..end + gcm::TAG].copy_from_slice(&tag);
                buffer[end + gcm::TAG..][..mki.len()].copy_from_slice(mki);
            }
        }
    }

    /// Verifies and decrypts the SRTP packet that fills `packet`, its payload being `part`.
    #[inline]
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        part: &Part,
        id: Id,
        mki: &[u8],
    ) -> Result<(), Error> {
        let Part { head, end } = *part;
        match self {
            Keys::Cm { cipher, salt, hmac, .. } => {
                let (message, trailer) = packet.split_at_mut(end);
                let (key_id, tag) = trailer.split_at(mki.len());
                same_key(key_id, mki)?;
                same_tag(&hmac.code(message, &id.roc()), tag)?;
                cipher.apply(id.counter(salt), &mut message[head..]);
            }
            Keys::Gcm { gcm, salt } => {
                let (message, trailer) = packet.split_at_mut(end);
                let (tag, key_id) = trailer.split_at(gcm::TAG);
                same_key(key_id, mki)?;
                let (aad, data) = message.split_at_mut(head);
                if !gcm.open(id.nonce(salt), aad, data, tag) {
                    return Err(Error::Authentication);
                }
            }
        }
        Ok(())
    }

    /// Protects the RTCP compound in `buffer[..end]`; the trailer goes behind it.
    ///
    /// Source: RFC 3711 §3.4; RFC 7714 §9.
    pub(super) fn seal_rtcp(&self, buffer: &mut [u8], part: &Part, id: Id, mki: &[u8]) {
        let Part { head, end } = *part;
        let word = id.rtcp_word();
        match self {
            Keys::Cm { cipher, salt, hmac, tag } => {
                cipher.apply(id.counter(salt), &mut buffer[head..end]);
                buffer[end..end + WORD].copy_from_slice(&word);
                let code = hmac.code(&buffer[..end + WORD], &[]);
                let tag_at = end + WORD + mki.len();
                buffer[end + WORD..tag_at].copy_from_slice(mki);
                let tag = usize::from(*tag);
                buffer[tag_at..tag_at + tag].copy_from_slice(&code[..tag]);
            }
            Keys::Gcm { gcm, salt } => {
                let (header, data) = buffer[..end].split_at_mut(head);
                let tag = gcm.seal(id.nonce(salt), &rtcp_aad(header, word), data);
                buffer[end..end + gcm::TAG].copy_from_slice(&tag);
                let word_at = end + gcm::TAG;
                buffer[word_at..word_at + WORD].copy_from_slice(&word);
                buffer[word_at + WORD..][..mki.len()].copy_from_slice(mki);
            }
        }
    }

    /// Verifies the SRTCP packet that fills `packet`, and decrypts `part` if the packet says that
    /// it is encrypted: with the flag clear it is authenticated only (RFC 3711 §3.4, RFC 7714 §9.3).
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        part: &Part,
        id: Id,
        encrypted: bool,
        mki: &[u8],
    ) -> Result<(), Error> {
        let Part { head, end } = *part;
        match self {
            Keys::Cm { cipher, salt, hmac, .. } => {
                let (message, trailer) = packet.split_at_mut(end + WORD);
                let (key_id, tag) = trailer.split_at(mki.len());
                same_key(key_id, mki)?;
                same_tag(&hmac.code(message, &[]), tag)?;
                if encrypted {
                    cipher.apply(id.counter(salt), &mut message[head..end]);
                }
            }
            Keys::Gcm { gcm, salt } => {
                let (message, trailer) = packet.split_at_mut(end);
                let (tag, behind) = trailer.split_at(gcm::TAG);
                let (word, key_id) = behind.split_at(WORD);
                same_key(key_id, mki)?;
                let nonce = id.nonce(salt);
                let authentic = if encrypted {
                    let (header, data) = message.split_at_mut(head);
                    gcm.open(nonce, &rtcp_aad(header, id.rtcp_word()), data, tag)
                } else {
                    gcm.open(nonce, &[message, word].concat(), &mut [], tag)
                };
                if !authentic {
                    return Err(Error::Authentication);
                }
            }
        }
        Ok(())
    }

    /// Where the word with an SRTCP packet's index is, of a compound that ends at `end`.
    pub(super) fn rtcp_word_at(&self, end: usize) -> usize {
        match self {
            Keys::Cm { .. } => end,
            Keys::Gcm { .. } => end + gcm::TAG,
        }
    }
}

/// Which bytes of a packet are encrypted.
pub(super) struct Part {
    pub(super) head: usize,
    pub(super) end: usize,
}

/// What makes a packet's key stream its own: its source and its index.
#[derive(Clone, Copy)]
pub(super) struct Id {
    pub(super) ssrc: u32,
    pub(super) index: u64,
}

impl Id {
    /// The first counter of AES-CM (RFC 3711 §4.1.1).
    fn counter(self, salt: &[u8; 16]) -> u128 {
        u128::from_be_bytes(*salt) ^ u128::from(self.ssrc) << 64 ^ u128::from(self.index) << 16
    }

    /// The roll-over counter, which is authenticated but not sent (RFC 3711 §4.2).
    fn roc(self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }

    /// Two octets of zero, SSRC and index in 48 bits, exclusive or with the salt (RFC 7714 §8.1;
    /// §9.1 for RTCP, whose index of 31 bits leaves the upper ones zero).
    pub(super) fn nonce(self, salt: &[u8; gcm::NONCE]) -> [u8; gcm::NONCE] {
        let mut nonce = *salt;
        let index = self.index.to_be_bytes();
        let id = self.ssrc.to_be_bytes().into_iter().chain(index.into_iter().skip(2));
        nonce[2..].iter_mut().zip(id).for_each(|(octet, id)| *octet ^= id);
        nonce
    }

    /// The encryption flag and the index (RFC 3711 §3.4).
    fn rtcp_word(self) -> [u8; WORD] {
        (1 << 31 | self.index as u32).to_be_bytes()
    }
}

/// Header and index of an encrypted SRTCP packet (RFC 7714 §9.2).
fn rtcp_aad(header: &[u8], word: [u8; WORD]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(header);
    aad[8..].copy_from_slice(&word);
    aad
}

/// The key's identifier is no secret.
fn same_key(found: &[u8], expected: &[u8]) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Mki) }
}

fn same_tag(code: &[u8; 20], tag: &[u8]) -> Result<(), Error> {
    if bool::from(code[..tag.len()].ct_eq(tag)) { Ok(()) } else { Err(Error::Authentication) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::{self, hex};

    #[test]
    fn keys_of_rfc_3711_and_rfc_6188() {
        for (file, name, suite) in [
            ("rfc3711", "kdf", Suite::AesCm128Sha1_80),
            ("rfc6188", "kdf_192", Suite::AesCm192Sha1_80),
            ("rfc6188", "kdf_256", Suite::AesCm256Sha1_80),
        ] {
            let vector = &vectors::read(file)[name];
            let master = [hex(&vector["master_key"]), hex(&vector["master_salt"])].concat();
            let derivation = Derivation::new(suite, &master);
            for (label, name) in [
                (Label::Cipher, "cipher_key"),
                (Label::Auth, "auth_key"),
                (Label::Salt, "cipher_salt"),
            ] {
                let expected = hex(&vector[name]);
                let mut derived = vec![0; expected.len()];
                derivation.derive(Protocol::Rtp, label, &mut derived);
                assert_eq!(derived, expected, "{file} {name}");
            }
        }
    }
}
