"""What the machine says that the configuration is checked on."""

from __future__ import annotations

import os

from sbc.config.build import Host

__all__ = ["this_host"]


def this_host() -> Host:
    """The machine and the user that this process runs on and as."""
    return Host(
        processors=len(os.sched_getaffinity(0)),
        root=os.geteuid() == 0,
        environment=_environment(),
        ephemeral=_ephemeral(),
        reserved=_reserved(),
    )


def _environment(users: str = "/run/user") -> dict[str, str]:
    """What says where folders go.

    A login makes /run/user/UID; su, cron and ssh with a command may not say so in the environment,
    and the commands of one user must all find the same border.
    """
    found = {
        name: os.environ[name]
        for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
        if os.environ.get(name)
    }
    user = os.geteuid()
    folder = f"{users}/{user}"
    if "XDG_RUNTIME_DIR" not in found and os.path.isdir(folder) and os.stat(folder).st_uid == user:
        found["XDG_RUNTIME_DIR"] = folder
    return found


def _ephemeral() -> tuple[int, int] | None:
    words = _sysctl("ip_local_port_range").split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return int(words[0]), int(words[1])


def _reserved() -> frozenset[int]:
    ports: set[int] = set()
    for part in _sysctl("ip_local_reserved_ports").strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            ports.update(range(int(first), int(last or first) + 1))
    return frozenset(ports)


def _sysctl(name: str) -> str:
    try:
        with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
