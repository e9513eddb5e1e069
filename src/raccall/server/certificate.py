"""TLS: a self-signed certificate that is made once and then kept, and the fingerprint that clients pin."""

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from raccall.errors import InputError
from raccall.store import DataFolder

LASTS = timedelta(days=365 * 20)
"""Clients know it by its fingerprint; a change would end every invite."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files for TLS."""

    path: Path
    key_path: Path
    fingerprint: str | None = None
    """SHA-256 in hexadecimal, of a self-signed one; None if an authority vouches for it."""

    def context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key_path)
        return context


def own_certificate(folder: DataFolder, wall: datetime) -> Certificate:
    """The folder's self-signed certificate, made now if there is none."""
    if not (folder.certificate.exists() and folder.certificate_key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        folder.write(folder.certificate_key, _pem(key))
        folder.write(folder.certificate, _self_signed(key, wall).public_bytes(serialization.Encoding.PEM))
    check(folder.certificate, folder.certificate_key)
    return Certificate(folder.certificate, folder.certificate_key, fingerprint(folder.certificate))


def given_certificate(path: Path, key_path: Path) -> Certificate:
    """Raises InputError `certificate_unusable`."""
    check(path, key_path)
    return Certificate(path, key_path)


def fingerprint(path: Path) -> str:
    """SHA-256 in hexadecimal of the (first) certificate in a PEM file."""
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def check(path: Path, key_path: Path) -> None:
    """Do the two load, and do they belong together? Raises InputError `certificate_unusable`."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key_path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            "certificate_unusable", f"The certificate {path} with key {key_path} cannot be used: {reason}."
        ) from None


def _self_signed(key: ec.EllipticCurvePrivateKey, wall: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Raccall")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wall - timedelta(days=1))
        .not_valid_after(wall + LASTS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("raccall")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
