"""Which numbers leave (relay.renumber)."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from relay.forward.base import DropReason
from relay.renumber import Renumbering
from relay.rtp.numbering import Numbering
from relay.rtp.srtp import new_session
from relay.stats import Reception
from tests.relay.rig import rtp
from tests.relay.srtp_tools import key_of

SUITE = "AEAD_AES_128_GCM"


class Sender:
    """What the slow path does with each packet, without the sockets."""

    def __init__(self, *, continuity: bool, keyed: bool = True) -> None:
        self.renumbering = Renumbering(continuity=continuity)
        self.reception = Reception({0: 8000})
        key = key_of(SUITE)
        self.session = new_session(SUITE, key) if keyed else None
        self.receiver = new_session(SUITE, key)
        self.now = 100.0
        self.sent: list[tuple[int, int, int]] = []

    def send(self, ssrc: int, sequence: int, timestamp: int = 0) -> Numbering | DropReason | int:
        """The numbering, why there is none, or the session's failure."""
        self.now += 0.02
        sequence &= 0xFFFF
        found = self.renumbering.consider(
            ssrc, sequence, timestamp, self.reception, self.session, self.now
        )
        uncounted = found == DropReason.SEQUENCE and ssrc != self.reception.ssrc
        if found != DropReason.SSRC and not uncounted:
            self.reception.packet(0, sequence, timestamp, ssrc, 172, self.now)
        if isinstance(found, DropReason):
            return found
        out = (
            sequence + found.sequence & 0xFFFF,
            timestamp + found.timestamp & 0xFFFFFFFF,
            found.out_ssrc,
        )
        if self.session is not None:
            packet = rtp(out[0], b"", ssrc=out[2], timestamp=out[1])
            sealed = self.session.protect(packet)
            if isinstance(sealed, int):
                return sealed
            assert self.receiver.unprotect(sealed) == packet
        self.sent.append(out)
        return found


def test_the_first_source_keeps_its_numbers():
    sender = Sender(continuity=True)
    for number in (65_534, 65_535, 0, 1):
        sender.send(7, number, 5)
    assert sender.sent == [(n, 5, 7) for n in (65_534, 65_535, 0, 1)]
    assert sender.renumbering.settled == 1


def test_a_key_that_has_been_used_before_is_gone_on_with():
    """Another object than the one that has used it: the numbers are found again."""
    sender = Sender(continuity=False)
    sender.send(7, 100)
    sender.renumbering = Renumbering(continuity=False)
    sender.send(7, 101)
    assert sender.sent[-1] == (101, 0, 7)
    sender.renumbering = Renumbering(continuity=False)
    sender.reception = Reception({})
    sender.send(7, 40_000)
    assert sender.sent[-1] == (102, 0, 7)


def test_a_source_beside_the_current_one_becomes_it_after_a_second():
    sender = Sender(continuity=False)
    sender.send(1, 10)
    sender.send(2, 900)
    assert sender.renumbering.current.ssrc == 1
    sender.now += 1.0
    sender.send(2, 901)
    assert sender.renumbering.current.ssrc == 2
    sender.send(1, 11)
    assert sender.renumbering.current.ssrc == 2
    assert sender.sent == [(10, 0, 1), (900, 0, 2), (901, 0, 2), (11, 0, 1)]


def test_a_source_beside_that_numbers_anew_is_numbered_on():
    sender = Sender(continuity=False)
    sender.send(1, 10)
    sender.send(2, 30_000)
    assert sender.send(2, 20_000) == DropReason.SEQUENCE
    sender.send(2, 20_001)
    assert sender.sent[-1] == (30_001, 0, 2)


def test_sources_beside_are_counted():
    sender = Sender(continuity=False)
    for ssrc in range(66):
        last = sender.send(ssrc, 1)
        sender.now -= 0.02
    assert last == DropReason.SSRC


def test_where_numbers_have_come_from_and_gone_to():
    sender = Sender(continuity=True)
    sender.send(1, 10)
    sender.send(2, 500)
    renumbering = sender.renumbering
    assert renumbering.of(2) is renumbering.current is renumbering.sent_as(1)
    assert renumbering.of(1) is renumbering.sent_as(2) is None
    plain = Sender(continuity=False)
    plain.send(1, 10)
    plain.send(2, 500)
    assert plain.renumbering.of(2) is plain.renumbering.sent_as(2)
    assert plain.renumbering.of(1) is plain.renumbering.sent_as(1) is not None
    assert plain.renumbering.of(3) is None


steps = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),
        st.one_of(st.just(1), st.integers(-3, 3), st.integers(-(1 << 16), 1 << 16)),
        st.sampled_from([0.0, 0.0, 0.6, 2.0]),
    ),
    max_size=60,
)


@given(steps, st.booleans())
@example([(1, -11, 0.0), (1, -5131, 0.0), (2, 1, 0.0)], False)
def test_whatever_comes_no_index_is_used_twice_and_the_receiver_follows(moves, continuity):
    """`Sender.send` holds that the receiver opens each packet; the session, that no index is
    given twice. Here: a source that starts anew is heard by its third packet."""
    sender = Sender(continuity=continuity)
    numbers = {1: 10, 2: 30_000, 3: 65_530}
    for ssrc, step, pause in moves:
        numbers[ssrc] += step
        sender.now += pause
        sender.send(ssrc, numbers[ssrc])
    sender.now += 10.0
    numbers[1] += 5000
    for _ in range(3):
        numbers[1] += 1
        last = sender.send(1, numbers[1])
    assert isinstance(last, Numbering)


@given(steps)
def test_with_continuity_there_is_one_source_whose_numbers_grow(moves):
    sender = Sender(continuity=True, keyed=False)
    numbers = {1: 10, 2: 30_000, 3: 65_530}
    for ssrc, step, pause in moves:
        numbers[ssrc] += max(step, 1) if step < 3000 else 1
        sender.now += pause
        sender.send(ssrc, numbers[ssrc], numbers[ssrc] * 160)
    assert len({one[2] for one in sender.sent}) <= 1
    for before, after in zip(sender.sent, sender.sent[1:], strict=False):
        assert 0 < (after[0] - before[0]) & 0xFFFF < 3000
