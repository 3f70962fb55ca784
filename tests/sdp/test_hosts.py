"""The rule for lines that we do not know: do they hold an address or a host name?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.sdp.hosts import holds_host
from sbc.sdp.lines import MEANINGS
from sbc.sdp.sections import SECTIONS

NONE = """
a=fmtp:101 0-16
a=fmtp:101 0-15,66,70
a=rtpmap:96 opus/48000/2
a=rtpmap:97 AMR-WB/16000/1
a=rtpmap:107 vnd.onvif.metadata/90000
a=fmtp:97 mode-change-capability=2; max-red=220; mode-set=0,1,2
a=fmtp:97 profile-level-id=42e01f;packetization-mode=1;sprop-parameter-sets=Z0IAKZWoPAET8uA=,aM4==
a=fmtp:99 br=5.9-24.4; bw=nb-swb
a=ptime:20
a=ptime:20.0
a=framerate:29.97
a=x-version:1.0
a=x-version:1.2.3
a=charset:ISO-8859-1
a=label:main-audio
a=mid:0
a=group:LS 1 2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 urn:3gpp:video-orientation
a=rtcp-fb:* ccm fir
a=rtcp-xr:rcvr-rtt=all:10000
a=imageattr:97 send [x=640,y=480] recv *
a=silenceSupp:off - - - -
a=curr:qos local none
a=T38FaxMaxBuffer:260
a=sctp-port:5000
a=zrtp-hash:1.10 fe30efd02423cb054e50efd0248742ac7a52c8f91bc2df881ae642c371ba46df
a=sendrecv
a=inactive
b=AS:64
b=TIAS:64000
y=plain
"""

SOME = """
a=x-foo:10.1.2.3
a=x-foo:v10.1.2.3x
a=10.1.2.3
a=path:msrp://host.example:2855/s;tcp
a=x:pbx.internal
a=x:PBX.INTERNAL.
a=x:pbx%2einternal
a=x:2001:db8::1
a=x:[2001:db8::1]:5060
a=x:fe80::1%25eth0
a=x:::1
a=x:2001:db8:0:0:0:0:0:1
a=2001:db8:0:0:0:0:0:1
a=x:::ffff:10.1.2.3
a=x:sip:alice@pbx
a=x:alice@[fd00::1]
a=x:http://pbx/
a=x:localhost
a=x:pbx:5060
a=x:via pbx:5060;lr
a=x:ip-10-1-2-3
a=x:b\u00fccher.example
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:96 pbx.internal/8000
a=fmtp:96 url=pbx.internal
b=X-pbx.internal:1
b=AS:pbx.internal
y=pbx.internal
t=0 pbx.internal
"""

PRIVATE = """
a=candidate:1 1 UDP 1 h 1 typ host
a=remote-candidates:1 h 1
a=end-of-candidates
a=ice-ufrag:x
a=ice-lite
a=ICE-Pwd:x
a=rtcp:5001
a=rtcp
a=rtcp :5001
a= rtcp:5001
a=
a=x y:1
a=é:1
a=rtcp\t5001
a=rtcp-mux
a=rtcp-mux-only
a=crypto:1 x inline:y
a=fingerprint:sha-256 AB
a=setup:actpass
a=connection:new
a=tool:x
a=cname:x
a=ssrc:1 x
a=ssrc-group:FID 1 2
a=msid:x
a=msid-semantic: WMS
a=group:BUNDLE 0 1
a=group: bundle 0 1
a=bundle-only
a=key-mgmt:mikey x
a=tls-id:x
a=acap:1 x
a=alt:x
a=source-filter: incl IN IP4 * x
a=sendrecv:pbx
i=x
u=x
e=x
p=x
k=clear:x
r=1 2 3
z=1 2
c=x
s=x
m=x
"""


def lines(text):
    return text.strip("\n").split("\n")


@pytest.mark.parametrize("line", lines(NONE))
def test_lines_without_a_host_cross(line):
    assert MEANINGS[line.encode()].crosses


@pytest.mark.parametrize("line", lines(SOME))
def test_lines_with_a_host_do_not_cross(line):
    assert not MEANINGS[line.encode()].crosses


@pytest.mark.parametrize("line", lines(PRIVATE))
def test_what_belongs_to_one_side_does_not_cross(line):
    assert not MEANINGS[line.encode()].crosses


@given(st.ip_addresses(), st.binary(max_size=8), st.binary(max_size=8))
def test_every_address_is_seen_wherever_it_stands(address, before, after):
    assert holds_host(before + b" " + str(address).encode() + b" " + after)


@given(st.ip_addresses(v=6))
def test_every_address_is_seen_in_its_long_form(address):
    assert holds_host(address.exploded.encode())


@given(st.binary(max_size=300))
def test_a_line_means_the_same_twice(line):
    assert MEANINGS[line] == MEANINGS[line]


def test_the_table_of_known_lines_stays_small():
    for number in range(10_000):
        assert MEANINGS[b"a=x:%d" % number].crosses
    assert len(MEANINGS) <= 4_096
    assert MEANINGS[b"a=" + b"x" * 10_000].crosses
    assert all(len(line) <= 160 for line in MEANINGS)


def test_the_table_of_known_sections_stays_small():
    for number in range(3_000):
        assert SECTIONS[b"\r\na=x:%d" % number].rest
    assert len(SECTIONS) <= 1_024
    assert SECTIONS[b"\r\na=" + b"x" * 10_000].rest
    assert all(len(text) <= 1_024 for text in SECTIONS)
