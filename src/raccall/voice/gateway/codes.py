"""Numbers of the voice gateway (version 8): opcodes, close codes, speaking bits, DAVE's protocol version; and the error
of both message modules."""

from enum import IntEnum

DAVE_PROTOCOL_VERSION = 1
"""Of end-to-end encryption, the newest there is; 0 means none."""


class Opcode(IntEnum):
    """C = client to server, S = server to client, B = a binary message (`gateway.binary`)."""

    IDENTIFY = 0  # C
    SELECT_PROTOCOL = 1  # C
    READY = 2  # S
    HEARTBEAT = 3  # C
    SESSION_DESCRIPTION = 4  # S
    SPEAKING = 5  # C and S, with different fields
    HEARTBEAT_ACK = 6  # S
    RESUME = 7  # C
    HELLO = 8  # S
    RESUMED = 9  # S
    CLIENTS_CONNECT = 11  # S
    VIDEO = 12  # S
    CLIENT_DISCONNECT = 13  # S
    CLIENT_FLAGS = 18  # S
    CLIENT_PLATFORM = 20  # S
    DAVE_PREPARE_TRANSITION = 21  # S
    DAVE_EXECUTE_TRANSITION = 22  # S
    DAVE_TRANSITION_READY = 23  # C
    DAVE_PREPARE_EPOCH = 24  # S
    MLS_EXTERNAL_SENDER = 25  # S B
    MLS_KEY_PACKAGE = 26  # C B
    MLS_PROPOSALS = 27  # S B
    MLS_COMMIT_WELCOME = 28  # C B
    MLS_ANNOUNCE_COMMIT = 29  # S B
    MLS_WELCOME = 30  # S B
    MLS_INVALID_COMMIT_WELCOME = 31  # C


class CloseCode(IntEnum):
    """WebSocket close codes of the voice gateway, each with a sentence for people."""

    sentence: str

    def __new__(cls, code: int, sentence: str) -> "CloseCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    NORMAL = 1000, "The connection was closed."
    GOING_AWAY = 1001, "The server is stopping."
    SERVICE_RESTART = 1012, "The server is about to restart."  # RFC 6455's registry
    UNKNOWN_OPCODE = 4001, "The server does not know this opcode."
    DECODE_ERROR = 4002, "The server could not read the message."
    NOT_AUTHENTICATED = 4003, "A message came before identify."
    AUTHENTICATION_FAILED = 4004, "The token is wrong."
    ALREADY_AUTHENTICATED = 4005, "Identify came twice."
    SESSION_INVALID = 4006, "The session is not valid any more."
    SESSION_TIMEOUT = 4009, "No heartbeat came in time."
    SERVER_NOT_FOUND = 4011, "The room does not exist."
    UNKNOWN_PROTOCOL = 4012, "The server does not know this protocol or gateway version."
    DISCONNECTED = 4014, "The session was ended: by a move, a removal, or a newer session of the same person."
    SERVER_CRASHED = 4015, "The voice server stopped unexpectedly."
    UNKNOWN_MODE = 4016, "The server does not know this encryption mode."
    ENCRYPTION_REQUIRED = 4017, "The call is end-to-end encrypted (DAVE), and this client cannot do that."
    BAD_REQUEST = 4020, "The message makes no sense here."
    RATE_LIMITED = 4021, "Too many messages."
    CALL_TERMINATED = 4022, "The call is over."


class Speaking(IntEnum):
    """Bits of the speaking field."""

    NOTHING = 0
    MICROPHONE = 1
    SOUNDSHARE = 2
    PRIORITY = 4


class VoiceMalformed(Exception):
    """The data is not one of these messages; the text says what is wrong with it."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code
