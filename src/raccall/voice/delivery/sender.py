"""The server as a sender of every group: it may propose to add and remove members, and nothing else.

Its key is made when the server starts and kept nowhere. A group never outlives the server that made it: after a
restart all clients identify anew and are given the new key before anything is proposed. What is on no disk cannot be
stolen from one; and who had it could only make proposals, which members check against the people they expect.
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from raccall.voice.delivery.codec import vector
from raccall.voice.delivery.crypto import reference, sign
from raccall.voice.delivery.structures import (
    CONTENT_PROPOSAL,
    CREDENTIAL_BASIC,
    PROPOSAL_ADD,
    PROPOSAL_REMOVE,
    SENDER_EXTERNAL,
    WIRE_PUBLIC_MESSAGE,
    KeyPackage,
    header,
    identity,
)

SENDER_INDEX = 0
"""The group's list of external senders has this one."""
SENDER_ID = 1
"""No user has it: snowflakes are larger."""


class ProposalSender:
    """One signature key, for all groups of this server."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        credential = CREDENTIAL_BASIC.to_bytes(2, "big") + vector(identity(SENDER_ID))
        self.package = vector(point) + credential
        """An MLS ExternalSender (RFC 9420 section 12.1.8.1): what members are told about it."""

    def add(self, group_id: bytes, epoch: int, package: KeyPackage) -> bytes:
        """A proposal as an MLSMessage: to be signed once, for everybody. Members refer to it by its hash."""
        return self._propose(group_id, epoch, PROPOSAL_ADD.to_bytes(2, "big") + package.data)

    def remove(self, group_id: bytes, epoch: int, leaf_index: int) -> bytes:
        """As `add`."""
        return self._propose(group_id, epoch, PROPOSAL_REMOVE.to_bytes(2, "big") + leaf_index.to_bytes(4, "big"))

    def _propose(self, group_id: bytes, epoch: int, proposal: bytes) -> bytes:
        """A PublicMessage (RFC 9420 sections 6.1 and 6.2)."""
        head = header(WIRE_PUBLIC_MESSAGE)
        sender = bytes([SENDER_EXTERNAL]) + SENDER_INDEX.to_bytes(4, "big")
        content = vector(group_id) + epoch.to_bytes(8, "big") + sender + vector(b"")  # no authenticated data
        content += bytes([CONTENT_PROPOSAL]) + proposal
        return head + content + vector(sign(self._key, "FramedContentTBS", head + content))


def proposal_reference(message: bytes) -> bytes:
    """How commits name a proposal: by the hash of its AuthenticatedContent (RFC 9420 section 5.2), which is the message
    without the version before it."""
    return reference("Proposal", message[2:])
