"""The vectors of RFC 3711 Appendix B, RFC 6188 §7 and RFC 7714 §16, §17."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.rtp.counter_mode import CounterSession
from relay.rtp.gcm import GcmSession
from relay.rtp.session import Failure
from relay.rtp.suites import SUITES, Label, MasterKey

FOLDER = Path(__file__).parents[1] / "vectors" / "srtp"


def vectors(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


class SessionKeys:
    """In the place of a MasterKey: the vectors name the derived keys themselves."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._key, self._salt = key, salt

    def derive(self, label: Label, size: int) -> bytes:
        kind = label % 3
        found = (self._key, bytes(20), self._salt)[kind]
        assert len(found) == size
        return found


@pytest.mark.parametrize(
    ("file", "name", "suite"),
    [
        ("rfc3711", "kdf", "AES_CM_128_HMAC_SHA1_80"),
        ("rfc6188", "kdf_192", "AES_192_CM_HMAC_SHA1_80"),
        ("rfc6188", "kdf_256", "AES_256_CM_HMAC_SHA1_80"),
    ],
)
def test_keys_are_derived(file, name, suite):
    vector = vectors(file)[name]
    master = MasterKey(
        SUITES[suite], bytes.fromhex(vector["master_key"]) + bytes.fromhex(vector["master_salt"])
    )
    for label, field in (
        (Label.RTP_CIPHER, "cipher_key"),
        (Label.RTP_AUTH, "auth_key"),
        (Label.RTP_SALT, "cipher_salt"),
    ):
        expected = bytes.fromhex(vector[field])
        assert master.derive(label, len(expected)) == expected


@pytest.mark.parametrize(
    ("file", "name", "suite"),
    [
        ("rfc3711", "aes_cm", "AES_CM_128_HMAC_SHA1_80"),
        ("rfc6188", "aes_192_cm", "AES_192_CM_HMAC_SHA1_80"),
        ("rfc6188", "aes_256_cm", "AES_256_CM_HMAC_SHA1_80"),
    ],
)
def test_the_keystream_is_that_of_the_vectors(file, name, suite):
    """Of SSRC 0 and index 0: zeros become the keystream. Blocks from 0xfeff on are behind the end
    of any packet."""
    vector = vectors(file)[name]
    keys = SessionKeys(
        bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt_shifted"].removesuffix("0000"))
    )
    blocks = {int(one["counter"][-4:], 16): one["keystream"] for one in vector["blocks"]}
    near = [number for number in blocks if number < 100]
    session = CounterSession(SUITES[suite], keys, b"", 0)
    packet = b"\x80\x00\x00\x00" + bytes(8) + bytes(16 * (max(near) + 1))
    protected = session.protect(packet)
    stream = protected[12:]
    assert near == [0, 1, 2]
    for number in near:
        assert stream[16 * number : 16 * number + 16].hex() == blocks[number]


@pytest.mark.parametrize("section", ["16.1.1", "16.2.1", "16.1.2", "16.2.2"])
def test_gcm_protects_and_unprotects_rtp(section):
    vector = next(one for one in vectors("rfc7714")["vectors"] if one["section"] == section)
    session = gcm(vector)
    packet = bytes.fromhex(vector["input"])
    if section.endswith("1"):
        assert session.protect(packet).hex() == vector["output"]
    else:
        assert session.unprotect(packet)[12:].hex() == vector["output"]


def gcm(vector):
    keys = SessionKeys(bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"]))
    suite = SUITES[f"AEAD_AES_{len(vector['key']) * 4}_GCM"]
    return GcmSession(suite, keys, b"", 0)


def test_gcm_protects_rtcp():
    vector = next(one for one in vectors("rfc7714")["vectors"] if one["section"] == "17.1")
    session = gcm(vector)
    session.resume_rtcp(0x5D4)
    assert session.protect_rtcp(bytes.fromhex(vector["input"])).hex() == vector["output"]
    assert session.rtcp_index == 0x5D5


def test_gcm_unprotects_rtcp():
    vector = next(one for one in vectors("rfc7714")["vectors"] if one["section"] == "17.2")
    session = gcm(vector)
    assert session.unprotect_rtcp(bytes.fromhex(vector["input"])).hex() == vector["output"]
    assert session.rtcp_index == 0x5D5


@pytest.mark.parametrize("section", ["17.3", "17.4"])
def test_rtcp_in_the_clear_is_refused_however_authentic(section):
    vector = next(one for one in vectors("rfc7714")["vectors"] if one["section"] == section)
    name = "output" if section == "17.3" else "input"
    assert gcm(vector).unprotect_rtcp(bytes.fromhex(vector[name])) == Failure.AUTH


@pytest.mark.parametrize("section", ["16.1.3", "16.2.3"])
def test_rtp_in_the_clear_is_refused_however_authentic(section):
    vector = next(one for one in vectors("rfc7714")["vectors"] if one["section"] == section)
    assert gcm(vector).unprotect(bytes.fromhex(vector["output"])) == Failure.AUTH
