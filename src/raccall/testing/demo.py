"""`raccall demo`: two people talk over an emulated bad network, a recorder keeps the call, a table tells how it went.

    server on loopback ── recorder (a visible member, clean link)
          ├── [bad network, seeded] ── anna, a file for a microphone
          └── [bad network, seeded] ── ben

Everything is the real thing (sockets, gateway, relay, engines); only the network, the microphones and the loudspeakers
are staged. What each one said is written so that all files start at the same moment, as the tracks of the recording do.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from raccall.bots.keep import KeptCall, keep_call
from raccall.client import Session, connect
from raccall.errors import InputError, StorageError
from raccall.recorder import Summary
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.bad_network import BadNetwork
from raccall.testing.dialogue import Part, Samples, compose
from raccall.testing.network import NetworkConditions
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, SAMPLE_RATE_HZ
from raccall.voice.engine import EngineStats, Sound

HOST = "127.0.0.1"
ROOM = "lounge"
POLL_S = 0.2
TAIL_S = 0.6
"""After the last word: as long as the worst network of the options may hold a packet back, and a little more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `raccall demo`."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where the call is kept (demo)")
    parser.add_argument("--speech", type=Path, metavar="DIR", help="a folder of speech files instead of our own")
    parser.add_argument("--loss", type=_percent, default=5.0, metavar="PERCENT", help="packets lost each way (5)")
    parser.add_argument("--jitter-ms", type=_milliseconds, default=30.0, metavar="MS", help="delay varies by this (30)")
    parser.add_argument("--seed", type=int, default=1, help="of the network's luck (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(options: argparse.Namespace) -> int:
    """Stage the call and print what came of it."""
    parts = compose(options.speech)
    result = asyncio.run(_stage(parts, options))
    print(json.dumps(result, indent=2) if options.json else _table(result))
    return 0


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 90:
        raise argparse.ArgumentTypeError("loss is a percentage from 0 to 90")
    return value


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError("jitter is 0 to 1000 ms")
    return value


@dataclass(slots=True)
class _Person:
    """One who talks: a part of the dialogue, a session, a bad link."""

    part: Part
    session: Session
    link: BadNetwork
    sound: Sound
    stats: EngineStats | None = None


async def _stage(parts: list[Part], options: argparse.Namespace) -> dict[str, Any]:
    folder = _empty_folder(options.out)
    conditions = NetworkConditions(loss=options.loss / 100, jitter_ms=options.jitter_ms)
    progress = _Progress(len(parts[0].samples) / SAMPLE_RATE_HZ)
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raccall-demo-")))
        server = await stack.enter_async_context(RunningServer(ServerSettings(host=HOST, port=0, data=data)))
        link = server.invite(ROOM)
        progress.say(f"server at {server.url}; {options.loss:g} % loss, 0 to {options.jitter_ms:g} ms jitter each way")
        recorder = await stack.enter_async_context(connect(link, name="recorder", recorder=True))
        kept = await stack.enter_async_context(keep_call(recorder, folder / "recording"))
        people = []
        for number, part in enumerate(parts):
            network = BadNetwork((HOST, server.port), conditions, options.seed * 1000 + number)
            await stack.enter_async_context(network)
            session = await stack.enter_async_context(connect(link, name=part.name))
            await session.consent(True)
            people.append(_Person(part, session, network, Sound.clocked(part.samples, keep_playback=True)))
        await asyncio.gather(*(p.session.join(sound=p.sound, media_address=p.link.address) for p in people))
        await _listen(people, progress)
        relay = server.service.relay.counters()
        for person in people:
            await person.session.leave()
        progress.say("making tracks and mix from the journal")
        summary = await kept.finish()
    _write_sound(folder, people)
    return _result(folder, people, kept, summary, relay, options)


async def _listen(people: list[_Person], progress: "_Progress") -> None:
    """Until everyone has said their part and the last packets have arrived."""
    while not all(person.sound.capture_done for person in people):
        await asyncio.sleep(POLL_S)
        for person in people:
            person.stats = person.session.stats() or person.stats
        progress.show([(person.part.name, person.stats) for person in people])
    await asyncio.sleep(TAIL_S)
    for person in people:
        person.stats = person.session.stats() or person.stats
    progress.end()


def _empty_folder(folder: Path) -> Path:
    """A folder of ours: made, or emptied of an earlier demo. Anything else in the way is left alone."""
    ours = {"recording", "speech", "heard"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if strangers := [path.name for path in folder.iterdir() if path.name not in ours]:
            raise InputError("folder_not_empty", f"{folder} holds other things ({strangers[0]}); choose another --out.")
        for name in ours:
            _remove(folder / name)
    except OSError as error:
        raise StorageError("folder_not_writable", f"{folder} cannot be written: {error.strerror}.") from None
    return folder


def _remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    elif path.exists():
        path.unlink()


def _write_sound(folder: Path, people: list[_Person]) -> None:
    """speech/NAME.flac: all starting when the first one began to send. heard/NAME.wav: what came out at the ear."""
    begins = [person.stats.first_sent for person in people if person.stats and person.stats.first_sent]
    (folder / "speech").mkdir()
    (folder / "heard").mkdir()
    for person in people:
        first = person.stats.first_sent if person.stats else None
        late = round((first - min(begins)) * SAMPLE_RATE_HZ / NANOS_PER_SECOND) if first else 0
        said = np.concatenate([np.zeros(late, np.float32), person.part.samples])
        soundfile.write(folder / "speech" / f"{person.part.name}.flac", said, SAMPLE_RATE_HZ)
        heard: Samples = person.sound.read_playback()
        soundfile.write(folder / "heard" / f"{person.part.name}.wav", heard, SAMPLE_RATE_HZ, subtype="PCM_16")


def _result(
    folder: Path,
    people: list[_Person],
    kept: KeptCall,
    summary: Summary,
    relay: dict[str, int],
    options: argparse.Namespace,
) -> dict[str, Any]:
    begins = [person.stats.first_sent for person in people if person.stats and person.stats.first_sent]
    return {
        "recording": str(folder / "recording"),
        "page": str(folder / "recording" / "index.html"),
        "mix": str(folder / "recording" / "mix.opus"),
        "loss_pct": options.loss,
        "jitter_ms": options.jitter_ms,
        "seed": options.seed,
        # Where the speech files begin in the tracks, by the senders' clocks; Opus adds 6.5 ms of look-ahead.
        "starts_at_ms": round((min(begins) - kept.began) / NANOS_PER_MS + summary.lead_in_ms, 1) if begins else None,
        "speakers": [_speaker(folder, person, summary) for person in people],
        "relay": relay,
        "summary": msgspec.to_builtins(summary),
    }


def _speaker(folder: Path, person: _Person, summary: Summary) -> dict[str, Any]:
    stats, name = person.stats, person.part.name
    assert stats is not None, "a person who joined has numbers"
    heard = stats.sources[0] if stats.sources else None
    seconds = len(person.part.samples) / SAMPLE_RATE_HZ
    track = next((track for track in summary.people if track.name == name), None)
    return {
        "name": name,
        "speech": str(folder / "speech" / f"{name}.flac"),
        "track": str(folder / "recording" / track.track) if track else None,
        "heard": str(folder / "heard" / f"{name}.wav"),
        "sent_packets": stats.sent_packets,
        "uplink_lost_packets": person.link.up.lost,
        "heard_packets": heard.received if heard else 0,
        "heard_lost_packets": heard.lost if heard else 0,
        "recovered_frames": heard.recovered + heard.respoken if heard else 0,
        "concealed_frames": heard.concealed if heard else 0,
        "delay_ms": round((stats.round_trip_ms or 0) / 2 + (heard.delay_ms if heard else 0), 1),
        "cpu_pct": round(100 * stats.cpu / (seconds * NANOS_PER_SECOND), 2),
    }


def _table(result: dict[str, Any]) -> str:
    """For people: who, packets, loss, what was done about it, delay, cost, and where to listen."""
    head = f"{'':10}{'sent':>7}{'lost on':>10}{'lost to':>10}{'repaired':>10}{'concealed':>11}{'delay':>9}{'CPU':>8}"
    units = f"{'':10}{'packets':>7}{'way up':>10}{'the ear':>10}{'frames':>10}{'frames':>11}{'ms':>9}{'core %':>8}"
    rows = [
        f"{s['name']:10}{s['sent_packets']:>7}{s['uplink_lost_packets']:>10}{s['heard_lost_packets']:>10}"
        f"{s['recovered_frames']:>10}{s['concealed_frames']:>11}{s['delay_ms']:>9}{s['cpu_pct']:>8}"
        for s in result["speakers"]
    ]
    listen = [
        "",
        f"Listen: {result['page']} (in a browser)",
        f"        {result['mix']} (everyone)",
        *(f"        {s['track']} ({s['name']} alone)" for s in result["speakers"] if s["track"]),
        *(f"        {s['heard']} (what {s['name']} heard)" for s in result["speakers"]),
    ]
    return "\n".join([head, units, *rows, *listen])


class _Progress:
    """One line on stderr that is written over while a person watches; plain lines otherwise."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._live = sys.stderr.isatty()
        self._elapsed_s = 0.0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def show(self, people: list[tuple[str, EngineStats | None]]) -> None:
        self._elapsed_s = max((s.sent_packets for _, s in people if s), default=0) * 0.02
        talking = ", ".join(f"{name} {s.sent_packets} packets" for name, s in people if s)
        if self._live:
            line = f"{self._elapsed_s:5.1f} of {self._seconds:.1f} s   {talking}"
            print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._live:
            print(file=sys.stderr)
        else:
            self.say(f"{self._elapsed_s:.0f} s of talk")
