"""As little of a delivery service as a group needs: an external sender that proposes, and a knife for op 28.

On `cryptography` alone and independent of `raccall.voice.delivery`: what the two had wrong in the same way would pass.
"""

import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ADD, REMOVE = 1, 3


def vector(data: bytes) -> bytes:
    """Bytes behind their length (RFC 9420 section 2.1.2)."""
    size = len(data)
    if size < 1 << 6:
        return bytes([size]) + data
    return struct.pack(">H", 0x4000 | size) + data if size < 1 << 14 else struct.pack(">I", 0x80000000 | size) + data


class ExternalSender:
    def __init__(self, channel_id: int) -> None:
        self.group = struct.pack(">Q", channel_id)
        self.key = ec.generate_private_key(ec.SECP256R1())

    def package(self) -> bytes:
        """What op 25 carries."""
        encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        return vector(self.key.public_key().public_bytes(encoding, form)) + struct.pack(">H", 1) + vector(bytes(8))

    def add(self, epoch: int, key_package: bytes) -> bytes:
        return self.propose(epoch, struct.pack(">H", ADD) + key_package)

    def remove(self, epoch: int, leaf_index: int) -> bytes:
        return self.propose(epoch, struct.pack(">HI", REMOVE, leaf_index))

    def propose(self, epoch: int, proposal: bytes) -> bytes:
        header = struct.pack(">HH", 1, 1)  # MLS 1.0, PublicMessage
        sender = struct.pack(">BI", 2, 0)  # the first external sender
        content = vector(self.group) + struct.pack(">Q", epoch) + sender + vector(b"") + b"\2" + proposal
        signed = vector(b"MLS 1.0 FramedContentTBS") + vector(header + content)
        return header + content + vector(self.key.sign(signed, ec.ECDSA(hashes.SHA256())))


def reference(proposal: bytes) -> bytes:
    """What names a proposal: RefHash("MLS 1.0 Proposal Reference", AuthenticatedContent), RFC 9420 section 5.2."""
    digest = hashes.Hash(hashes.SHA256())
    authenticated = proposal[2:]  # wire format, content and signature: the message without its version
    digest.update(vector(b"MLS 1.0 Proposal Reference") + vector(authenticated))
    return digest.finalize()


def split(body: bytes) -> tuple[bytes, bytes]:
    """Commit and welcome of op 28, which have no length between them: the commit is walked through."""
    at = 4

    def skip_vector() -> None:
        nonlocal at
        width = 1 << (body[at] >> 6)
        at += width + (int.from_bytes(body[at : at + width], "big") & ((1 << (8 * width - 2)) - 1))

    skip_vector()  # group
    at += 8 + 1 + 4  # epoch, sender
    skip_vector()  # authenticated data
    at += 1
    skip_vector()  # proposals
    at += 1
    if body[at - 1]:  # an update path: leaf node, then its nodes
        for _ in range(2):
            skip_vector()  # keys
        at += 2
        for _ in range(6):
            skip_vector()  # identity, capabilities
        at += 1
        skip_vector()  # parent hash: a commit's leaf node has one
        for _ in range(3):
            skip_vector()  # extensions, signature; nodes
    for _ in range(3):
        skip_vector()  # signature, confirmation tag, membership tag
    return body[:at], body[at:]
