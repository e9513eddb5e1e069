"""Push-to-talk: one state, whoever changes it: a typed Enter, F4, or a key that is held (`cli.hotkey`)."""

import argparse
from contextlib import AbstractContextManager

from raccall.cli import hotkey
from raccall.cli.screen import Screen
from raccall.client import Session
from raccall.errors import InputError
from raccall.voice.engine import GateMode

HOLD_HELP = "The microphone is off until you hold {key}, whichever window is in front."
LOST = (
    "The keyboard cannot be heard any more, so you are not heard either: press F4 (with --plain: Enter) to talk, "
    "or join again."
)


class Talk:
    """Is the person heard? Only the gate mode of push-to-talk asks."""

    def __init__(self, session: Session, hotkey: str | None = None) -> None:
        self.hotkey = hotkey
        """The key to hold, as it was given."""
        self.on = False
        self._session = session

    def set(self, on: bool) -> None:
        self.on = on
        self._session.set_pressed(on)

    def toggle(self) -> None:
        self.set(not self.on)


def gate_mode_of(options: argparse.Namespace) -> GateMode:
    """--mode; a hotkey means push-to-talk."""
    if options.mode is not None:
        return GateMode(options.mode)
    return GateMode.OPEN if options.hotkey is None else GateMode.PUSH_TO_TALK


def check_hotkey(options: argparse.Namespace, *, has_screen: bool) -> None:
    """Without asking the server. Raises InputError "hotkey_needs_ptt", "hotkey_taken", or as `hotkey.require`."""
    if gate_mode_of(options) is not GateMode.PUSH_TO_TALK:
        raise InputError("hotkey_needs_ptt", f"--hotkey is for --mode ptt: it cannot be used with {options.mode}.")
    keys = hotkey.parse(options.hotkey)
    if has_screen and keys in hotkey.SCREEN_KEYS:
        raise InputError(
            "hotkey_taken", f"{options.hotkey} is a key of this screen already: choose another one, or add --plain."
        )
    hotkey.require(keys)


def hold_to_talk(talk: Talk, screen: Screen) -> AbstractContextManager[None]:
    """As long as it is open, the key of `talk` is listened for; the person is told so, and when it ends by itself."""
    assert talk.hotkey is not None, "only then a key is held"

    def lost() -> None:
        talk.set(False)
        screen.line(LOST)
        screen.record("hotkey_lost")

    screen.line(HOLD_HELP.format(key=talk.hotkey))
    if hint := hotkey.permission_hint():
        screen.line(hint)
    return hotkey.listening(hotkey.parse(talk.hotkey), held=talk.set, lost=lost)
