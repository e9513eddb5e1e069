"""Recordings made by hand: a folder with a journal and events, ready to be rendered."""

from pathlib import Path

import soundfile
from calls import START, WALL_NS, Sound

from raccall.recorder import Event, MemberJoined, Source, Start
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.tap import Packets, TappedPacket

ANNA, BEN = 0xA, 0xB


def at(ms: float) -> Nanos:
    return Nanos(START + int(ms * NANOS_PER_MS))


def people(*sources: Event) -> list[Event]:
    return [
        Start(now=START, wall_ns=WALL_NS, wall="2026-11-21T12:00:00+00:00", room="lounge", version="test"),
        MemberJoined(now=START, user_id="1", name="anna"),
        MemberJoined(now=START, user_id="2", name="ben"),
        *(sources or (Source(now=at(0), ssrc=ANNA, user_id="1"), Source(now=at(0), ssrc=BEN, user_id="2"))),
    ]


def write_recording(folder: Path, packets: list[TappedPacket], events: list[Event]) -> Path:
    folder.mkdir()
    journal = JournalWriter(folder / "journal.pcapng", TimeBase(START, WALL_NS), application="test")
    journal.append(Packets.of(packets).batch)
    journal.close()
    log = EventWriter(folder / "events.jsonl")
    for event in events:
        log.append(event)
    log.close()
    return folder


def read(path: Path) -> Sound:
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000
    return sound
