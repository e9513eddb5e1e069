"""The screen of a call, driven by keys, on a real server: what a person presses is what happens to the session."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import RichLog, Static

from raccall.audio.devices import NULL_BACKEND, SoundCard
from raccall.audio.files import SoundWriter
from raccall.cli.consent import ConsentDialogue
from raccall.cli.soundboard import Soundboard
from raccall.cli.talk import Talk
from raccall.cli.terminal import devices
from raccall.cli.terminal.app import CallApp
from raccall.cli.terminal.log import LogScreen
from raccall.cli.terminal.memory import Memory
from raccall.cli.terminal.people_list import PeopleList
from raccall.cli.terminal.sounds import SoundScreen
from raccall.cli.terminal.view import CallView
from raccall.client import Session, TextReceived, connect
from raccall.client.diagnosis import LinkWatch
from raccall.clock import monotonic_now
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import GateMode, Sound

pytestmark = pytest.mark.realtime

SPEECH = (0.1 * np.sin(np.arange(48_000 * 60) * 0.05)).astype(np.float32)


class Call:
    """anna, whose screen it is, and ben, who talks."""

    def __init__(self, view: CallView, ben: Session, file: Path) -> None:
        self.view = view
        self.ben = ben
        self.file = file
        self.app = CallApp(view)

    def text(self, selector: str) -> str:
        return str(self.app.query_one(selector, Static).render())

    def log(self) -> str:
        return "\n".join(line.text for line in self.app.query_one(RichLog).lines)


@asynccontextmanager
async def call(
    folder: Path,
    *,
    gate_mode: GateMode = GateMode.OPEN,
    hotkey: str | None = None,
    card: SoundCard | None = None,
) -> AsyncIterator[Call]:
    settings = ServerSettings(host="127.0.0.1", port=0, data=folder / "data")
    async with RunningServer(settings) as server:
        link = server.invite("lounge")
        async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
            await ben.join(Sound.clocked(SPEECH, keep_playback=False))
            sound = card.sound if card is not None else Sound.clocked(SPEECH, keep_playback=False)
            await anna.join(sound, gate_mode=gate_mode)
            screen, memory, file = LogScreen(), Memory(), folder / "join.json"
            consent = ConsentDialogue(anna, screen, may_ask=True)
            board = Soundboard(anna, screen, folder / "sounds")

            async def answer(line: str) -> bool:
                return await board.answer(line) or await consent.answer(line)

            screen.line("You are in lounge as anna.")
            view = CallView(
                anna,
                screen,
                LinkWatch(),
                gate_mode,
                Talk(anna, hotkey),
                answer,
                frozenset,
                board,
                card,
                "host:1",
                memory,
                lambda: memory.save(file),
            )
            yield Call(view, ben, file)


async def until(app: CallApp, true: Callable[[], bool]) -> None:
    """Look again, as the timer of the screen does."""
    async with asyncio.timeout(10):
        while not true():
            app.look()
            await asyncio.sleep(0.02)


async def test_people_are_shown_and_heard(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)):
        await until(it.app, lambda: [p.name for p in it.app.query_one(PeopleList).people] == ["anna", "ben"])
        await until(it.app, lambda: it.app.query_one(PeopleList).people[1].talking)
        assert "lounge · 2 people" in it.text("#head")
        assert "microphone" in it.text("#own") and " on " in it.text("#own")
        await until(it.app, lambda: "You are in lounge as anna." in it.log())


async def test_f2_mutes_and_f3_deafens_and_each_undoes_itself(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:
        session = it.view.session
        await pilot.press("f2")
        assert session.muted and "muted" in it.text("#own")
        await pilot.press("f2")
        assert not session.muted
        await pilot.press("f3")
        assert session.deafened and session.muted and "you hear nobody" in it.text("#own")
        async with asyncio.timeout(10):
            while not it.ben.members[session.user_id].deafened:  # noqa: ASYNC110 (a mirror, no event of its own here)
                await asyncio.sleep(0.02)
        await pilot.press("f3")
        assert not session.deafened and not session.muted
        await pilot.press("f2", "f3", "f3")
        assert session.muted and not session.deafened, "who was muted before stays so"
        await pilot.press("f3", "f2")
        assert not session.muted and not session.deafened, "who speaks wants to hear"


async def test_who_talks_while_muted_is_told(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f2")
        await until(it.app, lambda: "F2 switches it on" in it.text("#hint"))
        await pilot.press("f2")
        await until(it.app, lambda: not it.text("#hint"))


async def test_a_typed_line_reaches_the_others_and_a_command_does_not(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"/nonsense", "enter", *"hi", "enter")
        async with asyncio.timeout(10):
            async for event in it.ben.events():
                if isinstance(event, TextReceived):
                    break
        assert (event.name, event.text) == ("anna", "hi")
        await until(it.app, lambda: "<anna> hi" in it.log() and "There is no /nonsense;" in it.log())


async def test_a_volume_is_changed_by_keys_and_remembered_by_name(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:
        await until(it.app, lambda: len(it.app.query_one(PeopleList).people) == 2)
        await pilot.press("tab")
        it.app.query_one(PeopleList).highlighted = 1
        await pilot.press("minus", "minus", "minus")
        assert it.app.query_one(PeopleList).people[1].volume_db == -6.0
        assert Memory.load(it.file).volume_db("host:1", "ben") == -6.0
        await pilot.press("0")
        assert Memory.load(it.file).volumes_db == {}


async def test_the_link_is_shown_when_asked_for(tmp_path: Path) -> None:
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:
        assert not it.app.query_one("#link").display
        await pilot.press("f5")
        await until(it.app, lambda: "you → server" in it.text("#link"))
        await pilot.press("f5")
        assert not it.app.query_one("#link").display


async def test_the_key_to_talk_switches(tmp_path: Path) -> None:
    async with call(tmp_path, gate_mode=GateMode.PUSH_TO_TALK) as it, it.app.run_test(size=(80, 24)) as pilot:
        await until(it.app, lambda: "press F4 to talk" in it.text("#own"))
        await pilot.press("f4")
        assert "TALKING" in it.text("#own")
        await until(it.app, lambda: bool((stats := it.view.session.stats()) and stats.sending))
        await pilot.press("f4")
        await until(it.app, lambda: bool((stats := it.view.session.stats()) and not stats.sending))


async def test_a_key_to_hold_is_shown(tmp_path: Path) -> None:
    held = call(tmp_path, gate_mode=GateMode.PUSH_TO_TALK, hotkey="ctrl+space")
    async with held as it, it.app.run_test(size=(80, 24)) as pilot:
        await until(it.app, lambda: "hold ctrl+space to talk" in it.text("#own"))
        it.view.talk.set(True)
        await until(it.app, lambda: "TALKING" in it.text("#own"))
        await pilot.press("f1")
        await until(it.app, lambda: "ctrl+space  held" in it.log())


async def test_a_sound_is_played_by_a_key_and_shown_until_it_ends(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    for name in ("applause", "[b]drum"):
        with SoundWriter(tmp_path / "sounds" / f"{name}.wav") as writer:
            writer.write(SPEECH[: 48_000 * 20])
    async with call(tmp_path) as it, it.app.run_test(size=(80, 24)) as pilot:

        def is_open() -> bool:
            return isinstance(it.app.screen, SoundScreen)

        await pilot.press("f7")
        await until(it.app, is_open)
        await pilot.press("1")
        await until(it.app, lambda: "♪ [b]drum 0:0" in it.text("#own"))
        for closing in ("f7", "escape"):
            await pilot.press("f7")
            await until(it.app, is_open)
            await pilot.press(closing)
            await until(it.app, lambda: not is_open())
        await pilot.press(*"/stop", "enter")
        await until(it.app, lambda: "♪ [b]drum was stopped." in it.log() and "♪" not in it.text("#own"))


async def test_devices_are_listed_and_one_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = devices.list_devices
    monkeypatch.setattr(devices, "list_devices", lambda: listed(NULL_BACKEND))
    with SoundCard(monotonic_now(), backend=NULL_BACKEND) as card:
        async with call(tmp_path, card=card) as it, it.app.run_test(size=(80, 24)) as pilot:
            await pilot.press("f6")
            async with asyncio.timeout(10):
                while not it.app.screen.query("OptionList") or not it.app.screen.query_one("OptionList").option_count:
                    await pilot.pause()
            await pilot.press("down", "enter")  # past “whatever the system prefers”
            await until(it.app, lambda: f"The microphone is {card.devices[0].name}." in it.log())
            assert Memory.load(it.file).microphone == card.devices[0].name
