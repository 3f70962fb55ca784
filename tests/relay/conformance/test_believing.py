"""The latch through a whole call: forks, early media, one way, and floods at a live port."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from relay.control.messages import Srtp
from relay.rtp.srtp import new_session
from tests.relay.rig import Talk, peer_pair, rtp
from tests.relay.srtp_tools import key_of, sealed, sender_report

SUITE = "AES_CM_128_HMAC_SHA1_80"


def says(talk: Talk, peer, number: int) -> list[bytes]:
    """What comes to A when somebody speaks to B's port."""
    peer.send(rtp(number), talk.to_b)
    talk.rig.run()
    return talk.a.received()


@pytest.mark.parametrize("nat", [False, True])
def test_each_fork_is_heard_while_its_answer_is_the_plans(rig, nat):
    """Early dialogs answer one offer from different places; the last answer is the plan."""
    talk = Talk(rig, b={"nat": nat})
    forks = [peer_pair(f"127.0.6.{host}") for host in (11, 12, 13)]
    for fork in forks:
        rig.peers += fork
    for number in range(3):
        for place, (fork, _) in enumerate(forks):
            talk.end_b = replace(talk.end_b, remote=fork.address)
            talk.apply()
            for other, (one, _) in enumerate(forks):
                sequence = 10 * number + place
                assert says(talk, one, sequence) == ([rtp(sequence)] if other == place else [])
            talk.a.send(rtp(5), talk.to_a)
            rig.run()
            assert [len(one.received()) for one, _ in forks] == [
                int(other == place) for other in range(3)
            ]


def test_early_media_before_any_answer_needs_a_reason_to_be_believed(rig):
    talk = Talk(rig, b={"nat": True, "sip_source": "127.0.6.11", "expects": False})
    talk.end_b = replace(talk.end_b, remote=None)
    talk.apply()
    gateway, stranger = rig.peer("127.0.6.11"), rig.peer("127.0.6.12")
    assert says(talk, stranger, 1) == []
    assert says(talk, gateway, 1) == [rtp(1)]
    talk.end_b = replace(talk.end_b, remote=gateway.address)
    talk.apply()  # the answer comes: the same place
    assert says(talk, gateway, 2) == [rtp(2)]
    assert says(talk, stranger, 3) == []


def test_early_media_from_elsewhere_than_the_answer_says_ends_with_it(rig):
    talk = Talk(rig, b={"nat": True, "sip_source": "127.0.6.11"})
    talk.end_b = replace(talk.end_b, remote=None)
    talk.apply()
    gateway, phone = rig.peer("127.0.6.11"), rig.peer("127.0.6.12")
    assert says(talk, gateway, 1) == [rtp(1)]
    talk.end_b = replace(talk.end_b, remote=phone.address)
    talk.apply()
    assert says(talk, phone, 1) == [rtp(1)]
    assert says(talk, gateway, 2) == []


def test_one_way_media_needs_nothing_of_the_other_way(rig):
    talk = Talk(rig, a={"nat": True}, b={"expects": False})
    for number in range(5):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    assert talk.b.received() == [rtp(n) for n in range(5)]
    assert talk.a.received() == []


def test_rtcp_of_an_srtp_peer_finds_its_own_way(rig):
    key = Srtp(SUITE, key_of(SUITE))
    talk = Talk(rig, a={"nat": True, "srtp_in": key})
    session, rtcp_from = new_session(SUITE, key.key), rig.peer("127.0.6.1")
    wire = session.protect_rtcp(sender_report())
    rig.peer("127.0.6.8").send(b"\x80\xc8" + bytes(60), (talk.to_a[0], talk.to_a[1] + 1))
    rtcp_from.send(wire, (talk.to_a[0], talk.to_a[1] + 1))
    talk.a.send(sealed(session, rtp(1)), talk.to_a)
    rig.run()
    assert len(talk.b_rtcp.received()) == 1
    talk.b_rtcp.send(sender_report(9), (talk.to_b[0], talk.to_b[1] + 1))
    rig.run()
    assert (len(rtcp_from.received()), talk.a_rtcp.received()) == (1, [])


