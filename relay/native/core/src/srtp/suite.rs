//! The crypto suites (RFC 4568 §6.2, RFC 6188 §2, RFC 7714 §12 and §14).

/// A cipher, an authentication and their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES_CM_128_HMAC_SHA1_80.
    AesCm128Sha1_80 = 0,
    /// AES_CM_128_HMAC_SHA1_32: SRTCP keeps its tag of 80 bits (RFC 4568 §6.2.2).
    AesCm128Sha1_32 = 1,
    /// AES_192_CM_HMAC_SHA1_80.
    AesCm192Sha1_80 = 2,
    /// AES_192_CM_HMAC_SHA1_32.
    AesCm192Sha1_32 = 3,
    /// AES_256_CM_HMAC_SHA1_80.
    AesCm256Sha1_80 = 4,
    /// AES_256_CM_HMAC_SHA1_32.
    AesCm256Sha1_32 = 5,
    /// AEAD_AES_128_GCM.
    AesGcm128 = 6,
    /// AEAD_AES_256_GCM.
    AesGcm256 = 7,
}

impl Suite {
    /// All of them, in the order of their numbers.
    pub const ALL: [Suite; 8] = [
        Suite::AesCm128Sha1_80,
        Suite::AesCm128Sha1_32,
        Suite::AesCm192Sha1_80,
        Suite::AesCm192Sha1_32,
        Suite::AesCm256Sha1_80,
        Suite::AesCm256Sha1_32,
        Suite::AesGcm128,
        Suite::AesGcm256,
    ];

    /// By its name in SDP.
    pub fn by_name(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Its name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesCm128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AesCm192Sha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Suite::AesCm192Sha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Suite::AesCm256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AesGcm128 => "AEAD_AES_128_GCM",
            Suite::AesGcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of the master key, which are those of the session's cipher key as well.
    pub const fn key_size(self) -> usize {
        match self {
            Suite::AesCm128Sha1_80 | Suite::AesCm128Sha1_32 | Suite::AesGcm128 => 16,
            Suite::AesCm192Sha1_80 | Suite::AesCm192Sha1_32 => 24,
            Suite::AesCm256Sha1_80 | Suite::AesCm256Sha1_32 | Suite::AesGcm256 => 32,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_size(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Bytes of an SRTP packet's tag.
    pub const fn rtp_tag_size(self) -> usize {
        match self {
            Suite::AesCm128Sha1_32 | Suite::AesCm192Sha1_32 | Suite::AesCm256Sha1_32 => 4,
            _ => self.rtcp_tag_size(),
        }
    }

    /// Bytes of an SRTCP packet's tag.
    pub const fn rtcp_tag_size(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }

    /// Whether cipher and authentication are one (RFC 7714).
    pub const fn is_aead(self) -> bool {
        matches!(self, Suite::AesGcm128 | Suite::AesGcm256)
    }
}
