"""What members send, read and checked as far as bytes alone allow: key packages, commits, welcomes.

Refused         the message is well-formed or not, but must not reach anybody; `reason` is one of few words, for
                counting
"""

from dataclasses import dataclass

from raccall.voice.delivery.codec import MlsMalformed, Reader, u16_list, vector
from raccall.voice.delivery.crypto import CIPHERSUITE, is_public_key, is_signed, reference

MLS_10 = 1
WIRE_PUBLIC_MESSAGE, WIRE_WELCOME, WIRE_KEY_PACKAGE = 1, 3, 5
SENDER_MEMBER, SENDER_EXTERNAL = 1, 2
CONTENT_PROPOSAL, CONTENT_COMMIT = 2, 3
PROPOSAL_ADD, PROPOSAL_REMOVE = 1, 3
BY_REFERENCE = 2
CREDENTIAL_BASIC = 1
SOURCE_KEY_PACKAGE, SOURCE_COMMIT = 1, 3
FOR_EVER = (1 << 64) - 1
REFERENCE_BYTES = 32


class Refused(Exception):
    """Counted by `reason`, never relayed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def header(wire_format: int) -> bytes:
    """Of an MLSMessage (RFC 9420 section 6)."""
    return MLS_10.to_bytes(2, "big") + wire_format.to_bytes(2, "big")


def identity(user_id: int) -> bytes:
    """What DAVE's basic credential holds."""
    return user_id.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class LeafNode:
    """RFC 9420 section 7.2. Its signature is checked by the one who knows where it stands."""

    encryption_key: bytes
    signature_key: bytes
    identity: bytes
    source: int
    signed: bytes
    """All of it before the signature."""
    signature: bytes

    @classmethod
    def read(cls, reader: Reader) -> "LeafNode":
        """Raises MlsMalformed; Refused `unsupported` for what DAVE does not use."""
        start = reader.at
        encryption_key, signature_key = reader.vector(), reader.vector()
        if reader.u16() != CREDENTIAL_BASIC:
            raise Refused("unsupported")
        name = reader.vector()
        versions, suites, _extensions, _proposals, credentials = (u16_list(reader.vector()) for _ in range(5))
        if MLS_10 not in versions or CIPHERSUITE not in suites or CREDENTIAL_BASIC not in credentials:
            raise Refused("unsupported")
        source = reader.u8()
        if source == SOURCE_KEY_PACKAGE:
            # DAVE: valid for ever, so that no clock has to be right.
            if (reader.u64(), reader.u64()) != (0, FOR_EVER):
                raise Refused("lifetime")
        elif source == SOURCE_COMMIT:
            reader.vector()  # parent hash: a member's to check
        else:
            raise Refused("unsupported")
        if reader.vector():  # extensions: DAVE has none, and one that a member does not know would spoil the commit
            raise Refused("unsupported")
        signed = reader.since(start)
        return cls(encryption_key, signature_key, name, source, signed, reader.vector())


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """RFC 9420 section 10. Only those that passed every check exist."""

    data: bytes
    """Bare, as it is proposed."""
    init_key: bytes
    leaf: LeafNode

    @classmethod
    def read(cls, data: bytes, user_id: int) -> "KeyPackage":
        """A user's own key package, bare or as an MLSMessage (RFC 9420 sections 7.3 and 10.1).

        Raises Refused `malformed`, `unsupported`, `lifetime`, `wrong_identity`, `bad_key`, `bad_signature`.
        """
        data = data.removeprefix(header(WIRE_KEY_PACKAGE))
        try:
            return cls._read(data, user_id)
        except MlsMalformed:
            raise Refused("malformed") from None

    @classmethod
    def _read(cls, data: bytes, user_id: int) -> "KeyPackage":
        reader = Reader(data)
        if (reader.u16(), reader.u16()) != (MLS_10, CIPHERSUITE):
            raise Refused("unsupported")
        init_key = reader.vector()
        leaf = LeafNode.read(reader)
        if leaf.source != SOURCE_KEY_PACKAGE or reader.vector():  # extensions: as in a leaf
            raise Refused("unsupported")
        signed = reader.since(0)
        signature = reader.vector()
        reader.end()
        if leaf.identity != identity(user_id):
            raise Refused("wrong_identity")
        keys = {init_key, leaf.encryption_key, leaf.signature_key}
        if len(keys) < 3 or not all(is_public_key(key) for key in keys):
            raise Refused("bad_key")
        if not is_signed(leaf.signature_key, "LeafNodeTBS", leaf.signed, leaf.signature):
            raise Refused("bad_signature")
        if not is_signed(leaf.signature_key, "KeyPackageTBS", signed, signature):
            raise Refused("bad_signature")
        return cls(data, init_key, leaf)

    @property
    def reference(self) -> bytes:
        return reference("KeyPackage", self.data)


