"""What a `Handshake` is told, what it answers and what it tells: values, and no step between them."""

from collections.abc import Callable
from dataclasses import dataclass

from raccall.voice.e2ee import EpochKeys
from raccall.voice.gateway import binary, messages

Incoming = (
    messages.PrepareTransition
    | messages.ExecuteTransition
    | messages.PrepareEpoch
    | messages.ClientsConnect
    | messages.ClientDisconnect
    | binary.ServerBinary
)
Answer = binary.ClientBinary | messages.TransitionReady | messages.InvalidCommitWelcome


@dataclass(frozen=True, slots=True)
class Group:
    """One epoch, as MLS has it."""

    epoch: int
    keys: EpochKeys
    code: str
    """30 digits in groups of five: equal for all who are in it, different for anyone who is not."""
    identities: dict[int, bytes]
    """User id → public identity key of each member, ourselves included: who can listen."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step of MLS gave."""

    answer: bytes | None = None
    group: Group | None = None
    error: str | None = None
    """Code of a DaveError."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step of MLS: call `run` in a thread, and hand what it returns to `finish`. Never two at a time."""

    run: Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class KeysArrived:
    """What is encrypted with these can be opened from now on."""

    keys: EpochKeys


@dataclass(frozen=True, slots=True)
class Switched:
    """Send like this from now on; the first one comes with the description."""

    version: int
    """0: in clear."""
    group: Group | None
    """Encrypt with its keys; None at version 0, before there are any, and while we are alone."""
    transition_id: int


@dataclass(frozen=True, slots=True)
class ClearAhead:
    """Somebody is coming who cannot encrypt: open what comes in clear, and go on encrypting until Switched."""


@dataclass(frozen=True, slots=True)
class ClearRefused:
    """The server wants the call in clear, and that is not allowed here: nothing goes out unencrypted."""


@dataclass(frozen=True, slots=True)
class Ghosts:
    """These can listen, or were to, and are not shown as being here. Empty: no longer."""

    user_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Recovering:
    """The group is lost to us and is entered anew."""

    reason: str
    """Code of a DaveError."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What can be known of keys at the start is known: media may begin. Told once."""


Event = Work | KeysArrived | Switched | ClearAhead | ClearRefused | Ghosts | Recovering | Settled
