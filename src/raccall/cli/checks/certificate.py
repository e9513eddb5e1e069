"""A certificate as `raccall doctor` looks at it: how long it lasts, whose it is, which one. Pure."""

import ipaddress
from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from raccall.cli.checks.findings import Finding, ok, problem, warning

NAME = "certificate"
SOON_DAYS = 14


def look(der: bytes, host: str | None, pinned: bytes | None, wall: datetime) -> Iterator[Finding]:
    """der: the certificate. host: what the link calls the server, None if nobody asked. pinned: the fingerprint that
    the link names; such a certificate may have any name."""
    certificate = x509.load_der_x509_certificate(der)
    left = certificate.not_valid_after_utc - wall
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if left.total_seconds() <= 0:
        yield problem(NAME, f"The certificate expired on {until}.", "Renew it, and restart the server.")
    elif certificate.not_valid_before_utc > wall:
        yield problem(NAME, "The certificate is not valid yet.", "Set this machine's clock, or wait.")
    elif left.days < SOON_DAYS:
        yield warning(NAME, f"The certificate expires on {until}.", "Renew it, and restart the server.")
    else:
        yield ok(NAME, f"The certificate is valid until {until}.")
    if pinned is not None and certificate.fingerprint(hashes.SHA256()) != pinned:
        yield problem(
            NAME,
            "The server shows another certificate than the link names.",
            "Make a new invite; if nobody changed the certificate, somebody listens in between.",
        )
    if pinned is None and host is not None and not _names(certificate, host):
        yield problem(NAME, f"The certificate does not name {host}.", "Get one that does, or use --tls and its links.")


def _names(certificate: x509.Certificate, host: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        known = [name.casefold() for name in names.get_values_for_type(x509.DNSName)]
        host = host.casefold()
        return host in known or f"*.{host.partition('.')[2]}" in known
