"""Everything that a running server could try a frame with, and the trying."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES, SECRET_BYTES, TAG_BYTES = 16, 32, 8
OURS = "raccall."


def reachable(root: object) -> Iterator[bytes]:
    """All bytes and texts in the objects that hang on one of ours, private keys included."""
    seen: set[int] = set()
    waiting: deque[object] = deque([root])
    while waiting:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        match thing:
            case bytes() | bytearray():
                yield bytes(thing)
            case str():
                yield thing.encode(errors="replace")
                if len(thing) % 2 == 0 and set(thing) <= set("0123456789abcdef"):
                    yield bytes.fromhex(thing)
            case ec.EllipticCurvePrivateKey():
                yield thing.private_numbers().private_value.to_bytes(32, "big")
            case dict():
                waiting += [*thing.keys(), *thing.values()]
            case list() | tuple() | set() | frozenset() | deque():
                waiting += thing
            case _ if type(thing).__module__.startswith(OURS):
                slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
                waiting += [getattr(thing, name, None) for name in slots]
                waiting += vars(thing).values() if hasattr(thing, "__dict__") else ()


def files(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def windows(known: Iterable[bytes], size: int) -> set[bytes]:
    """Every stretch of so many bytes."""
    return {piece[at : at + size] for piece in known for at in range(len(piece) - size + 1)}


def opens(frame: bytes, key: bytes) -> bool:
    """Is this the key of a DAVE frame? ciphertext | tag 8 | nonce ULEB128 | size 1 | FA FA."""
    tail = frame[-3]
    ciphertext, supplement = frame[:-tail], frame[-tail:-3]
    tag, number = supplement[:TAG_BYTES], supplement[TAG_BYTES:]
    nonce = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(number))
    mode = modes.GCM(bytes(8) + nonce.to_bytes(4, "little"), tag, min_tag_length=TAG_BYTES)
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    decryptor.update(ciphertext)
    try:
        decryptor.finalize()
    except InvalidTag:
        return False
    return True


def keys_from(base: bytes) -> Iterator[bytes]:
    """The AES keys that a secret of 16 bytes leads to: itself, or the first of its ratchet (RFC 9420 section 9)."""
    yield base
    yield expand(base, "key", bytes(4), KEY_BYTES)


def bases_from(secret: bytes, user_id: int) -> Iterator[bytes]:
    """The frame secrets of a user that a secret of 32 bytes leads to: an epoch's, or its exporter's (section 8)."""
    for exporter in (secret, expand(secret, "exporter", b"", SECRET_BYTES)):
        derived = expand(exporter, "Discord Secure Frames v0", b"", SECRET_BYTES)
        context = hashlib.sha256(user_id.to_bytes(8, "little")).digest()
        yield expand(derived, "exported", context, KEY_BYTES)


def expand(secret: bytes, label: str, context: bytes, size: int) -> bytes:
    """ExpandWithLabel (section 8)."""
    name = b"MLS 1.0 " + label.encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    return HKDFExpand(SHA256(), size, info).derive(secret)


def key_of(frame: bytes, speaker: int, known: list[bytes]) -> bytes | None:
    """The first stretch of what is known that leads to the frame's key."""
    for base in windows(known, KEY_BYTES):
        if any(opens(frame, key) for key in keys_from(base)):
            return base
    for secret in windows(known, SECRET_BYTES):
        if any(opens(frame, key) for base in bases_from(secret, speaker) for key in keys_from(base)):
            return secret
    return None
