"""Hold a key to talk, whichever window is in front: `raccall join --hotkey f8`.

    hotkey = parse("ctrl+space")
    require(hotkey)                                       ─▶ InputError if it cannot be heard on this machine
    with listening(hotkey, held=..., lost=...):           both are called in the event loop

The keyboard is heard by pynput, the extra `hotkey`, imported only when it is needed. It listens beside other programs
and takes no key from them: a key that another program uses, or has grabbed, works in both.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raccall.errors import InputError

log = logging.getLogger(__name__)

MODIFIERS = frozenset({"ctrl", "shift", "alt", "cmd"})
NAMES = (  # as pynput has them; its left modifiers are the plain ones on X, its alt_gr is not the AltGr of X
    MODIFIERS
    | {f"{name}_r" for name in MODIFIERS}
    | {f"f{number}" for number in range(1, 21)}
    | {"backspace", "caps_lock", "delete", "down", "end", "enter", "esc", "home", "insert", "left", "menu", "num_lock"}
    | {"page_down", "page_up", "pause", "print_screen", "right", "scroll_lock", "space", "tab", "up"}
    | {"media_next", "media_play_pause", "media_previous", "media_volume_down", "media_volume_mute", "media_volume_up"}
)
SCREEN_KEYS = frozenset({("f1",), ("f2",), ("f3",), ("f4",), ("f5",), ("f6",), ("f7",), ("ctrl", "q"), ("ctrl", "c")})
"""Of the terminal client's screen (`terminal/app.py`)."""

NOT_PERMITTED = (
    "macOS lets no program hear other windows' keys without permission: allow your terminal in System Settings, "
    "Privacy & Security, Input Monitoring and Accessibility, then join again."
)

HotKey = tuple[str, ...]
"""Keys to hold at once: each a name of NAMES or one character in lower case."""


def parse(text: str) -> HotKey:
    """Raises InputError "unknown_key"."""
    keys = tuple(text.lower().split("+"))
    for key in keys:
        if key not in NAMES and not (len(key) == 1 and key.isprintable() and not key.isspace()):
            raise InputError(
                "unknown_key",
                f"--hotkey knows no key {key!r}: give a letter or a name such as f8, ctrl_r or space, joined by +.",
            )
    return keys


def require(hotkey: HotKey) -> None:
    """Raises InputError if this machine cannot listen for it: "hotkey_not_installed", "no_screen", "wayland", or
    "unknown_key" for one that keyboards of this system lack."""
    _require_screen(sys.platform, os.environ)
    keyboard = _keyboard()
    for key in hotkey:
        if len(key) > 1 and not hasattr(keyboard.Key, key):
            raise InputError("unknown_key", f"There is no key {key} on this system.")


def permission_hint(platform: str = sys.platform) -> str | None:
    """A sentence if the system has not (yet) permitted to listen; it says nothing itself, keys just do not come."""
    if platform != "darwin" or importlib.import_module("ApplicationServices").AXIsProcessTrusted():
        return None
    return NOT_PERMITTED


def _require_screen(platform: str, environ: Mapping[str, str]) -> None:
    if platform in {"win32", "darwin"}:
        return
    if environ.get("WAYLAND_DISPLAY") or environ.get("XDG_SESSION_TYPE") == "wayland":
        raise InputError(
            "wayland",
            "Under Wayland no program may hear the keys of other windows, so --hotkey works in an X session only.",
        )
    if not environ.get("DISPLAY"):
        raise InputError(
            "no_screen", "--hotkey listens to the keyboard of a screen, and here is none: DISPLAY is not set."
        )


def _keyboard() -> Any:
    """pynput.keyboard. On X importing it already connects."""
    needed = ("pynput", "Xlib") if sys.platform not in {"win32", "darwin"} else ("pynput",)
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise InputError("hotkey_not_installed", "--hotkey needs one more package: pip install 'raccall[hotkey]'.")
    try:
        return importlib.import_module("pynput.keyboard")
    except ImportError as error:
        log.info("pynput: %s", error)
        raise InputError(
            "no_screen", "--hotkey cannot reach the screen whose keyboard it should hear: is DISPLAY right?"
        ) from None


class HeldKeys:
    """What is held at the moment, and whether the hotkey is among it."""

    def __init__(self, hotkey: HotKey) -> None:
        # A plain modifier is that of either side.
        self._wanted = [{key, f"{key}_l", f"{key}_r"} if key in MODIFIERS else {key} for key in hotkey]
        self._any_wanted = frozenset[str]().union(*self._wanted)
        self._held: set[str] = set()

    @property
    def complete(self) -> bool:
        return all(names & self._held for names in self._wanted)

    def press(self, key: str) -> None:
        """Also as often as the keyboard repeats it."""
        self._held.add(key)

    def release(self, key: str) -> None:
        """A key may have another name when it is released than when it was pressed, for Shift changes names ("1", "!").

        Then it was one that is not wanted, if such a one is held; else what is wanted is taken for released: rather
        not heard than heard unawares.
        """
        if key in self._held:
            self._held.remove(key)
            return
        modifiers = {name for name in self._held if name.split("_")[0] in MODIFIERS}
        others = self._held - self._any_wanted - modifiers
        self._held -= others or self._any_wanted


class Listener:
    """Hears the keyboard on a thread of its own, and tells the event loop."""

    def __init__(self, hotkey: HotKey, held: Callable[[bool], object], lost: Callable[[], object]) -> None:
        self._keys = HeldKeys(hotkey)
        self._was_held = False
        self._tell_held, self._tell_lost = held, lost
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._keyboard = _keyboard().Listener(
            on_press=lambda key: self._changed(self._keys.press, key),
            on_release=lambda key: self._changed(self._keys.release, key),
        )
        threading.Thread(target=self._listen, name="hotkey", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        # pynput's stop waits for its start, and on X takes effect with the next key: nobody here needs to wait.
        threading.Thread(target=self._stop, name="hotkey-stop", daemon=True).start()

    def _stop(self) -> None:
        with contextlib.suppress(Exception):  # of whichever system library: its screen is gone
            self._keyboard.stop()

    def _listen(self) -> None:
        # Not its `start`: what it raises would be printed by its thread, into the screen, and nobody would be told.
        try:
            self._keyboard.run()
        except Exception as error:  # of whichever system library
            log.info("the keyboard: %r", error)
        self._in_loop(self._tell_lost)

    def _changed(self, change: Callable[[str], None], key: Any) -> None:
        change(_name(key))
        if (is_held := self._keys.complete) != self._was_held:
            self._was_held = is_held
            self._in_loop(self._tell_held, is_held)

    def _in_loop(self, tell: Callable[..., object], *arguments: object) -> None:
        def unless_closed() -> None:
            if not self._closed:
                tell(*arguments)

        with contextlib.suppress(RuntimeError):  # the loop is closed: the call is over
            self._loop.call_soon_threadsafe(unless_closed)


def _name(key: Any) -> str:
    """Of a pynput Key, KeyCode or None."""
    name = getattr(key, "name", None) or getattr(key, "char", None)
    return name.lower() if name else str(key)


@contextlib.contextmanager
def listening(hotkey: HotKey, *, held: Callable[[bool], object], lost: Callable[[], object]) -> Iterator[None]:
    """held: all its keys are down, or no more. lost: the keyboard cannot be heard any more, and no key is held then.
    Raises InputError as `require`."""
    listener = Listener(hotkey, held, lost)
    try:
        yield
    finally:
        listener.close()
