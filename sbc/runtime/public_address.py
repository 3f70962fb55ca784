"""Our public addresses where nobody has written them down: a STUN server is asked (RFC 8489).

Behind a 1:1 NAT (a cloud's public address, a router that forwards its ports) each local address has
a public one. It is asked for from that local address before the border listens, and again from
time to time: it may change. What was learned outlives a restart, so that a server that is away
does not keep a border from starting.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Final, TypeAlias

import trio

from relay.settings import family_of
from sbc.errors import SbcError
from sbc.resolve.stun import TRANSACTION_BYTES, StunError, binding_request, mapped_address
from sbc.settings import Settings

__all__ = ["PublicAddresses"]

_log = logging.getLogger(__name__)

_PAUSES_S: Final = (0.5, 1.0, 1.5)
"""Between a request and its repetitions: the first of those in RFC 8489 §6.2.1."""
_AGAIN_S: Final = 60.0
_LARGEST: Final = 2048

Place: TypeAlias = tuple[str, str]
"""A realm and one of our local addresses in it."""


class PublicAddresses:
    """Learns them, and has the settings in which they stand.

    Args:
        settings: with "" as the advertised address where it is to be learned.
        again_s: how often it is asked for again.
    """

    def __init__(self, settings: Settings, again_s: float = _AGAIN_S) -> None:
        self._blank = settings
        self._again_s = again_s
        self._path = os.path.join(settings.state_dir, "public-addresses.json")
        self._places = _places(settings)
        self._silent: set[Place] = set()
        """Whose servers did not tell when they were asked last."""
        self.known: dict[Place, str] = {}

    @property
    def settings(self) -> Settings:
        """With what is known; "" is left where nothing is."""
        return _filled_in(self._blank, self.known)

    def describe(self) -> list[dict[str, str]]:
        """Each address that is learned, for a report."""
        return [
            {"realm": realm, "local": local, "public": public}
            for (realm, local), public in sorted(self.known.items())
        ]

    def adopt(self, status: Mapping[str, object]) -> None:
        """Take what another process has learned: what `describe` says there is in its status."""
        described = status.get("public_addresses")
        for one in described if isinstance(described, list) else ():
            self.known[one["realm"], one["local"]] = one["public"]

    async def ask(self) -> dict[Place, str]:
        """Ask for every address, all at once; the faults, in words."""
        faults: dict[Place, str] = {}
        async with trio.open_nursery() as nursery:
            for place, servers in self._places.items():
                nursery.start_soon(self._ask, place, servers, faults)
        return faults

    async def learn(self) -> None:
        """Ask, and take what an earlier start has learned where nobody tells.

        Raises SbcError: there is nothing to take; the message has a line for each address.
        """
        faults, kept = await self.ask(), _kept(self._path)
        missing = [text for place, text in faults.items() if place not in kept]
        if missing:
            raise SbcError("\n".join(missing))
        for place, text in faults.items():
            self.known[place] = kept[place]
            _log.warning("%s; going on with %s, learned earlier", text, kept[place])
        self._silent = set(faults)
        self._note(kept)

    async def watch(self, moved: Callable[[Settings], None]) -> None:
        """Ask again and again.

        Args:
            moved: is given the settings anew when an address has changed.
        """
        while self._places:
            await trio.sleep(self._again_s)
            before = dict(self.known)
            faults = await self.ask()
            for place in faults.keys() - self._silent:
                _log.warning("%s", faults[place])
            self._silent = set(faults)
            if self.known != before:
                self._note(before)
                moved(self.settings)

    def _note(self, before: Mapping[Place, str]) -> None:
        """Say what is new, and keep it."""
        for (realm, local), public in self.known.items():
            was = before.get((realm, local), "unknown")
            if public != was:
                _log.info(
                    "public_address.learned realm=%s local=%s was=%s now=%s",
                    *(realm, local, was, public),
                )
        if self.known and self.known != before:
            _keep(self._path, self.known)

    async def _ask(
        self, place: Place, servers: tuple[tuple[str, int], ...], faults: dict[Place, str]
    ) -> None:
        """Ask one server after the other."""
        realm, local = place
        said = []
        for host, port in servers:
            try:
                self.known[place] = await _public_address(local, host, port)
                return
            except StunError as error:
                said.append(f"stun:{host}:{port}: {error}")
        faults[place] = f"realms.{realm}.public_address: {local} not learned: {'; '.join(said)}"


async def _public_address(local: str, host: str, port: int) -> str:
    """What a server sees that is asked from a local address. Raises StunError."""
    found = None
    with trio.move_on_after(sum(_PAUSES_S)):
        try:
            found = await _asked(local, host, port)
        except OSError as error:
            raise StunError(error.strerror or str(error)) from error
    if found is None:
        raise StunError(f"no answer within {sum(_PAUSES_S):g} s")
    address = ip_address(found)
    if address.is_unspecified or address.is_multicast or family_of(found) != family_of(local):
        raise StunError(f"expected an IPv{family_of(local)} address, got {found}")
    return found


async def _asked(local: str, host: str, port: int) -> str | None:
    transaction = secrets.token_bytes(TRANSACTION_BYTES)
    family = trio.socket.AF_INET6 if family_of(local) == 6 else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((local, 0))
        targets = await trio.socket.getaddrinfo(host, port, family, trio.socket.SOCK_DGRAM)
        await sock.connect(targets[0][4])
        for pause_s in _PAUSES_S:
            await sock.send(binding_request(transaction))
            with trio.move_on_after(pause_s):
                return await _answer(sock, transaction)
    return None


async def _answer(sock: trio.socket.SocketType, transaction: bytes) -> str:
    while True:
        found = mapped_address(await sock.recv(_LARGEST), transaction)
        if found is not None:
            return found


def _places(settings: Settings) -> dict[Place, tuple[tuple[str, int], ...]]:
    """What is to be learned, and who is asked for it."""
    servers = dict(settings.stun)
    listeners = [
        (one.realm, one.host) for one in settings.transport.listeners if not one.advertise_host
    ]
    media = [(one.realm, one.address) for one in settings.relay.media if not one.advertise]
    return {place: servers[place[0]] for place in (*listeners, *media)}


def _filled_in(settings: Settings, known: Mapping[Place, str]) -> Settings:
    def public(realm: str, local: str) -> str:
        return known.get((realm, local), "")

    listeners = tuple(
        one if one.advertise_host else replace(one, advertise_host=public(one.realm, one.host))
        for one in settings.transport.listeners
    )
    media = tuple(
        one if one.advertise else replace(one, advertise=public(one.realm, one.address))
        for one in settings.relay.media
    )
    return replace(
        settings,
        transport=replace(settings.transport, listeners=listeners),
        relay=replace(settings.relay, media=media),
    )


def _kept(path: str) -> dict[Place, str]:
    """What an earlier start has learned; nothing where there is no such file, or no sense in it."""
    try:
        with open(path, encoding="utf-8") as file:
            return {
                (realm, local): str(ip_address(address))
                for realm, local, address in json.load(file)
            }
    except (OSError, ValueError, TypeError):
        return {}


def _keep(path: str, known: Mapping[Place, str]) -> None:
    """For the next start. A disk that is full costs only that."""
    rows = sorted((*place, address) for place, address in known.items())
    try:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(rows, file)
        os.replace(f"{path}.new", path)
    except OSError as error:
        _log.warning("public_address.not_kept path=%s reason=%s", path, error.strerror)
