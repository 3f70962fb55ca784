"""Whatever a peer sends, in whatever order: nothing raises, nothing grows, nothing stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.transaction.layer import Cancel, New
from tests.transaction.build import (
    TCP_HOP,
    UDP_HOP,
    Bench,
    a_response,
    client_request,
    theirs,
)

BRANCHES = st.sampled_from([b"", b"z9hG4bK", b"z9hG4bKone", b"Z9HG4bKONE", b"z9hG4bKtwo", b"old"])
METHODS = st.sampled_from([b"INVITE", b"ACK", b"CANCEL", b"BYE", b"OPTIONS", b"invite", b"X-NEW"])
REQUESTS = st.builds(
    lambda method, branch, tag, cseq: theirs(
        method, branch, to=b"<sip:alice@192.0.2.10>" + tag, cseq=b"%d" % cseq
    ),
    METHODS,
    BRANCHES,
    st.sampled_from([b"", b";tag=ours", b";tag=theirs"]),
    st.sampled_from([0, 1, 2**31 - 1]),
)
RESPONSES = st.builds(
    lambda status, branch, method, tag: a_response(
        b"SIP/2.0 %d What\r\nVia: SIP/2.0/UDP 192.0.2.10%b\r\nFrom: <sip:a@b>;tag=ours\r\n"
        b"To: <sip:c@d>%b\r\nCall-ID: call\r\nCSeq: 7 %b\r\nContent-Length: 0\r\n\r\n"
        % (status, b";branch=" + branch if branch else b"", tag, method)
    ),
    st.integers(100, 699),
    BRANCHES,
    METHODS,
    st.sampled_from([b"", b";tag=one", b";tag=two"]),
)
STEPS = st.lists(
    st.one_of(
        REQUESTS,
        RESPONSES,
        st.integers(100, 699),  # we answer the oldest request that has no final answer
        st.sampled_from([0.2, 5.0, 33.0]),  # time passes
        st.sampled_from(["request", "cancel", "fail"]),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS, st.sampled_from([UDP_HOP, TCP_HOP]))
def test_nothing_that_a_peer_sends_raises_or_stays(steps, hop) -> None:
    bench = Bench()
    layer = bench.layer
    ours = [layer.request(client_request(), hop, "user", 0.0)]
    pending = []
    for number, step in enumerate(steps):
        if isinstance(step, float):
            bench.run(bench.now + step)
        elif isinstance(step, int):
            if pending:
                bench.respond(pending[0], step)
                if step >= 200 and step != 408:
                    pending.pop(0)
        elif step == "request":
            request = client_request(b"BYE", b"z9hG4bK%d" % number)
            ours.append(layer.request(request, hop, "user", bench.now))
        elif step == "cancel":
            layer.cancel(ours[0], bench.now)
        elif step == "fail":
            layer.transport_failed(hop, ours[-1].request and b"z9hG4bKone", bench.now)
        elif hasattr(step, "status"):
            layer.receive_response(step, hop, bench.now)
        else:
            received = layer.receive_request(step, hop, bench.now)
            if isinstance(received, New | Cancel):
                pending.append(received.transaction)
    for txn in pending:
        bench.respond(txn, 500)
    layer.cancel(ours[0], bench.now)
    bench.run(bench.now + 200.0)
    # What a real user ends by its own timer: an INVITE that got a 1xx and never an end.
    layer.cancel(ours[0], bench.now)
    bench.run(bench.now + 200.0)
    assert len(layer) == 0
    assert len(layer.timers) == 0
    assert all(count >= 0 for count in layer.counters.values())