# floods


def flood(talk: Talk, stranger, chance: random.Random, count: int) -> None:
    """Everything that an attacker beside the call may send to the ports of both sides."""
    for _ in range(count):
        for host, port in (talk.to_a, talk.to_b):
            for offset in (0, 1):
                junk = chance.choice(
                    (
                        rtp(chance.randrange(65536), ssrc=0x1234),
                        sender_report(),
                        b"\x81\xcb\x00\x01\x00\x00\x12\x34",  # BYE
                        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
                        chance.randbytes(chance.randrange(1, 200)),
                        b"",
                    )
                )
                stranger.send(junk, (host, port + offset))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("nat", [False, True])
def test_a_flood_beside_a_live_call_changes_nothing(rig, nat, secure):
    chance = random.Random(2)  # noqa: S311 - it is for a test
    key = Srtp(SUITE, key_of(SUITE)) if secure else None
    talk = Talk(rig, a={"nat": nat, "srtp_in": key}, b={"nat": nat})
    stranger = rig.peer("127.0.6.3")
    session = new_session(SUITE, key_of(SUITE))

    def speak(number: int) -> None:
        packet = rtp(number, b"from a")
        talk.a.send(sealed(session, packet) if secure else packet, talk.to_a)
        if number == 0:
            rig.run()  # of two sockets that are ready at once either may be the first
        talk.b.send(rtp(number, b"from b"), talk.to_b)

    speak(0)
    rig.run()
    speak(1)
    rig.run()
    got_a, got_b = talk.a.received(), talk.b.received()
    for number in range(2, 60):
        flood(talk, stranger, chance, 10)
        speak(number)
        rig.run()
        got_a += talk.a.received()
        got_b += talk.b.received()
    first = 1 if nat else 0  # behind NAT A's first packet comes before B has shown itself
    assert got_b == [rtp(n, b"from a") for n in range(first, 60)]
    assert got_a == [rtp(n, b"from b") for n in range(60)]
    for side in ("a", "b"):
        stats = rig.stats(side=side)
        assert (stats.packets, stats.lost) == (60, 0)
    assert stranger.all() == []
    assert talk.a_rtcp.received() == talk.b_rtcp.received() == []


def test_a_flood_with_the_peers_own_address_cannot_hurt_srtp(rig):
    """Forged as exactly as can be: what is not authentic uses nothing of the allowance, counts for
    nothing and never stands in the way of what is."""
    key = Srtp(SUITE, key_of(SUITE))
    talk = Talk(rig, a={"srtp_in": key})
    session = new_session(SUITE, key.key)
    got = []
    for number in range(40):
        for junk in range(30):
            talk.a.send(rtp(number + junk, bytes(170)), talk.to_a)
        talk.a.send(sealed(session, rtp(number)), talk.to_a)
        rig.run()
        got += talk.b.received()
    assert got == [rtp(n) for n in range(40)]
    stats = rig.stats(side="a")
    assert (stats.packets, stats.lost) == (40, 0)
    assert dict(stats.dropped) == {"srtp_auth": 1200}


def test_a_flood_that_lands_in_the_connected_socket_is_told_apart(rig):
    """Between its bind and its connect the kernel lets strangers in; they wait in its queue."""
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    talk.a.send(rtp(0), talk.to_a)
    rig.run()
    for _ in range(20):  # each plan with another address closes and opens the connected socket
        for port in (talk.b, talk.a):
            talk.end_a = replace(talk.end_a, remote=port.address)
            talk.apply()
            for number in range(5):
                stranger.send(rtp(1000 + number), talk.to_a)
            talk.a.send(rtp(1), talk.to_a)
            rig.run()
    assert rtp(1000) not in talk.b.received()