@dataclass(frozen=True, slots=True)
class UpdatePath:
    """New keys for a leaf and the nodes above it (RFC 9420 section 7.6)."""

    leaf: LeafNode
    nodes: int
    """How many."""

    @classmethod
    def read(cls, reader: Reader) -> "UpdatePath":
        leaf = LeafNode.read(reader)
        nodes, count = Reader(reader.vector()), 0
        while nodes.left:
            nodes.vector()  # public key
            nodes.vector()  # the path secret, once for each who is to open it
            count += 1
        return cls(leaf, count)


@dataclass(frozen=True, slots=True)
class Commit:
    """A PublicMessage with a member's commit (RFC 9420 sections 6.2 and 12.4)."""

    data: bytes
    """The whole MLSMessage."""
    group_id: bytes
    epoch: int
    """In which it was made."""
    leaf_index: int
    """Of the committer."""
    references: tuple[bytes, ...]
    """Of the proposals that it covers."""
    path: UpdatePath | None


@dataclass(frozen=True, slots=True)
class Welcome:
    """RFC 9420 section 12.4.3.1."""

    data: bytes
    """Bare."""
    references: tuple[bytes, ...]
    """Of the key packages that it is for."""

    @classmethod
    def read(cls, data: bytes) -> "Welcome":
        """Bare or as an MLSMessage. Raises MlsMalformed or Refused `unsupported`."""
        data = data.removeprefix(header(WIRE_WELCOME))
        reader = Reader(data)
        if reader.u16() != CIPHERSUITE:
            raise Refused("unsupported")
        secrets, references = Reader(reader.vector()), []
        while secrets.left:
            references.append(secrets.vector())
            secrets.vector()  # of HPKE: encapsulated key
            secrets.vector()  # and ciphertext
        reader.vector()  # the group's state, encrypted
        reader.end()
        return cls(data, tuple(references))


def epoch_of(data: bytes) -> int:
    """The epoch that a commit says it was made in: most come too late, and need not be read further.

    Raises Refused `malformed`.
    """
    try:
        reader = Reader(data)
        reader.take(4)
        reader.vector()
        return reader.u64()
    except MlsMalformed:
        raise Refused("malformed") from None


def read_commit_welcome(data: bytes) -> tuple[Commit, Welcome | None]:
    """A commit and, directly behind it, the welcome: nothing tells where one ends but reading it.

    Raises Refused `malformed`, `unsupported`, `wrong_proposals` (one that is not by reference).
    """
    try:
        reader = Reader(data)
        commit = _read_commit(reader)
        return commit, Welcome.read(reader.rest()) if reader.left else None
    except MlsMalformed:
        raise Refused("malformed") from None


def _read_commit(reader: Reader) -> Commit:
    if reader.take(4) != header(WIRE_PUBLIC_MESSAGE):
        raise Refused("unsupported")
    group_id, epoch = reader.vector(), reader.u64()
    if reader.u8() != SENDER_MEMBER:
        raise Refused("unsupported")
    leaf_index = reader.u32()
    if reader.vector() or reader.u8() != CONTENT_COMMIT:  # authenticated data: none
        raise Refused("unsupported")
    references = _read_references(Reader(reader.vector()))
    path = UpdatePath.read(reader) if _read_presence(reader) else None
    reader.vector()  # signature, over what only members know
    reader.vector()  # confirmation tag: the same
    reader.vector()  # membership tag: the same
    return Commit(reader.since(0), group_id, epoch, leaf_index, references, path)


def _read_references(proposals: Reader) -> tuple[bytes, ...]:
    references = []
    while proposals.left:
        if proposals.u8() != BY_REFERENCE:
            raise Refused("wrong_proposals")
        references.append(proposals.vector())
    return tuple(references)


def _read_presence(reader: Reader) -> bool:
    """Of an optional field."""
    if (presence := reader.u8()) > 1:
        raise MlsMalformed("neither there nor absent")
    return presence == 1


def path_is_signed(path: UpdatePath, group_id: bytes, leaf_index: int) -> bool:
    """By the leaf's key, for its place in this group (LeafNodeTBS, RFC 9420 section 7.2)."""
    content = path.leaf.signed + vector(group_id) + leaf_index.to_bytes(4, "big")
    return is_signed(path.leaf.signature_key, "LeafNodeTBS", content, path.leaf.signature)
