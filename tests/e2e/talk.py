"""One party's part of a call, step by step, written out as a SIPp scenario.

For flows whose point is one header or one method: its steps stand beside what the test expects of
them. Every message bears its side's marker string where that must not cross, as those in
`scenarios/` do.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

__all__ = ["Talk"]

_TAG = "tag=[mark]-[pid]-[call_number]"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
_SDP = """\
v=0
o=[mark] 53655765 {version} IN IP4 [local_ip]
s=[mark]
c=IN IP4 [local_ip]
t=0 0
a=tool:[mark]
m=audio [auto_media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=x-name:[mark].example
a={direction}
"""


class Talk:
    """The steps of one party, in order; each method adds one.

    Args:
        calls: whether it is the caller.
        always: header lines of all that it sends, such as its Allow.
    """

    def __init__(self, *always: str, calls: bool) -> None:
        self._calls = calls
        self._always = always
        self._steps: list[str] = []
        self._names: list[str] = []
        """Variables of the scenario."""
        self._cseq = self._invited = 0
        self._invite_at = 0
        """Which step sent the last INVITE."""
        self._refused = False
        self._version = 0
        self._requests = 0
        """That it has heard, but CANCEL."""
        self._heard = ""

    def ask(self, method: str, media: str = "", *more: str, typed: str = "") -> Talk:
        """Send a request.

        Args:
            media: the direction of its SDP, "" where it has none; with `typed` the whole body.
            more: further header lines.
            typed: the type of another body.
        """
        first = self._calls and self._cseq == 0
        if method not in ("ACK", "CANCEL"):
            self._cseq += 1
        if method == "INVITE":
            self._invited, self._invite_at, self._refused = self._cseq, len(self._steps), False
        cseq = self._cseq if method not in ("ACK", "CANCEL") else self._invited
        to = "To: <sip:[service]@[remote_ip]>" + ("" if first else "[peer_tag_param]")
        ends = [f'From: "Alice" <sip:alice@[mark].example>;{_TAG}', to]
        if not self._calls:
            ends = [f"From: <sip:[service]@[mark].example>;{_TAG}", "To:[$invite_From]"]
        branch = "[branch]"
        if method == "CANCEL" or (method == "ACK" and self._refused):
            branch = f"[branch-{len(self._steps) - self._invite_at}]"  # RFC 3261 §9.1, §17.1.1.3
        uri = "sip:[service]@[remote_ip]:[remote_port]" if first else "[next_url]"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}-[mark];rport",
            *ends,
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            "User-Agent: [mark]-agent/1.0",
        ]
        return self._send([*lines, *more], media, typed, again=method != "ACK")

    def tell(
        self, status: int, media: str = "", *more: str, first: bool = False, fork: str = ""
    ) -> Talk:
        """Answer what was heard last, or the first INVITE, when more has been heard since.

        Args:
            fork: the end of the tag of one of several dialogs that the first INVITE has made.
        """
        first = first or fork != ""
        names = ("Via", "From", "To", "CSeq")
        via, from_, to, cseq = (
            f"{one}:[$invite_{one}]" if first else f"[last_{one}:]" for one in names
        )
        tag = f";{_TAG}{fork}" if first or (self._requests == 1 and not self._calls) else ""
        lines = [f"SIP/2.0 {status} Told", via, from_, to + tag]
        lines += ["[last_Call-ID:]", cseq, "Server: [mark]-agent/2.0"]
        again = status >= 200 and (first or self._heard == "INVITE")
        return self._send([*lines, *more], media, "", again=again)

    def hear(
        self,
        what: int | str,
        *checks: tuple[str, str],
        maybe: bool = False,
        keep: tuple[str, str, str] = ("", "", ""),
    ) -> Talk:
        """Wait for a status or a method.

        Args:
            checks: a header's name, or "body", and the expression that it must match; one with a
                `!` before it must not.
            maybe: whether it need not come.
            keep: a name, a header and an expression: what matches there is `[$name]` later on.
        """
        actions = [self._check(*one) for one in checks]
        kind = "response" if isinstance(what, int) else "request"
        if isinstance(what, int):
            self._refused = what >= 300 or self._refused
        else:
            self._heard = what
            self._requests += what != "CANCEL"
            if what == "INVITE" and self._requests == 1 and not self._calls:
                kept = ("Via", "From", "To", "CSeq")
                actions += [self._ereg(".*", where, f"invite_{where}") for where in kept]
        name, header, wanted = keep
        if name:
            actions.append(self._ereg(wanted, header, name, check=True))
        optional = ' optional="true"' if maybe else ""
        route = ' rrs="true"' if name or what in (200, "INVITE") else ""
        action = f"<action>{''.join(actions)}</action>" if actions else ""
        self._steps.append(f'<recv {kind}="{what}"{optional}{route}>{action}</recv>')
        return self

    def pause(self, milliseconds: int) -> Talk:
        """Say nothing for a while."""
        self._steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def write(self, path: Path) -> Path:
        """The whole scenario, for SIPp to read."""
        rest = '<timewait milliseconds="200"/>'
        if self._names:
            rest += f'<Reference variables="{",".join(dict.fromkeys(self._names))}"/>'
        steps = "\n".join(self._steps)
        path.write_text(f'{_HEAD}<scenario name="{path.stem}">\n{steps}\n{rest}\n</scenario>\n')
        return path

    def _send(self, lines: list[str], media: str, typed: str, *, again: bool) -> Talk:
        role = "caller" if self._calls else "called"
        at = "[local_ip]:[local_port];transport=[transport]"
        lines = [*lines, f'Contact: "[mark]" <sip:[mark]-{role}@{at}>', "X-Secret: [mark]"]
        lines += self._always
        body = media
        if media and not typed:
            self._version += 1
            body = _SDP.format(version=self._version, direction=media)
        if media:
            lines += [f"Content-Type: {typed or 'application/sdp'}"]
        text = "\n".join([*lines, "Content-Length: [len]", "", body or "\n"])
        retrans = ' retrans="500"' if again else ""
        self._steps.append(f"<send{retrans}><![CDATA[\n{text}\n]]></send>")
        return self

    def _check(self, where: str, wanted: str) -> str:
        return self._ereg(wanted, where, f"seen{len(self._names)}", check=True)

    def _ereg(self, wanted: str, where: str, name: str, *, check: bool = False) -> str:
        self._names.append(name)
        place = 'search_in="body"' if where == "body" else f'search_in="hdr" header="{where}:"'
        sense = ""
        if check:
            sense = ' check_it_inverse="true"' if wanted.startswith("!") else ' check_it="true"'
        expression = quoteattr(wanted.removeprefix("!"))
        return f'<ereg regexp={expression} {place}{sense} assign_to="{name}"/>'
