"""Two telephones: one calls and hangs up, one answers (RFC 3261, the least that a call needs).

Each is a small state kept in plain attributes and a task that reads what comes. They know nothing
of each other and of the border beyond what SIP tells them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from sbc.cli.agent.endpoint import Arrival, Endpoint, Send
from sbc.cli.agent.media import Address, MediaEnd
from sbc.cli.agent.messages import (
    Dialog,
    audio_address,
    build_request,
    description,
    new_branch,
    token,
    uri_host,
)
from sbc.errors import SbcError
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import ACK, BYE, CANCEL, INVITE, OPTIONS
from sbc.sip.uri import SipUri, parse_uri

__all__ = ["RING_S", "Answerer", "CallFailed", "Caller", "Milestones"]

_T1_S: Final = 0.5
_T2_S: Final = 4.0
RING_S: Final = 0.1
_TAIL_S: Final = 0.3
_RECORD_ROUTE: Final = frozenset({b"record-route"})

Say = Callable[[str], None]
Reach = Callable[[Address], Address]


class CallFailed(SbcError):
    """The call did not come about; the text says what happened instead."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """Of the border's refusal; None: something else went wrong."""


@dataclass(slots=True)
class Milestones:
    """When things happened, in seconds of one clock; None: they did not."""

    invited_s: float | None = None
    rang_s: float | None = None
    answered_s: float | None = None
    ended_s: float | None = None


class _Telephone:
    """What both have: an endpoint, media, and a reader of what comes."""

    def __init__(self, endpoint: Endpoint, media: MediaEnd, say: Say, reach: Reach) -> None:
        self.endpoint = endpoint
        self.media = media
        self.milestones = Milestones()
        self.hung_up = trio.Event()
        """A BYE came."""
        self._say = say
        self._reach = reach
        self._host = uri_host(endpoint.host)

    async def run(self) -> None:
        """Read what comes, for ever."""
        async with trio.open_nursery() as nursery:
            async for arrival in self.endpoint.arrivals:
                if isinstance(arrival.message, Response):
                    await self.take_response(arrival.message)
                else:
                    await self.take_request(arrival.message, arrival, nursery)

    async def take_response(self, response: Response) -> None:
        """A response; whoever asked nothing drops it."""

    async def take_request(self, request: Request, arrival: Arrival, nursery: trio.Nursery) -> None:
        """What every telephone answers; the rest is not implemented here."""
        base, reply = ReplyBase(request, arrival.source), arrival.reply
        if request.method == BYE:
            await reply(base.build(200))
            self.milestones.ended_s = trio.current_time()
            self.hung_up.set()
        elif request.method in (OPTIONS, CANCEL):
            await reply(base.build(200, to_tag=token()))
        elif request.method != ACK:
            await reply(base.build(501, to_tag=token()))

    async def stop_at_bye(self, scope: trio.CancelScope) -> None:
        """Cancel what goes on in `scope` when the other side hangs up."""
        await self.hung_up.wait()
        scope.cancel()

    def sdp(self) -> bytes:
        """PCMU here, both ways."""
        return description(self.endpoint.host, self.media.port)

    def contact(self, transport: str) -> bytes:
        """The Contact line."""
        suffix = b";transport=tcp" if transport == "tcp" else b""
        return b"Contact: <sip:test@%b:%d%b>\r\n" % (self._host, self.endpoint.port, suffix)

    def take_sdp(self, message: Message) -> None:
        """Where the other side wants its audio.

        Raises:
            CallFailed: no usable audio in it.
        """
        address = audio_address(message.body)
        if address is None:
            raise CallFailed(f"trunk {self.endpoint.trunk}: the SDP that came has no audio stream")
        self.media.remote = self._reach(address)


