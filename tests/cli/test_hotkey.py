"""A key that is held, on the keyboard of an X server of its own: talking begins and ends with it."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from argparse import Namespace
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raccall.audio.files import SoundWriter
from raccall.cli import hotkey, talk
from raccall.cli.hotkey import NAMES, HeldKeys, listening, parse, permission_hint, require
from raccall.cli.main import EXIT_INPUT, main
from raccall.client import Session, connect
from raccall.errors import InputError
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import GateMode, Sound
from tests.reading import line_with

pytestmark = pytest.mark.realtime

RUN = "import sys; from raccall.cli.main import main; sys.exit(main())"
LINK = "http://127.0.0.1:1/join/abc"

has_x = shutil.which("Xvfb") and shutil.which("xdotool") and importlib.util.find_spec("pynput")
on_x = pytest.mark.skipif(
    (not has_x and "CI" not in os.environ) or sys.platform != "linux", reason="Xvfb, xdotool or pynput is not installed"
)


# ---- names ----


@pytest.mark.parametrize(
    ("text", "keys"), [("f8", ("f8",)), ("Ctrl+Space", ("ctrl", "space")), ("ctrl_r", ("ctrl_r",)), ("ö", ("ö",))]
)
def test_names_are_pynputs(text: str, keys: tuple[str, ...]) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["", "f21", "ctrl+", "+", "ctrl + space", "spacebar", "alt_gr", "\n"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(text)
    assert refused.value.code == "unknown_key"


# ---- what is held ----


def after(keys: HeldKeys, *changes: str) -> bool:
    for change in changes:
        (keys.press if change[0] == "+" else keys.release)(change[1:])
    return keys.complete


def test_all_keys_are_held_and_any_ends_it() -> None:
    keys = HeldKeys(("ctrl", "space"))
    assert not after(keys, "+ctrl_l")
    assert after(keys, "+space", "+space"), "a keyboard repeats"
    assert not after(keys, "-ctrl_l")
    assert after(keys, "+ctrl_r"), "either side"
    assert not after(keys, "-space")


def test_a_side_is_that_side() -> None:
    assert not after(HeldKeys(("ctrl_r",)), "+ctrl")
    assert after(HeldKeys(("ctrl_r",)), "+ctrl", "+ctrl_r")


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [("1", ("+1", "+shift", "-!")), ("alt", ("+alt", "+shift", "-<65511>")), ("f8", ("+f8", "-x"))],
)
def test_a_release_under_another_name_ends_it(wanted: str, changes: tuple[str, ...]) -> None:
    """On X, "1" is released as "!" if Shift was pressed meanwhile, and Alt as Meta."""
    assert not after(HeldKeys((wanted,)), *changes)


def test_what_is_typed_meanwhile_does_not_end_it() -> None:
    assert after(HeldKeys(("f8",)), "+f8", "+shift", "+!", "-shift", "-1", "+a", "-a")


# ---- what can be wrong ----


def refusal(function: Callable[..., object], *arguments: Any) -> tuple[str, str]:
    with pytest.raises(InputError) as refused:
        function(*arguments)
    return refused.value.code, str(refused.value)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({}, "no_screen"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, "wayland"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="these screens are Linux's")
def test_a_keyboard_that_cannot_be_heard_is_told_before_the_call(
    variables: dict[str, str], code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["join", LINK, "--name", "anna", "--hotkey", "f8"]) == EXIT_INPUT
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.endswith(f"[{code}]\n") and printed.err.count("\n") == 1


@pytest.fixture
def some_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No X server is there; nobody asks it."""
    monkeypatch.setattr(hotkey, "_require_screen", lambda platform, environ: None)


@pytest.mark.usefixtures("some_screen")
def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, sentence = refusal(require, ("f8",))
    assert code == "hotkey_not_installed" and "pip install 'raccall[hotkey]'" in sentence


@pytest.mark.usefixtures("some_screen")
def test_a_screen_that_does_not_answer_and_a_key_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())

    def fails(name: str) -> None:
        raise ImportError("this platform is not supported: failed to acquire X connection")

    monkeypatch.setattr(importlib, "import_module", fails)
    assert refusal(require, ("f8",))[0] == "no_screen"
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(Key=SimpleNamespace(f8=1)))
    require(("f8", "a"))
    assert refusal(require, ("pause",))[0] == "unknown_key"


def options(**given: object) -> Namespace:
    return Namespace(**{"mode": None, "hotkey": "f8"} | given)


def test_a_hotkey_means_push_to_talk_and_no_other_mode() -> None:
    assert talk.gate_mode_of(options()) is GateMode.PUSH_TO_TALK
    assert talk.gate_mode_of(options(hotkey=None)) is GateMode.OPEN
    code, _ = refusal(lambda: talk.check_hotkey(options(mode="voice"), has_screen=False))
    assert code == "hotkey_needs_ptt"


