"""Milestones of calls, as log lines.

The core appends tuples; they are formatted and written once for each flush, because a line
through `logging` costs twenty times as much. Everything else (processes, listeners, trunks) goes
through `logging` into the same stream.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO, Final

__all__ = ["Journal", "start_logging"]

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LEVEL_NAMES: Final = {level: name for name, level in _LEVELS.items()}


def start_logging(level: str, as_json: bool, stream: IO[str] = sys.stderr) -> None:
    """Send this process's log records to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])


class Journal:
    """Writes milestones: `(level, event, call, fields)` tuples.

    Args:
        level: the lowest level that is written.
        as_json: one JSON object a line instead of `event key=value …`.
        stream: where lines go.
    """

    def __init__(self, level: str, as_json: bool, stream: IO[str] = sys.stderr) -> None:
        self._level = _LEVELS[level]
        self._as_json = as_json
        self._stream = stream

    def write(self, entries: list[tuple[int, str, str, dict[str, object]]]) -> None:
        """Write the entries that are loud enough, in one call. Raises nothing."""
        now = time.time()
        wanted = [entry for entry in entries if entry[0] >= self._level]
        if self._as_json:
            lines = [_json_line(now, *entry) for entry in wanted]
        else:
            stamp = _stamp(now)  # one for all: it costs as much as the rest of a line
            lines = [_plain_line(stamp, *entry) for entry in wanted]
        if lines:
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except OSError:  # nobody reads our log any more: calls go on
                pass


def _stamp(now: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"


def _plain_line(stamp: str, level: int, event: str, call: str, fields: dict[str, object]) -> str:
    pairs = [f" {key}={_plain(value)}" for key, value in fields.items() if value is not None]
    of = f" call={call}" if call else ""
    return f"{stamp} {_name(level):<7} {event}{of}{''.join(pairs)}"


def _plain(value: object) -> str:
    text = str(value)
    if text.isidentifier():  # no need to look any closer: most values are one word
        return text
    return json.dumps(text) if " " in text or '"' in text or not text.isprintable() else text


def _json_line(now: float, level: int, event: str, call: str, fields: dict[str, object]) -> str:
    head = {"time": round(now, 3), "level": _name(level), "event": event}
    of = {"call": call} if call else {}
    return json.dumps(head | of | fields, default=str)


def _name(level: int) -> str:
    return _LEVEL_NAMES.get(level) or logging.getLevelName(level).lower()


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = _plain_line(_stamp(record.created), record.levelno, record.getMessage(), "", {})
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _json_line(record.created, record.levelno, record.getMessage(), "", fields)
