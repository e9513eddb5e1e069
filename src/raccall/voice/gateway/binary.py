"""Binary messages of the voice gateway, typed: those of end-to-end encryption that carry MLS bytes.

    client to server    u8 opcode | payload
    server to client    u16be seq | u8 opcode | payload

`seq` counts JSON and binary messages together. What the payloads hold is for an MLS library (a member) or for
`voice.delivery` (the server); here they stay bytes. A datagram in a tunnel has the same shape (`gateway.tunnel`) and is
to be looked for first.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple

from raccall.voice.gateway.codes import CloseCode, Opcode
from raccall.voice.gateway.messages import (
    ExecuteTransition,
    InvalidCommitWelcome,
    PrepareEpoch,
    PrepareTransition,
    TransitionReady,
    Unknown,
    VoiceMalformed,
)

MAX_KEY_PACKAGE_BYTES = 4 * 1024
"""Ours have about 330."""
MAX_PAYLOAD_BYTES = 256 * 1024
"""A welcome holds every member's public keys: about 80 KiB in a call of 200."""
_FROM_CLIENT = struct.Struct(">B")
_FROM_SERVER = struct.Struct(">HB")
_TRANSITION = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """What others need to add this client to the group: an MLS KeyPackage, bare or as an MLSMessage."""

    opcode: ClassVar = Opcode.MLS_KEY_PACKAGE
    key_package: bytes


@dataclass(frozen=True, slots=True)
class CommitWelcome:
    """An MLSMessage with a commit and, without a length in between, the Welcome of those whom it adds (if any)."""

    opcode: ClassVar = Opcode.MLS_COMMIT_WELCOME
    commit_welcome: bytes


@dataclass(frozen=True, slots=True)
class ExternalSender:
    """Who may propose changes of the group besides its members: the server. An MLS ExternalSender."""

    opcode: ClassVar = Opcode.MLS_EXTERNAL_SENDER
    external_sender: bytes


class ProposalsOperation(IntEnum):
    APPEND = 0
    REVOKE = 1


@dataclass(frozen=True, slots=True)
class Proposals:
    """Changes that the server proposes: the client is to commit all that are not revoked."""

    opcode: ClassVar = Opcode.MLS_PROPOSALS
    operation: ProposalsOperation
    proposals: bytes
    """A vector of MLSMessages (append) or of ProposalRefs (revoke), its length included."""

    @property
    def body(self) -> bytes:
        """Both fields as they are on the wire."""
        return bytes([self.operation]) + self.proposals


@dataclass(frozen=True, slots=True)
class AnnounceCommit:
    """The commit that won, to every member, the committer included."""

    opcode: ClassVar = Opcode.MLS_ANNOUNCE_COMMIT
    transition_id: int
    """Answer TransitionReady when frames of the new epoch can be opened; with id 0, switch at once."""
    commit: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """To those whom the commit added."""

    opcode: ClassVar = Opcode.MLS_WELCOME
    transition_id: int
    """As in AnnounceCommit."""
    welcome: bytes


ClientBinary = KeyPackage | CommitWelcome
ServerBinary = ExternalSender | Proposals | AnnounceCommit | Welcome
DaveFromClient = ClientBinary | TransitionReady | InvalidCommitWelcome
"""All that clients say about end-to-end encryption, binary or JSON."""
DaveToClient = ServerBinary | PrepareTransition | ExecuteTransition | PrepareEpoch
"""All that the server says about it."""


class NumberedBinary(NamedTuple):
    """A message of the server and its number."""

    message: ServerBinary | Unknown
    seq: int


def parse_client_binary(data: bytes) -> ClientBinary:
    """Read what a client sent. Raises VoiceMalformed, and nothing else."""
    opcode, payload = data[:1], data[1:]
    if opcode == bytes([Opcode.MLS_KEY_PACKAGE]):
        return KeyPackage(_within(payload, MAX_KEY_PACKAGE_BYTES))
    if opcode == bytes([Opcode.MLS_COMMIT_WELCOME]):
        return CommitWelcome(_within(payload, MAX_PAYLOAD_BYTES))
    raise VoiceMalformed(CloseCode.UNKNOWN_OPCODE, f"binary opcode {opcode.hex() or 'missing'}")


def parse_server_binary(data: bytes) -> NumberedBinary:
    """Read what a server sent; an opcode not used here becomes Unknown. Raises VoiceMalformed, and nothing else."""
    if len(data) < _FROM_SERVER.size:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, "shorter than its head")
    seq, opcode = _FROM_SERVER.unpack_from(data)
    payload = _within(data[_FROM_SERVER.size :], MAX_PAYLOAD_BYTES)
    match opcode:
        case Opcode.MLS_EXTERNAL_SENDER:
            return NumberedBinary(ExternalSender(payload), seq)
        case Opcode.MLS_PROPOSALS:
            if payload[:1] not in (b"\0", b"\1"):
                raise VoiceMalformed(CloseCode.DECODE_ERROR, "proposals that are neither appended nor revoked")
            return NumberedBinary(Proposals(ProposalsOperation(payload[0]), payload[1:]), seq)
        case Opcode.MLS_ANNOUNCE_COMMIT:
            return NumberedBinary(AnnounceCommit(*_transition(payload)), seq)
        case Opcode.MLS_WELCOME:
            return NumberedBinary(Welcome(*_transition(payload)), seq)
    return NumberedBinary(Unknown(op=opcode), seq)


def write_client_binary(message: ClientBinary) -> bytes:
    return _FROM_CLIENT.pack(message.opcode) + payload_of(message)


def write_server_binary(message: ServerBinary, seq: int) -> bytes:
    """`seq`: 16 bits."""
    return _FROM_SERVER.pack(seq, message.opcode) + payload_of(message)


def payload_of(message: ClientBinary | ServerBinary) -> bytes:
    """What follows the opcode."""
    match message:
        case KeyPackage(key_package=content) | CommitWelcome(commit_welcome=content):
            return content
        case ExternalSender(external_sender=content):
            return content
        case Proposals():
            return message.body
        case AnnounceCommit(transition_id=transition, commit=content):
            return _TRANSITION.pack(transition) + content
        case Welcome(transition_id=transition, welcome=content):
            return _TRANSITION.pack(transition) + content


def _within(payload: bytes, limit: int) -> bytes:
    if len(payload) > limit:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, f"longer than {limit} bytes")
    return payload


def _transition(payload: bytes) -> tuple[int, bytes]:
    if len(payload) < _TRANSITION.size:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, "without a transition")
    return _TRANSITION.unpack_from(payload)[0], payload[_TRANSITION.size :]
