"""TLS as an invite link wants it: one pinned certificate, or the system's authorities.

A pin replaces authorities, host names and dates: who has the certificate's key is the server, whatever it is called.
It is checked inside the handshake, so nothing (not even the invite) is ever said to a server that is not the expected.
"""

import hashlib
import hmac
import ssl
from collections.abc import Iterator

from raccall.errors import ConnectionFailed


class CertificateChanged(ssl.SSLCertVerificationError):
    """The server's certificate is not the pinned one."""


def client_context(fingerprint: bytes | None) -> ssl.SSLContext:
    """A context for asyncio that accepts the certificate with this SHA-256 (32 bytes) and no other.

    None: usual verification. A refused handshake raises CertificateChanged somewhere in the chain of causes of what a
    library raises; `as_connection_failed` finds it.
    """
    if fingerprint is None:
        return ssl.create_default_context()
    expected = fingerprint

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
            if not hmac.compare_digest(shown, expected):
                raise CertificateChanged("the certificate is not the pinned one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = Pinned
    return context


def as_connection_failed(error: BaseException, place: str) -> ConnectionFailed:
    """What a failed connection attempt means for a person. `place`: host:port."""
    causes = list(_causes(error))
    if any(isinstance(cause, CertificateChanged) for cause in causes):
        return ConnectionFailed(
            "certificate_changed",
            f"The server at {place} shows another certificate than the invite link names; "
            "ask for a new link, and do not go on if nobody changed the certificate.",
        )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return ConnectionFailed(
            "certificate_untrusted", f"No authority of this system vouches for the certificate of {place}."
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return ConnectionFailed("tls_failed", f"The server at {place} does not answer with TLS; is the link http?")
    return ConnectionFailed("server_unreachable", f"The server at {place} cannot be reached.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
