"""Authorities of our own, and whatever certificates a test needs from them."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Issued"]

_DAY = datetime.timedelta(days=1)
_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as files."""

    certificate: str
    key: str


class Authority:
    """A certificate authority in a folder.

    Args:
        folder: where its files go.
        name: its common name, and the stem of its file.
        parent: who signs it; None: itself.
    """

    def __init__(
        self, folder: Path, name: str = "Test CA", parent: Authority | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        self._parent = parent
        builder = _builder(self._subject, parent._subject if parent else self._subject, self._key)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        if parent is not None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
                parent._key.public_key()
            )
            builder = builder.add_extension(identifier, False)
        self.certificate = builder.sign(parent._key if parent else self._key, hashes.SHA256())
        self.path = str(folder / f"{name.replace(' ', '-')}.pem")
        Path(self.path).write_bytes(_pem(self.certificate))

    def issue(
        self,
        stem: str,
        *names: str,
        uris: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (),
        begins_days: float = -1,
        ends_days: float = 30,
        uses: tuple[x509.ObjectIdentifier, ...] = _BOTH,
        authority_key: bool = True,
        rsa_bits: int = 0,
        common_name: str = "",
    ) -> Issued:
        """A certificate of ours.

        Args:
            stem: of its files.
            names, uris, addresses: its subjectAltName; none: it has none.
            begins_days, ends_days: its life, counted from now.
            uses: its extended key usage.
            authority_key: whether it names the authority's key.
            rsa_bits: an RSA key of this size; 0: ECDSA P-256.
        """
        key: Any = ec.generate_private_key(ec.SECP256R1())
        if rsa_bits:
            key = rsa.generate_private_key(65537, rsa_bits)
        now = datetime.datetime.now(datetime.UTC)
        subject = _named(common_name or (names[0] if names else stem))
        builder = _builder(
            subject, self._subject, key, now + begins_days * _DAY, now + ends_days * _DAY
        )
        alternatives: list[x509.GeneralName] = [x509.DNSName(one) for one in names]
        alternatives += [x509.UniformResourceIdentifier(one) for one in uris]
        alternatives += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
        if authority_key:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            builder = builder.add_extension(identifier, False)
        chain = _pem(builder.sign(self._key, hashes.SHA256()))
        if self._parent is not None:
            chain += _pem(self.certificate)
        issued = Issued(str(self.folder / f"{stem}.pem"), str(self.folder / f"{stem}.key"))
        Path(issued.key).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        Path(issued.certificate).write_bytes(chain)
        return issued


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    begins: datetime.datetime | None = None,
    ends: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - _DAY)
        .not_valid_after(ends or now + 30 * _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
