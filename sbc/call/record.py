"""A call's record while the call lives: who, when, and the first reason why it ended."""

from __future__ import annotations

from policies.facts import CallFacts
from relay.control.messages import CallStats, DirectionStats
from sbc.call.cdr import Cause, Cdr, StreamRecord
from sbc.transaction.hop import Hop

__all__ = ["Record", "stream_records"]


class Record:
    """Milestones of one call; times are wall-clock seconds.

    Args:
        call: the call's identifier.
        facts: what was known when it came.
        call_id: of the caller's INVITE.
        trunk: whose call it is, None for a stranger's.
        started_s: when it came.
        offset_s: wall clock minus monotonic clock then; durations do not follow a clock that is
            set while the call is up.
    """

    __slots__ = (
        "_answered_s",
        "_call_id_a",
        "_call_id_b",
        "_ended_s",
        "_facts",
        "_offset_s",
        "_rang_s",
        "_started_s",
        "_target",
        "attempts",
        "by",
        "call",
        "cause",
        "closed",
        "had_media",
        "reason",
        "status",
        "transfer",
        "transferred_from",
        "trunk_a",
        "trunk_b",
        "written",
    )

    def __init__(
        self,
        call: str,
        facts: CallFacts,
        call_id: bytes,
        trunk: str | None,
        started_s: float,
        offset_s: float,
    ) -> None:
        self.call = call
        self._facts = facts
        self._call_id_a = call_id
        self._call_id_b: bytes | None = None
        self._started_s = started_s
        self._offset_s = offset_s
        self._rang_s: float | None = None
        self._answered_s: float | None = None
        self._ended_s: float | None = None
        self._target: Hop | None = None
        self.trunk_a = trunk
        self.trunk_b: str | None = None
        self.attempts = 0
        self.status = 0
        """The caller's final answer."""
        self.cause = Cause.NORMAL
        self.by = "border"
        self.reason = ""
        self.had_media = False
        """Whether a worker ever had a plan of this call."""
        self.closed = False
        """Whether the cause is settled."""
        self.written = False
        self.transfer: tuple[str, str, int | None] | None = None
        """Who has asked for the last one, to where, and what became of it."""
        self.transferred_from: str | None = None
        """The call that this one goes on from."""

    @property
    def answered_s(self) -> float | None:
        """When the call was answered."""
        return self._answered_s

    @property
    def started_s(self) -> float:
        """When the call came."""
        return self._started_s

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended_s is not None

    def wall(self, now: float) -> float:
        """Seconds since the epoch at monotonic second `now`, as the clock was when it came."""
        return now + self._offset_s

    def tried(self, trunk: str, hop: Hop, call_id: bytes) -> None:
        """One more target was tried."""
        self.attempts += 1
        self.trunk_b = trunk
        self._target = hop
        self._call_id_b = call_id
        self.closed = False

    def rang(self, wall_s: float) -> None:
        """The first provisional response."""
        if self._rang_s is None:
            self._rang_s = wall_s

    def answered(self, status: int, wall_s: float) -> None:
        """The 2xx."""
        self.status, self._answered_s = status, wall_s

    def close(self, cause: Cause, by: str, reason: str) -> None:
        """Why the call ends; the first word holds, until another target is tried."""
        if not self.closed:
            self.closed, self.cause, self.by, self.reason = True, cause, by, reason

    def end(self, wall_s: float) -> None:
        """The call is over."""
        self._ended_s = wall_s

    def summary(self) -> dict[str, object]:
        """What a log line says of it."""
        return {
            "status": self.status,
            "cause": self.cause.value,
            "by": self.by,
            "duration_s": round(self._duration_s(), 1),
            "reason": self.reason,
        }

    def live(self, codecs: list[str]) -> dict[str, object]:
        """What a listing says of a call that is not over."""
        facts = self._facts
        return {
            "trunk_a": self.trunk_a,
            "trunk_b": self.trunk_b,
            "user": facts.user or None,
            "from": _text(facts.from_user),
            "to": _text(facts.request_user),
            "source": _address(facts.source_host, facts.source_port),
            "target": _address(*self._target.address) if self._target else None,
            "call_id_a": _text(self._call_id_a),
            "call_id_b": _text(self._call_id_b),
            "started_s": round(self.started_s, 3),
            "answered_s": _rounded(self.answered_s),
            "codecs": codecs,
        }

    def cdr(self, codecs: list[str], stats: CallStats | None, wall_s: float) -> Cdr:
        """The whole record.

        Args:
            codecs: the one in use on each stream.
            stats: the relay's last figures.
            wall_s: now, for a call whose end was never noted.
        """
        facts = self._facts
        target = self._target
        by, to, status = self.transfer or (None, None, None)
        return Cdr(
            call=self.call,
            trunk_a=self.trunk_a,
            trunk_b=self.trunk_b,
            realm_a=facts.realm,
            realm_b=target.realm if target else None,
            source=_address(facts.source_host, facts.source_port),
            target=_address(*target.address) if target else None,
            call_id_a=_text(self._call_id_a) or "",
            call_id_b=_text(self._call_id_b),
            user=facts.user or None,
            from_user=_text(facts.from_user) or "",
            to_user=_text(facts.request_user) or "",
            started_s=self._started_s,
            rang_s=self._rang_s,
            answered_s=self._answered_s,
            ended_s=self._ended_s or wall_s,
            duration_s=self._duration_s(),
            status=self.status,
            cause=self.cause,
            hung_up_by=self.by,
            reason=self.reason,
            attempts=self.attempts,
            codecs=codecs,
            media_complete=stats is not None or not self.had_media,
            streams=stream_records(stats),
            transferred_by=by,
            transferred_to=to,
            transfer_status=status,
            transferred_from=self.transferred_from,
        )

    def _duration_s(self) -> float:
        if self._answered_s is None or self._ended_s is None:
            return 0.0
        return max(0.0, self._ended_s - self._answered_s)


def stream_records(stats: CallStats | None) -> list[StreamRecord]:
    """What came from each side on each stream, as far as it is known."""
    if stats is None:
        return []
    return [
        _stream(side, stream.kind, heard)
        for stream in stats.streams
        for side, heard in (("a", stream.a), ("b", stream.b))
    ]


def _stream(side: str, kind: str, heard: DirectionStats) -> StreamRecord:
    return StreamRecord(
        side,
        kind,
        heard.packets,
        heard.octets,
        heard.lost,
        heard.jitter_ms,
        sum(heard.dropped.values()),
        list(heard.payload_types),
        heard.loss_share,
        heard.burst_ms,
        heard.burst_density,
        heard.gap_ms,
        heard.max_gap_ms,
        heard.rtt_ms,
        heard.r,
        heard.mos,
        heard.mos_worst,
        heard.dropped,
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
