"""What stands in a certificate, for people. Never for a decision: OpenSSL has made that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

__all__ = ["Certificate", "read_chain", "read_der", "when"]

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate, as an operator knows it."""

    subject: str
    """Its first name: of the subjectAltName, else the common name."""
    issuer: str
    subject_name: bytes
    issuer_name: bytes
    """Both in DER, to be compared."""
    not_before: float
    """Seconds since the epoch."""
    not_after: float
    names: tuple[str, ...]
    """Names, addresses and URIs of the subjectAltName."""
    self_signed: bool
    is_ca: bool
    has_authority_key: bool
    """Whether it names its issuer's key (RFC 5280 §4.2.1.1)."""
    may_be_client: bool
    """Whether its extended key usage, if any, allows client authentication."""
    may_be_server: bool


def read_der(data: bytes) -> Certificate:
    """The certificate in `data`. Raises ValueError."""
    return _read(x509.load_der_x509_certificate(data))


def read_chain(pem: bytes) -> list[Certificate]:
    """All certificates of a PEM file, in its order. Raises ValueError if there is none."""
    return [_read(one) for one in x509.load_pem_x509_certificates(pem)]


def when(moment: float, now: float) -> str:
    """A day in relation to now: `today`, `yesterday`, `3 days ago`, `in 2 days`.

    Args:
        moment, now: seconds since the epoch; days are counted in UTC.
    """
    days = int(moment // _DAY_S - now // _DAY_S)
    match days:
        case 0:
            return "today"
        case -1:
            return "yesterday"
        case 1:
            return "tomorrow"
        case _:
            return f"in {days} days" if days > 0 else f"{-days} days ago"


def _read(certificate: x509.Certificate) -> Certificate:
    names = _names(certificate)
    subject = _common_name(certificate.subject) or certificate.subject.rfc4514_string()
    uses = _uses(certificate)
    return Certificate(
        subject=_printable(names[0] if names else subject or "nobody"),
        issuer=_printable(
            _common_name(certificate.issuer) or certificate.issuer.rfc4514_string() or "nobody"
        ),
        subject_name=certificate.subject.public_bytes(),
        issuer_name=certificate.issuer.public_bytes(),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        names=tuple(_printable(name) for name in names),
        self_signed=certificate.issuer == certificate.subject,
        is_ca=_is_ca(certificate),
        has_authority_key=_has(certificate, ExtensionOID.AUTHORITY_KEY_IDENTIFIER),
        may_be_client=uses is None or ExtendedKeyUsageOID.CLIENT_AUTH in uses,
        may_be_server=uses is None or ExtendedKeyUsageOID.SERVER_AUTH in uses,
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in extension.value]


def _uses(certificate: x509.Certificate) -> list[x509.ObjectIdentifier] | None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return None
    return list(extension.value)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _has(certificate: x509.Certificate, extension: x509.ObjectIdentifier) -> bool:
    return any(one.oid == extension for one in certificate.extensions)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _printable(text: str) -> str:
    """At most 80 characters, none that moves a terminal's cursor: peers choose these."""
    return "".join(one if one.isprintable() else "?" for one in text[:80])
