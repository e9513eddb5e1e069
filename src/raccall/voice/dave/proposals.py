"""Whom the server proposes to add: read from op 27 before MLS looks at it (RFC 9420, sections 6.2, 10 and 12.1).

MLS itself would tell of a stranger only after it has stored the proposals before that one, and storing them again when
the stranger turns out to be expected is refused.
"""

from raccall.voice.delivery.codec import MlsMalformed, Reader
from raccall.voice.delivery.structures import LeafNode, Refused
from raccall.voice.gateway.binary import ProposalsOperation

PUBLIC_MESSAGE_HEAD = bytes.fromhex("00010001")
SENDER_EXTERNAL = 2
CONTENT_PROPOSAL = 2
PROPOSAL_ADD = 1


def added_users(operation: ProposalsOperation, proposals: bytes) -> frozenset[int]:
    """User ids of those whom the `proposals` of op 27 add.

    Nothing is decided here: what cannot be read is left to MLS, which refuses it. Never raises.
    """
    try:
        return frozenset(_added(proposals)) if operation is ProposalsOperation.APPEND else frozenset()
    except (MlsMalformed, Refused):
        return frozenset()


def _added(proposals: bytes) -> list[int]:
    reader, users = Reader(Reader(proposals).vector()), []
    while reader.left:
        if reader.take(4) != PUBLIC_MESSAGE_HEAD:
            raise MlsMalformed("not a PublicMessage")
        reader.vector()  # group
        reader.u64()  # epoch
        if reader.u8() != SENDER_EXTERNAL:
            raise MlsMalformed("not the server's")
        reader.u32()  # which of the external senders
        reader.vector()  # authenticated data
        if reader.u8() != CONTENT_PROPOSAL:
            raise MlsMalformed("not a proposal")
        if reader.u16() == PROPOSAL_ADD:
            users.append(_user_of_key_package(reader))
        else:
            reader.u32()  # the leaf to be removed; MLS refuses what is neither
        reader.vector()  # signature
    return users


def _user_of_key_package(reader: Reader) -> int:
    reader.u32()  # version, cipher suite
    reader.vector()  # init key
    leaf = LeafNode.read(reader)
    reader.vector()  # extensions
    reader.vector()  # signature
    return int.from_bytes(leaf.identity, "big")
