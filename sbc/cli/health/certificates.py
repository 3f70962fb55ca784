"""What is in the files that TLS reads, for `sbc check` and `sbc doctor`."""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from sbc.cli.health.finding import Finding, Level, fail, ok, warn
from sbc.config.problems import Problem
from sbc.config.tlsfiles import NamedFiles
from sbc.errors import FileError
from sbc.transport.settings import ClientCertificate, Keypair, TransportSettings
from sbc.transport.tls_contexts import load_keypair
from sbc.transport.x509 import Certificate, read_chain, when

__all__ = ["examine", "examine_named"]

_TOPIC: Final = "certificate"
_SOON_S: Final = 14 * 86_400
_NO_AUTHORITY_KEY: Final = (
    "make it anew with authorityKeyIdentifier=keyid (openssl: -extfile): peers that check"
    " strictly, as Python 3.13 does, refuse it"
)


def examine(settings: TransportSettings, now: float | None = None) -> Iterator[Finding]:
    """Everything that is worth saying about the files.

    Args:
        now: seconds since the epoch; None: as the clock says.
    """
    moment = time.time() if now is None else now
    seen: set[Keypair] = set()
    for listener in settings.listeners:
        if listener.tls is None:
            continue
        for keypair in listener.tls.keypairs:
            if keypair not in seen:
                seen.add(keypair)
                yield from _look(keypair, moment, as_server=True)
        if listener.tls.client is not ClientCertificate.NO and listener.tls.ca:
            yield from _look(listener.tls.ca, moment)
    for peer in settings.peers:
        if peer.keypair is not None and peer.keypair not in seen:
            seen.add(peer.keypair)
            yield from _look(peer.keypair, moment)
        if peer.ca:
            yield from _look(peer.ca, moment)


def examine_named(
    named: Iterable[NamedFiles], now: float | None = None
) -> Iterator[tuple[Problem, Finding]]:
    """As `examine`; each finding beside what it is in terms of the configuration file."""
    moment = time.time() if now is None else now
    known: dict[tuple[Keypair | str, bool], list[Finding]] = {}
    for one in named:
        asked = (one.files, one.as_server)
        if asked not in known:
            known[asked] = _look(one.files, moment, as_server=one.as_server)
        for finding in known[asked]:
            place = one.places[finding.file]
            yield dataclasses.replace(place, text=_as_problem(one.files, finding)), finding


def _as_problem(files: Keypair | str, finding: Finding) -> str:
    """`expected …, got …`, or a note."""
    if finding.level is not Level.FAIL:
        return f"note: {finding.text} ({finding.advice})"
    what = "authorities" if isinstance(files, str) else "a certificate"
    if isinstance(files, Keypair) and finding.file == files.key != files.certificate:
        what = "a key"
    reason = finding.text.removeprefix(f"{finding.file}: ")
    if reason.startswith("expected "):
        return f"{reason} in {finding.file} ({finding.advice})"
    return f"expected {what} that can be used, got {finding.text} ({finding.advice})"


def _look(files: Keypair | str, now: float, *, as_server: bool = False) -> list[Finding]:
    """What is in a certificate's files, or in one of authorities."""
    if isinstance(files, str):
        path, found = files, _authorities(files, now)
    else:
        path, found = files.certificate, _keypair(files, now, as_server=as_server)
    return [one if one.file else dataclasses.replace(one, file=path) for one in found]


def _keypair(keypair: Keypair, now: float, *, as_server: bool) -> Iterator[Finding]:
    path = keypair.certificate
    try:
        load_keypair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), keypair)
        chain = _read(path)
    except FileError as error:
        yield _unusable(error)
        if error.path != keypair.key:  # both may be wrong
            yield from _unreadable(keypair.key)
        return
    leaf = chain[0]
    trouble = [
        *_dates(path, leaf, now),
        *_links(path, chain),
        *_purpose(path, leaf, as_server=as_server),
    ]
    yield from trouble
    if not trouble:
        names = ", ".join(leaf.names[:3])
        yield ok(_TOPIC, f"{path}: {names}, by {leaf.issuer}, ends {when(leaf.not_after, now)}")


def _purpose(path: str, leaf: Certificate, *, as_server: bool) -> Iterator[Finding]:
    """Whether it may be shown where it is, and bears a name."""
    if as_server and not leaf.may_be_server:
        text = f"{path}: its extended key usage does not allow it to be a server's"
        yield fail(_TOPIC, text, "ask for one with serverAuth")
    if not as_server and not leaf.may_be_client:
        text = f"{path}: its extended key usage does not allow it to be a client's"
        yield warn(_TOPIC, text, "ask for one with clientAuth: a trunk may refuse it")
    if not leaf.names:
        text = f"{path}: it has no subjectAltName, so newer peers find no name in it"
        yield warn(_TOPIC, text, "ask for one with DNS or sip: URI names (RFC 5922)")


def _unreadable(path: str) -> Iterator[Finding]:
    try:
        _bytes(path)
    except FileError as error:
        yield _unusable(error)


def _authorities(path: str, now: float) -> Iterator[Finding]:
    try:
        found = _read(path)
    except FileError as error:
        yield _unusable(error)
        return
    for one in found:
        if one.not_after <= now:
            text = f"{path}: the authority {one.subject} expired {when(one.not_after, now)}"
            yield warn(_TOPIC, text, "whoever it has signed is refused: take the new one")
        elif not one.is_ca:
            text = f"{path}: {one.subject} is no authority, so nobody is believed for it"
            yield warn(_TOPIC, text, "put the certificate there that has signed the peer's")


def _dates(path: str, leaf: Certificate, now: float) -> Iterator[Finding]:
    if leaf.not_after <= now:
        text = f"{path}: {leaf.subject} expired {when(leaf.not_after, now)}"
        yield fail(_TOPIC, text, "replace the file: a running border reads it by itself")
    elif leaf.not_before > now:
        text = f"{path}: {leaf.subject} is not valid before {when(leaf.not_before, now)}"
        yield fail(_TOPIC, text, "wait, or set the clock of this machine right")
    elif leaf.not_after - now < _SOON_S:
        text = f"{path}: {leaf.subject} ends {when(leaf.not_after, now)}"
        yield warn(_TOPIC, text, "replace the file in time: a running border reads it by itself")


def _links(path: str, chain: list[Certificate]) -> Iterator[Finding]:
    """Whether the file holds what a peer needs to reach an authority."""
    for one, above in pairwise(chain):
        if one.issuer_name != above.subject_name:
            text = f"{path}: {one.subject} is signed by {one.issuer}, then comes {above.subject}"
            yield fail(_TOPIC, text, "put each certificate before the one that has signed it")
            return
    for one in chain:
        if not one.has_authority_key and not one.self_signed:
            text = f"{path}: {one.subject} has no authority key identifier"
            yield warn(_TOPIC, text, _NO_AUTHORITY_KEY)


def _read(path: str) -> list[Certificate]:
    """Raises FileError."""
    try:
        return read_chain(_bytes(path))
    except ValueError:
        raise FileError(path, "expected certificates in PEM form, found none") from None


def _bytes(path: str) -> bytes:
    """Raises FileError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None


def _unusable(error: FileError) -> Finding:
    text, advice = str(error), "without it the border does not start"
    return Finding(_TOPIC, Level.FAIL, text, advice, error.path)
