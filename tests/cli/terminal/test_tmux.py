"""The command itself in a real terminal of 80 × 24."""

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = [pytest.mark.realtime, pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")]

SPEECH = Path(__file__).parents[3] / "src" / "raccall" / "testing" / "speech" / "anna_2.flac"


class Terminal:
    """A tmux of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]

    def run(self, command: str) -> None:
        subprocess.run([*self._tmux, "new-session", "-d", "-x", "80", "-y", "24", command], check=True)

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def shown(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return done.stdout

    def until(self, true: Callable[[str], object], within_s: float = 20) -> str:
        end = time.monotonic() + within_s
        while not true(screen := self.shown()):
            assert time.monotonic() < end, screen
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)


RUN = "from raccall.cli.main import main; raise SystemExit(main())"


def joining(link: str, home: Path, *options: str) -> str:
    command = [sys.executable, "-c", RUN, "join", link, "--name", "anna", "--mic", str(SPEECH), *options]
    return f"env XDG_DATA_HOME={home} TERM=xterm-256color {shlex.join(command)}; echo exit $?; cat"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "tmux")
    yield terminal
    terminal.close()


async def test_a_call_is_drawn_typed_into_and_left(tmp_path: Path, terminal: Terminal) -> None:
    def play(link: str) -> None:
        terminal.run(joining(link, tmp_path))
        screen = terminal.until(lambda text: "lounge · 1 person" in text and "f2 Mute" in text)
        assert all(len(row) <= 80 for row in screen.splitlines())
        terminal.press("F2")
        terminal.until(lambda text: "muted" in text)
        terminal.press("good evening", "Enter")
        terminal.until(lambda text: "<anna> good evening" in text)
        terminal.press("C-q")
        ended = terminal.until(lambda text: "exit 0" in text)
        assert re.search(r"\d+:\d\d:\d\d of call: loss", ended), "the summary is left on the terminal"

    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        await asyncio.to_thread(play, server.invite("lounge"))


async def test_a_call_that_ends_by_itself_gives_the_terminal_back(tmp_path: Path, terminal: Terminal) -> None:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        terminal.run(joining(server.invite("lounge"), tmp_path, "--seconds", "1"))
        ended = await asyncio.to_thread(terminal.until, lambda text: "exit 0" in text)
        assert "of call: loss" in ended and "People" not in ended
