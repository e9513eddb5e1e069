"""What joins a call and what shows it: the screen of `app`, or the lines of `cli.plain`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from raccall.audio.devices import SoundCard
from raccall.cli.screen import Screen
from raccall.cli.soundboard import Soundboard
from raccall.cli.talk import Talk
from raccall.cli.terminal.memory import Memory
from raccall.client import Session
from raccall.client.diagnosis import LinkWatch
from raccall.voice.engine import GateMode

HELP = (  # as wide as 80 columns leave room for
    "F2  microphone on or off   F3  hear nobody",
    "F4  talk, with --mode ptt  F5  the link",
    "F6  devices                F7  sounds",
    "Tab, then + - 0: how loud you hear somebody",
    "/play FILE, /stop: a sound for everyone",
    "/record yes|no: may you be recorded?",
    "/verify: who can listen, and how to be sure",
    "/mute  /deafen  /stats  /quit (or Ctrl-Q)",
    "All else that you type is said to everyone.",
)


@dataclass(frozen=True, slots=True)
class CallView:
    """What is shown, and where what is done leads. Made by `cli.join`."""

    session: Session
    screen: Screen
    watch: LinkWatch
    gate_mode: GateMode
    talk: Talk
    answer: Callable[[str], Awaitable[bool]]
    """Takes a typed line that is about consent, encryption or sounds; False: it was not."""
    verified: Callable[[], frozenset[str]]
    """User ids of those whose identity keys were compared."""
    board: Soundboard
    card: SoundCard | None
    server: str
    """host:port, for what is remembered of its people."""
    memory: Memory
    remember: Callable[[], None]
    """Write the memory down."""
