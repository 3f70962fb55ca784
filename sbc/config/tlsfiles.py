"""Which files TLS reads, and where the configuration names each.

Nothing here opens one: a border that starts reads them by itself, once; `sbc check` looks into them
(`sbc.cli.health.certificates`) and tells its findings with these places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from sbc.config.models import Border
from sbc.config.problems import Problem
from sbc.config.source import Path, Source
from sbc.config.tls import Tls, TrunkTls, full_path, keypair_of, listener_tls
from sbc.transport.settings import ClientCertificate, Keypair

__all__ = ["NamedFiles", "named_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFiles:
    """A certificate with its key, or a file of authorities."""

    files: Keypair | str
    as_server: bool = False
    """Whether a listener shows the certificate."""
    places: dict[str, Problem]
    """Each file to the key that names it, as a problem of which nothing is said yet."""


def named_files(border: Border, source: Source) -> tuple[NamedFiles, ...]:
    """All files that would be read, as far as the parts that name them are in order."""
    folder = os.path.dirname(os.path.abspath(source.path))
    files: list[NamedFiles] = []
    for path, tls in dict(_of_listeners(border)).items():
        files += _shown_by_us(path, tls, folder, source)
    for name, trunk in border.trunks.items():
        files += _of_trunk(("trunks", name, "tls"), trunk.tls, folder, source)
    return tuple(files)


def _of_listeners(border: Border) -> Iterator[tuple[Path, Tls]]:
    """What is in use: a realm's own for all its tls listeners that have none."""
    for name, realm in border.realms.items():
        for index, one in enumerate(realm.listen):
            if one.bind[0] != "tls":
                continue
            if one.tls is not None:
                yield ("realms", name, "listen", index, "tls"), one.tls
            elif realm.tls is not None:
                yield ("realms", name, "tls"), realm.tls


def _shown_by_us(path: Path, tls: Tls, folder: str, source: Source) -> Iterator[NamedFiles]:
    if tls.key and len(tls.key) != len(tls.certificate):
        return  # an error by itself, and nobody knows whose keys they are
    told = listener_tls(tls, folder)
    for index, keypair in enumerate(told.keypairs if told is not None else ()):
        key: Path = (*path, "key", index) if tls.key else (*path, "certificate", index)
        places = _places(keypair, (*path, "certificate", index), key, source)
        yield NamedFiles(files=keypair, as_server=True, places=places)
    if tls.client is not ClientCertificate.NO:
        yield from _authorities(path, tls.ca, folder, source)


def _of_trunk(path: Path, tls: TrunkTls, folder: str, source: Source) -> Iterator[NamedFiles]:
    keypair = keypair_of(tls, folder)
    if keypair is not None:
        key = "certificate" if tls.key is None else "key"
        places = _places(keypair, (*path, "certificate"), (*path, key), source)
        yield NamedFiles(files=keypair, places=places)
    yield from _authorities(path, tls.ca, folder, source)


def _places(keypair: Keypair, certificate: Path, key: Path, source: Source) -> dict[str, Problem]:
    return {
        keypair.key: source.problem(key, ""),
        keypair.certificate: source.problem(certificate, ""),
    }


def _authorities(path: Path, ca: str | None, folder: str, source: Source) -> Iterator[NamedFiles]:
    if ca is not None:
        file = full_path(folder, ca)
        yield NamedFiles(files=file, places={file: source.problem((*path, "ca"), "")})