@pytest.mark.usefixtures("some_screen")
def test_the_screens_own_keys_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotkey, "require", lambda keys: None)
    assert refusal(lambda: talk.check_hotkey(options(hotkey="F4"), has_screen=True))[0] == "hotkey_taken"
    talk.check_hotkey(options(hotkey="F4"), has_screen=False)
    talk.check_hotkey(options(hotkey="F8"), has_screen=True)


def test_macos_is_asked_for_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    assert permission_hint("linux") is None
    for trusted in (True, False):
        services = SimpleNamespace(AXIsProcessTrusted=lambda trusted=trusted: trusted)
        monkeypatch.setitem(sys.modules, "ApplicationServices", services)
        assert (permission_hint("darwin") is None) == trusted


# ---- the listener, with a keyboard that is none ----


class Keyboard:
    """In place of pynput.keyboard."""

    def __init__(self, on_press: Callable[[Any], None], on_release: Callable[[Any], None]) -> None:
        self.on_press, self.on_release = on_press, on_release

    def run(self) -> None:
        self.on_press(SimpleNamespace(name="f8"))
        self.on_release(None)
        raise ConnectionError("the X server is gone")

    def stop(self) -> None: ...


async def test_a_keyboard_that_is_lost_is_told_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotkey, "_keyboard", lambda: SimpleNamespace(Listener=Keyboard))
    told: list[object] = []
    lost = asyncio.Event()

    def tell_lost() -> None:
        asyncio.get_running_loop()  # fails in a thread
        lost.set()

    with listening(("f8",), held=told.append, lost=tell_lost):
        async with asyncio.timeout(5):
            await lost.wait()
    assert told == [True, False]


# ---- a real keyboard ----


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """An X server that chose a free number; DISPLAY says which."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "64x64x8", "-nolisten", "tcp"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as number:
        monkeypatch.setenv("DISPLAY", f":{number.readline().strip()}")
    for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.terminate()
    server.wait()


async def keys(*words: str) -> None:
    """xdotool: keydown or keyup, and which."""
    process = await asyncio.create_subprocess_exec("xdotool", *words)
    assert await process.wait() == 0


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[str]:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        async with asyncio.timeout(30):
            yield server.invite()


def hears(listener: Session) -> bool:
    stats = listener.stats()
    return stats is not None and any(source.talking for source in stats.sources)


async def until_heard(listener: Session) -> None:
    """Press F8 as keyboards do, again and again: nothing tells when the program has begun to listen."""
    async with asyncio.timeout(10):
        while not hears(listener):
            await keys("keydown", "F8")
            await asyncio.sleep(0.1)


async def until_silent(listener: Session) -> None:
    async with asyncio.timeout(10):
        while hears(listener):  # noqa: ASYNC110 (a number of the engine: nothing tells when it changes)
            await asyncio.sleep(0.02)


@on_x
async def test_who_holds_the_key_is_heard_and_who_lets_go_is_not(
    link: str, tmp_path: Path, display: subprocess.Popen[bytes]
) -> None:
    """Also if another program has grabbed the key; and when the X server ends, talking does."""
    from Xlib import XK, X
    from Xlib.display import Display

    with SoundWriter(tmp_path / "tone.wav") as writer:
        writer.write((0.2 * np.sin(np.arange(25 * SAMPLE_RATE_HZ) * 0.05)).astype(np.float32))
    words = ["join", link, "--name", "anna", "--mic", str(tmp_path / "tone.wav"), "--hotkey", "f8", "--plain"]
    async with connect(link, name="ben") as ben, contextlib.AsyncExitStack() as stack:
        await ben.join(Sound.clocked(None, keep_playback=False))
        anna = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        stack.callback(lambda: anna.kill() if anna.returncode is None else None)
        await line_with("until you hold f8", anna.stdout)
        other = stack.enter_context(contextlib.closing(Display()))
        f8 = other.keysym_to_keycode(XK.string_to_keysym("F8"))
        for grabbed in (False, True):
            if grabbed:
                other.screen().root.grab_key(f8, X.AnyModifier, True, X.GrabModeAsync, X.GrabModeAsync)
                other.sync()
            assert not hears(ben)
            await until_heard(ben)
            await keys("keyup", "F8")
            await until_silent(ben)
        await until_heard(ben)
        display.terminate()
        await until_silent(ben)
        await line_with("The keyboard cannot be heard any more", anna.stdout)
        anna.send_signal(signal.SIGINT)
        _, errors = await anna.communicate()
    assert (anna.returncode, errors) == (0, b"")


@on_x
def test_every_name_is_a_key_of_pynput(display: subprocess.Popen[bytes]) -> None:
    look = f"from pynput.keyboard import Key; print(sorted(name for name in {sorted(NAMES)} if not hasattr(Key, name)))"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
