"""What a trunk says about its media: words, and whether they fit each other."""

from __future__ import annotations

import pytest

from policies.media import SUITES, Dtmf, RtcpMux, Srtp, TrunkMedia
from tests.config.files import check

FILE = """\
realms:
  a: {{ listen: "udp:10.0.0.1:5060", media: {{ address: 10.0.0.1, ports: 12000-12999 }}{realm} }}
trunks:
  t: {{ realm: a, peers: 10.0.0.2{trunk} }}
routes: [{{ from: t, to: t }}]
"""


def checked(trunk: str = "", realm: str = ""):
    return check(FILE.format(trunk=trunk and f", {trunk}", realm=realm and f", {realm}"))


def media_of(trunk: str) -> TrunkMedia:
    settings = checked(trunk).settings
    assert settings is not None
    return settings.policies.trunks[0].media


def test_nothing_said_is_clear_media_of_any_codec() -> None:
    assert media_of("") == TrunkMedia()


def test_all_that_can_be_said() -> None:
    media = media_of(
        "srtp: required, srtp_suites: aead_aes_128_gcm, rtcp_mux: offer, dtmf: info-digit,"
        " codecs: { allow: [PCMA, opus/48000], strip: G729, order: PCMA, single: true, ptime: 30 }"
    )
    assert (media.srtp, media.suites) == (Srtp.REQUIRED, ("AEAD_AES_128_GCM",))
    assert (media.rtcp_mux, media.dtmf) == (RtcpMux.OFFER, Dtmf.INFO_DIGIT)
    codecs = media.codecs
    assert (codecs.allow, codecs.strip) == (("PCMA", "opus/48000"), ("G729",))
    assert (codecs.order, codecs.single, codecs.ptime_ms) == (("PCMA",), True, 30)


@pytest.mark.parametrize(
    ("trunk", "words"),
    [
        ("srtp: yes", "trunks.t.srtp: expected off, preferred or required"),
        ("srtp_suites: AES_CM_128", f"expected one of {', '.join(SUITES)}"),
        ("codecs: { allow: [8] }", "expected the name of a codec as in SDP"),
        ("codecs: { allow: [a b] }", "expected the name of a codec as in SDP"),
        ("codecs: { ptime: 1 }", "expected a number of milliseconds from 5 to 200"),
        ("codecs: { order: PCMA, odrer: PCMU }", "odrer"),
        ("rtcp_mux: true", "trunks.t.rtcp_mux: expected off, accept or offer"),
        ("dtmf: rfc2833", "trunks.t.dtmf: expected auto, rfc4733, info or info-digit"),
        ("srtp: required, srtp_suites: []", "trunks.t.srtp_suites: expected at least one suite"),
        (
            "nat: always, latch: asymmetric",
            "expected signalled or any behind NAT (`nat: always`), got asymmetric",
        ),
        ("codecs: { allow: pcma, strip: PCMA }", "expected a codec that `strip` leaves, got none"),
    ],
)
def test_wrong_words_get_one_clear_line(trunk: str, words: str) -> None:
    (error,) = checked(trunk).errors
    assert words in str(error)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("G.711", "PCMU, PCMA"),
        ("g711", "PCMU, PCMA"),
        ("G711U", "PCMU"),
        ("G711-ulaw", "PCMU"),
        ("ULAW/8000", "PCMU"),
        ("G.711a", "PCMA"),
        ("alaw", "PCMA"),
        ("G.722", "G722"),
        ("G.722.1", "G7221"),
        ("G.722.2", "AMR-WB"),
        ("G.723.1", "G723, or both"),
        ("G726", "G726-32"),
        ("G.729", "G729"),
        ("G729A", "G729, or both"),
        ("AMRWB", "AMR-WB"),
        ("DTMF", "telephone-event"),
        ("RFC2833", "telephone-event"),
        ("telephone_event", "telephone-event"),
    ],
)
@pytest.mark.parametrize("key", ["allow", "strip", "order"])
def test_a_codec_by_a_name_that_no_sdp_has_is_told_what_to_write(key, name, right) -> None:
    (error,) = checked(f"codecs: {{ {key}: [opus, {name}] }}").errors
    assert error.text == f'expected an encoding name of RTP, got "{name}" (write {right})'
    assert error.key == f"trunks.t.codecs.{key}[2]"


def test_a_name_that_telephones_send_though_it_is_wrong_may_stand_beside_the_right_one() -> None:
    assert media_of("codecs: { allow: [G729a/8000, PCMU, G729] }").codecs.allow[0] == "G729a/8000"


def test_codecs_by_their_names_and_those_that_we_do_not_know_are_taken() -> None:
    names = ("PCMU", "pcma/8000", "g722", "G729", "G7221", "G723", "G726-32", "AMR", "amr-wb")
    names += ("iLBC", "opus/48000", "telephone-event", "CN", "GSM-EFR", "X-NEW.codec_1")
    assert media_of(f"codecs: {{ allow: [{', '.join(names)}] }}").codecs.allow == names


def test_keys_over_clear_signalling_are_worth_a_note() -> None:
    (note,) = checked("srtp: preferred").notes
    assert "trunks.t.srtp: note: its keys cross udp" in str(note)


@pytest.mark.parametrize(
    ("word", "dscp"), [("ef", 46), ("CS3", 24), ("af31", 26), ("0", 0), ("63", 63)]
)
def test_marks_by_name_and_by_number(word: str, dscp: int) -> None:
    settings = checked(realm=f"dscp: {word}").settings
    assert settings is not None
    assert settings.relay.media[0].dscp == dscp


@pytest.mark.parametrize("word", ["64", "-1", "af54", "true", "[ef]"])
def test_marks_that_are_none(word: str) -> None:
    (error,) = checked(realm=f"dscp: {word}").errors
    assert "expected a name such as ef, cs3 or af31, or a number from 0 to 63" in str(error)
