"""Draw the terminal client in its main states, as SVG: `make screenshots`, or with a folder as argument.

The screen is the real one, driven by Textual's pilot; the call behind it is made up, so that a picture is the same
each time.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
from textual.pilot import Pilot

from raccall.audio.devices import Device, Kind
from raccall.cli.screen import describe
from raccall.cli.soundboard import Soundboard
from raccall.cli.talk import Talk
from raccall.cli.terminal import devices
from raccall.cli.terminal.app import CallApp
from raccall.cli.terminal.log import LogScreen
from raccall.cli.terminal.memory import Memory
from raccall.cli.terminal.view import CallView
from raccall.client import ConnectionLost, EncryptionChanged
from raccall.client.diagnosis import LinkWatch
from raccall.units import Nanos, Ssrc
from raccall.voice.engine import EngineStats, GateMode, SourceStats
from raccall.wire.control import MemberInfo
from tests.figures import STATS, source

SIZES = ((80, 24), (120, 40))
CODE = "84213 90417 22658 73310 55094 18826"
LINES = (
    "You are in lounge as anna. F1 tells the keys.",
    "Here: ben, carla, dmitri, Éloïse from the workshop, desk",
    f"Encrypted end to end, for 6 members. Code: {CODE}",
    "● RECORDING: desk records this call.",
    "  You are recorded; /record no ends that.",
    "<ben> good evening, can you hear me?",
    "<anna> loud and clear",
    "carla is muted",
    "<carla> one moment, the kettle",
)
MICROPHONE = Device(Kind.MICROPHONE, "Headset Microphone", is_default=True)
SPEAKER = Device(Kind.SPEAKER, "Headset Earphones", is_default=True)
OTHERS = (
    Device(Kind.MICROPHONE, "Built-in Audio Analog Stereo", is_default=False),
    Device(Kind.SPEAKER, "Built-in Audio Analog Stereo", is_default=False),
)


def heard(ssrc: int, level_db: float, talking: bool) -> SourceStats:
    lossy = {"received": 5200, "lost": 31, "concealed": 12, "recovered": 19, "late": 2, "jitter_ms": 4.2}
    late = {"stretched_ms": 410, "paused_ms": 900, "target_ms": 40.0, "delay_ms": 43.0}
    return source(ssrc, **lossy, **late, level_db=level_db, talking=talking)


MID_CALL = replace(
    STATS,
    sent_packets=5300,
    sent_bytes=640_000,
    received_packets=10_400,
    uplink_loss_pct=0.4,
    round_trip_ms=24.0,
    sources=(heard(2, -14.0, True), heard(3, -127.0, False), heard(5, -31.0, True)),
    bitrate_bps=32_000,
    uplink_jitter_ms=2.6,
    heard_loss_pct=0.6,
    input_level_db=-19.0,
)


class Session:
    """What the screen asks of one."""

    def __init__(self) -> None:
        self.user_id, self.name, self.room_name = "1", "anna", "lounge"
        self.members = {
            "1": MemberInfo(user_id="1", name="anna", kept=True),
            "2": MemberInfo(user_id="2", name="ben", kept=True),
            "3": MemberInfo(user_id="3", name="carla", muted=True),
            "4": MemberInfo(user_id="4", name="dmitri", muted=True, deafened=True),
            "5": MemberInfo(user_id="5", name="Éloïse from the workshop"),
            "9": MemberInfo(user_id="9", name="desk", recording=True),
        }
        self.sources = {Ssrc(2): "2", Ssrc(3): "3", Ssrc(5): "5"}
        self.encryption = EncryptionChanged(True, 7, 3, CODE, {user_id: user_id for user_id in self.members})
        self.ghosts: tuple[str, ...] = ()
        self.playing: tuple[Any, ...] = ()
        self.muted = self.deafened = False
        self.shown: EngineStats | None = MID_CALL

    def stats(self) -> EngineStats | None:
        return self.shown

    async def set_muted(self, muted: bool) -> None:
        self.muted = muted
        self._tell()

    def set_deafened(self, deafened: bool) -> None:
        self.deafened = deafened
        self._tell()

    def _tell(self) -> None:
        own = self.members[self.user_id]
        self.members[self.user_id] = msgspec.structs.replace(own, muted=self.muted, deafened=self.deafened)

    def set_gain_db(self, user_id: str, gain_db: float) -> None:
        """Nobody hears it."""


class Card:
    """Devices that exist on no machine."""

    devices = (MICROPHONE, SPEAKER)


async def in_the_room(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    """Nothing else."""


async def muted_talker(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f2")
    await until(app, lambda: "F2" in str(app.query_one("#hint").render()))


async def link(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f5")


async def device_list(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f6")
    await until(app, lambda: len(app.screen_stack) > 1 and app.screen.query_one("OptionList").option_count > 4)


async def sound_list(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f7")
    await until(app, lambda: len(app.screen_stack) > 1)


async def playing(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    session.playing = (SimpleNamespace(name="applause", position_s=3.4),)
    app._view.screen.line("♪ applause plays into the call; /stop ends it.")


async def help_text(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f1")


async def connection_lost(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    session.shown = None
    lost = ConnectionLost("connection_broken", "The connection to the server broke.")
    app._view.screen.line(describe(lost, session.user_id) or "")


async def in_clear(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    session.encryption = EncryptionChanged(False, 0, 0, "", {})
    app._view.screen.line(describe(session.encryption, session.user_id) or "")


async def deafened(app: CallApp, pilot: Pilot[None], session: Session) -> None:
    await pilot.press("f3")


STATES: tuple[Callable[[CallApp, Pilot[None], Session], Awaitable[None]], ...] = (
    in_the_room,
    muted_talker,
    deafened,
    in_clear,
    link,
    device_list,
    sound_list,
    playing,
    help_text,
    connection_lost,
)


async def until(app: CallApp, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            app.look()
            await asyncio.sleep(0.02)


async def draw(
    state: Callable[[CallApp, Pilot[None], Session], Awaitable[None]], size: tuple[int, int], sounds: Path
) -> str:
    """One state of the screen as SVG."""
    session, screen, memory = Session(), LogScreen(), Memory()
    memory.set_volume_db("host:7420", "ben", -6.0)
    for line in LINES:
        screen.line(line)
    view: Any = CallView(
        session=session,  # type: ignore[arg-type]
        screen=screen,
        watch=LinkWatch(),
        gate_mode=GateMode.OPEN,
        talk=Talk(session),  # type: ignore[arg-type]
        answer=_nothing,
        verified=lambda: frozenset({"2"}),
        board=Soundboard(session, screen, sounds),  # type: ignore[arg-type]
        card=Card(),  # type: ignore[arg-type]
        server="host:7420",
        memory=memory,
        remember=lambda: None,
    )
    app = CallApp(view)
    async with app.run_test(size=size) as pilot:
        view.watch.look(
            replace(MID_CALL, sources=tuple(replace(s, received=100, lost=0) for s in MID_CALL.sources)), Nanos(1)
        )
        await state(app, pilot, session)
        if session.shown is not None:
            app.look()
        await pilot.pause()
        svg = app.export_screenshot(title=f"raccall join · {state.__name__.replace('_', ' ')}")
        return re.sub(
            r"@font-face \{.*?\}", "", svg, flags=re.DOTALL
        )  # the reader's own font, not one from the network


async def _nothing(line: str) -> bool:
    return False


def main(folder: Path) -> None:
    """Write every state in both sizes, as NAME-COLUMNSxROWS.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    devices.list_devices = lambda: [MICROPHONE, OTHERS[0], SPEAKER, OTHERS[1]]  # type: ignore[assignment]
    with TemporaryDirectory() as sounds:
        for name in ("applause", "drum roll", "sad trombone", "intro music"):
            (Path(sounds) / f"{name}.flac").touch()
        for state in STATES:
            for columns, rows in SIZES:
                file = folder / f"{state.__name__}-{columns}x{rows}.svg"
                file.write_text(asyncio.run(draw(state, (columns, rows), Path(sounds))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
