"""The keys by which others recognise us in encrypted calls: made of one secret in one file.

Each server, and each name that we use there, gets a key of its own: so servers cannot find out by it that two guests
are the same person, and two members on one machine do not claim one identity, which the group would refuse.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from raccall.client.link import InviteLink
from raccall.errors import InputError
from raccall.voice.e2ee import DaveError, DaveMember

SECRET_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""A private key is a number from 1 to one less (SEC 2, secp256r1)."""


def load_secret(file: Path) -> bytes:
    """What is in the file; made, readable for its owner alone, if there is none.

    A folder that cannot be written costs recognition, not the call: then the secret lasts for this call.
    """
    with suppress(OSError, ValueError):
        return _read(file)
    secret = secrets.token_bytes(SECRET_BYTES)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:  # another call began in this instant, or what is there is damaged: it is left alone
            with suppress(ValueError):
                return _read(file)
            return secret
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secret.hex() + "\n")
    return secret


def identity_key(secret: bytes, server: str, name: str) -> bytes:
    """The private P-256 key of `name` at `server` (`server_of`), 32 bytes; always the same."""
    for attempt in range(256):
        label = "\0".join(("raccall identity", server, name, str(attempt)))
        key = hmac.digest(secret, label.encode(), hashlib.sha256)
        if 0 < int.from_bytes(key, "big") < _P256_ORDER:  # all but one in four thousand million
            return key
    raise AssertionError("256 numbers in a row that are no key")


def usable_key(given: bytes | None) -> bytes:
    """The given private P-256 key, or a new one. Raises InputError "identity_key_unusable"."""
    try:
        return DaveMember(0, 0, given).identity_key()
    except DaveError as error:
        raise InputError("identity_key_unusable", "The identity key is no private P-256 key of 32 bytes.") from error


def server_of(link: InviteLink) -> str:
    """What stays the same of a server, by whatever address it is reached: its own certificate, if it has one."""
    return link.fingerprint.hex() if link.fingerprint is not None else link.authority


def _read(file: Path) -> bytes:
    """Raises OSError, ValueError."""
    secret = bytes.fromhex(file.read_text(encoding="ascii").strip())
    if len(secret) != SECRET_BYTES:
        raise ValueError("no secret of ours")
    return secret
