"""Signatures and references of MLS ciphersuite 2: P-256, ECDSA, SHA-256 (RFC 9420 sections 5.1, 5.2 and 17.1)."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from raccall.voice.delivery.codec import vector

CIPHERSUITE = 2
"""MLS_128_DHKEMP256_AES128GCM_SHA256_P256, the only one of DAVE."""
_ECDSA = ec.ECDSA(hashes.SHA256())
_UNCOMPRESSED = 4
_POINT_BYTES = 65


def sign(key: ec.EllipticCurvePrivateKey, label: str, content: bytes) -> bytes:
    """SignWithLabel. Another one each time: it holds a random number."""
    return key.sign(_labelled(label, content), _ECDSA)


def is_signed(public_key: bytes, label: str, content: bytes, signature: bytes) -> bool:
    """VerifyWithLabel. False for a key that is none, too."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(signature, _labelled(label, content), _ECDSA)
    except (ValueError, InvalidSignature):
        return False
    return True


def is_public_key(point: bytes) -> bool:
    """A point of the curve, written as MLS writes it: uncompressed."""
    if len(point) != _POINT_BYTES or point[0] != _UNCOMPRESSED:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return True


def reference(label: str, content: bytes) -> bytes:
    """RefHash."""
    return hashlib.sha256(vector(f"MLS 1.0 {label} Reference".encode()) + vector(content)).digest()


def _labelled(label: str, content: bytes) -> bytes:
    return vector(b"MLS 1.0 " + label.encode()) + vector(content)