class Caller(_Telephone):
    """Calls, talks, hangs up."""

    def __init__(self, endpoint: Endpoint, media: MediaEnd, say: Say, reach: Reach) -> None:
        super().__init__(endpoint, media, say, reach)
        self._waiting: dict[bytes, trio.MemorySendChannel[Response]] = {}
        self._ack: tuple[bytes, Address] | None = None
        self._transport = "udp"
        self._cseq = 0

    async def call(
        self, number: str, border: Address, transport: str, duration_s: float, timeout_s: float
    ) -> None:
        """One call from INVITE to BYE.

        Args:
            number: user part of the request-URI.
            border: the listener that we call.
            transport: `udp` or `tcp`.
            duration_s: of the tone.
            timeout_s: from INVITE to answer.

        Raises:
            CallFailed, TransportError: it was refused, or nobody answered.
        """
        self._transport = transport
        with trio.move_on_after(timeout_s) as scope:
            dialog = await self._invite(number, border)
        if scope.cancelled_caught:
            raise CallFailed(f"no answer to INVITE within {timeout_s:g} s: is the border running?")
        await self._talk(duration_s)
        self._say("hanging up")
        with trio.move_on_after(timeout_s) as scope:
            await self._bye(dialog)
        if scope.cancelled_caught:
            raise CallFailed(f"no answer to BYE within {timeout_s:g} s")
        self.milestones.ended_s = trio.current_time()

    async def _talk(self, duration_s: float) -> None:
        """Play, and hear the other's last packets. Raises CallFailed if a BYE ends it."""
        self._say(f"talking for {duration_s:g} s, a tone each way")
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.stop_at_bye, nursery.cancel_scope)
            await self.media.play(duration_s)
            await trio.sleep(_TAIL_S)
            nursery.cancel_scope.cancel()
        if self.hung_up.is_set():
            passed_s = trio.current_time() - start
            raise CallFailed(f"the border hung up after {passed_s:.1f} s")

    async def take_response(self, response: Response) -> None:
        waiting = self._waiting.get(response.via.branch)
        if waiting is not None:
            try:
                waiting.send_nowait(response)
            except trio.WouldBlock:
                return
        elif self._ack is not None and response.cseq_method == INVITE and response.status < 300:
            await self.endpoint.send(*self._ack, self._transport)  # our ACK was lost (§13.2.2.4)

    async def _invite(self, number: str, border: Address) -> Dialog:
        name = uri_host(border[0]).decode()
        uri = f"sip:{number}@{name}:{border[1]}".encode()
        dialog = Dialog(
            call_id=token() + b"@" + self._host,
            local=b"<sip:test@%b>;tag=%b" % (self._host, token()),
            remote=b"<%b>" % uri,
            target=uri,
            address=border,
        )
        self._say(f"INVITE sent to {self._transport}:{name}:{border[1]}")
        self.milestones.invited_s = trio.current_time()
        head = self.contact(self._transport) + b"Content-Type: application/sdp\r\n"
        branch = new_branch()
        request = self._build(INVITE, dialog, branch, head, self.sdp())
        response = await self._transact(request, branch, border, self._note_progress)
        self._confirm(dialog, response)
        if response.status >= 300:
            # §17.1.1.3: this ACK belongs to the INVITE's transaction.
            await self._send(self._build(ACK, dialog, branch), border)
            reason = response.first(b"reason") or b""
            raise CallFailed(
                f"the border answered {response.status} "
                f"{response.reason.decode('utf-8', 'replace')}"
                + (f" ({reason.decode('utf-8', 'replace')})" if reason else ""),
                status=response.status,
            )
        self.milestones.answered_s = trio.current_time()
        ack = self._build(ACK, dialog, new_branch())
        self._ack = (ack, dialog.address)
        await self._send(ack, dialog.address)
        self.take_sdp(response)
        return dialog

    def _note_progress(self, response: Response) -> None:
        if response.status > 100 and self.milestones.rang_s is None:
            self.milestones.rang_s = trio.current_time()
            self._say(f"{response.status} {response.reason.decode('utf-8', 'replace')}")

    async def _bye(self, dialog: Dialog) -> None:
        self._cseq += 1
        branch = new_branch()
        request = self._build(BYE, dialog, branch)
        response = await self._transact(request, branch, dialog.address, lambda _: None)
        if response.status != 200:
            raise CallFailed(f"the border answered BYE with {response.status}")

    def _confirm(self, dialog: Dialog, response: Response) -> None:
        dialog.remote = response.first(b"to") or dialog.remote
        if response.status >= 300:
            return
        dialog.routes = response.values(b"record-route")[::-1]
        contact = response.contact
        if contact is None:
            raise CallFailed("the 200 has no Contact (RFC 3261 §12.1.1)")
        dialog.target = contact.uri
        next_hop = parse_uri(dialog.routes[0].strip(b"<>") if dialog.routes else contact.uri)
        if isinstance(next_hop, SipUri):
            host = next_hop.host.decode("latin-1").strip("[]")
            dialog.address = (host, next_hop.port or 5060)

    def _build(
        self, method: bytes, dialog: Dialog, branch: bytes, head: bytes = b"", body: bytes = b""
    ) -> bytes:
        if method == INVITE:
            self._cseq += 1
        via = b"SIP/2.0/%b %b:%d;rport;branch=%b" % (
            self._transport.upper().encode(),
            self._host,
            self.endpoint.port,
            branch,
        )
        return build_request(method, dialog, via, self._cseq, head, body)

    async def _send(self, data: bytes, address: Address) -> None:
        await self.endpoint.send(data, address, self._transport)

    async def _transact(
        self, data: bytes, branch: bytes, address: Address, progress: Callable[[Response], None]
    ) -> Response:
        """Send until something answers (§17.1), then wait for the final response."""
        put, take = trio.open_memory_channel[Response](32)
        self._waiting[branch] = put
        final: Response | None = None
        try:
            async with trio.open_nursery() as nursery:
                repeating = await nursery.start(self._repeat, data, address)
                async for response in take:
                    repeating.cancel()
                    if response.status >= 200:
                        final = response
                        break
                    progress(response)
                nursery.cancel_scope.cancel()
        finally:
            del self._waiting[branch]
        if final is None:
            raise CallFailed("the connection to the border was closed")
        return final

    async def _repeat(
        self,
        data: bytes,
        address: Address,
        task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        await self._send(data, address)
        with trio.CancelScope() as scope:
            task_status.started(scope)
            wait_s = _T1_S
            while self._transport == "udp":
                await trio.sleep(wait_s)
                await self._send(data, address)
                wait_s = min(2 * wait_s, _T2_S)


class Answerer(_Telephone):
    """Rings, answers, plays its tone, waits for the BYE."""

    def __init__(
        self, endpoint: Endpoint, media: MediaEnd, say: Say, reach: Reach, duration_s: float
    ) -> None:
        super().__init__(endpoint, media, say, reach)
        self.number: str = ""
        """What was dialled, as it arrived."""
        self.failure: CallFailed | None = None
        self._duration_s = duration_s
        self._branch = b""
        self._last: bytes = b""
        self._acknowledged = trio.Event()

    async def take_request(self, request: Request, arrival: Arrival, nursery: trio.Nursery) -> None:
        if request.method == INVITE:
            await self._take_invite(request, arrival, nursery)
        elif request.method == ACK:
            self._acknowledged.set()
        else:
            await super().take_request(request, arrival, nursery)

    async def _take_invite(self, request: Request, arrival: Arrival, nursery: trio.Nursery) -> None:
        if request.via.branch == self._branch:
            await arrival.reply(self._last)
        elif self._branch:
            base = ReplyBase(request, arrival.source)
            await arrival.reply(base.build(486, to_tag=token()))
        else:
            self._branch = request.via.branch
            user = getattr(parse_uri(request.uri), "user", None) or b""
            self.number = user.decode("utf-8", "replace")
            self.milestones.invited_s = trio.current_time()
            base = ReplyBase(request, arrival.source)
            nursery.start_soon(self._answer, request, base, arrival.reply)

    async def _answer(self, request: Request, base: ReplyBase, reply: Send) -> None:
        tag = token()
        transport = "tcp" if request.via.transport.upper() == b"TCP" else "udp"
        head = request.lines(_RECORD_ROUTE) + self.contact(transport)
        try:
            self.take_sdp(request)
        except CallFailed as error:
            self.failure = error
            self._last = base.build(488, to_tag=tag)
            await reply(self._last)
            return
        self._last = base.build(180, to_tag=tag, head=head)
        await reply(self._last)
        self.milestones.rang_s = trio.current_time()
        await trio.sleep(RING_S)
        head += b"Content-Type: application/sdp\r\n"
        self._last = base.build(200, to_tag=tag, head=head, body=self.sdp())
        await reply(self._last)
        self.milestones.answered_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat, reply)
            await self._acknowledged.wait()
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.stop_at_bye, nursery.cancel_scope)
            await self.media.play(self._duration_s)
            nursery.cancel_scope.cancel()

    async def _repeat(self, reply: Send) -> None:
        """Our 200, until its ACK (§13.3.1.4)."""
        wait_s = _T1_S
        while True:
            await trio.sleep(wait_s)
            await reply(self._last)
            wait_s = min(2 * wait_s, _T2_S)
