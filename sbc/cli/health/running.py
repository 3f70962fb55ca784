"""The running border and its relay workers, as their sockets tell."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from relay.control.client import Client
from relay.control.messages import ControlError, WorkerStats
from sbc.cli.admin_client import AdminClient, BorderAway
from sbc.errors import SbcError
from sbc.settings import Settings

__all__ = ["Running", "ask_worker", "look"]

_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Running:
    """What answers."""

    status: dict[str, object] | None = None
    """The border's; None: there is none."""
    away: str = ""
    """Why not."""
    workers: dict[int, WorkerStats | str] = field(default_factory=dict)
    """Slot → its figures, or why there are none."""

    @property
    def stats(self) -> list[WorkerStats]:
        """Of those workers that answered."""
        return [one for one in self.workers.values() if isinstance(one, WorkerStats)]


def look(settings: Settings) -> Running:
    """Ask everybody."""
    running = Running()
    try:
        with AdminClient(settings.run_dir, _TIMEOUT_S) as border:
            running.status = border.status()
    except (BorderAway, SbcError) as error:
        running.away = str(error)
    for slot in range(settings.relay.workers):
        running.workers[slot] = ask_worker(settings.relay.run_dir, slot)
    return running


def ask_worker(run_dir: str, slot: int) -> WorkerStats | str:
    """One worker's figures, or why it has none to give."""
    path = os.path.join(run_dir, f"worker-{slot}.sock")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(path)
            client = Client(connection, _TIMEOUT_S)
            client.hello(role="query")
            return client.stats()
    except FileNotFoundError:
        return "not running"
    except ConnectionRefusedError:
        return "not running; its socket was left behind"
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except OSError as error:
        return error.strerror or str(error)
    except ControlError as error:
        return str(error)
