"""Hear yourself as others would: microphone, processing, encoder, a bad network, decoder, loudspeaker.

    microphone ▶ engine ▶ [emulated network] ▶ mirror ▶ the same engine ▶ loudspeaker

The engine is that of a call; its packets come back, so its own key opens them. No server, and nothing leaves this
machine. Each stage can be switched by an option, or while you listen by a typed word (`/noise off`, `/loss 20`). While
the echo canceller is off wear headphones, or the loudspeaker is heard again and again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self, cast

from raccall.audio.attend import until_sent, watch_card, write_heard
from raccall.audio.choice import SoundChoice, choose_sound, open_sound
from raccall.audio.heard import HeardWriter
from raccall.console import BottomRow, meter, on_interrupt, typed_lines
from raccall.errors import InputError
from raccall.testing.bad_network import BadNetwork
from raccall.testing.network import NetworkConditions
from raccall.testing.stages import WORDS, Stages, change, change_all, describe
from raccall.voice.engine import Engine, EngineStats, Sound, read_stats
from raccall.voice.processing import OFF, Processing
from raccall.waiting import first_done
from raccall.wire.packet import is_rtcp

HOST = "127.0.0.1"
MODE = "aead_aes256_gcm_rtpsize"
FIRST_SSRC = 1
LEVELS_EVERY_S = 0.2
TAIL_MS = 300
"""Beyond the network's delay: what the jitter buffer and the last packet need."""
Say = Callable[[str], None]
HELP = f"Type /{' /'.join(WORDS)} and a value, /stats, or /quit."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall echo`."""
    parser.add_argument("--mic", metavar="FILE|NAME", help="speak a file (WAV, FLAC, Opus), or use this microphone")
    parser.add_argument("--speaker", metavar="FILE|NAME", help="write what is heard (.wav, .flac, .opus), or play here")
    for name, word in WORDS.items():
        parser.add_argument(f"--{name}", metavar="VALUE", help=f"{word.help}: {word.values}".replace("%", "%%"))
    parser.add_argument("--seconds", type=float, metavar="N", help="end after this long; a file ends by itself")
    parser.add_argument("--seed", type=int, default=1, help="of the network's luck (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and nothing else")


def run(options: argparse.Namespace) -> int:
    """Returns 0 at the end, however that came about. Raises InputError."""
    if options.seconds is not None and not options.seconds > 0:
        raise InputError("seconds_out_of_range", "--seconds must be more than 0.")
    choice = choose_sound(options.mic, options.speaker)
    suited = Stages(processing=OFF if choice.uses_files else Processing())
    stages = change_all(suited, {word: getattr(options, word.replace("-", "_")) for word in WORDS})
    asyncio.run(_echo(options, choice, stages))
    return 0


class Mirror(asyncio.DatagramProtocol):
    """Returns voice to its sender; reports end here, as they do at a relay."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # as asyncio promises for datagram endpoints

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not is_rtcp(data):
            self.transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        """The other end is gone for the moment (an ICMP error), as while another engine starts."""


class EchoCall:
    """A Sound that hears itself. Use as an async context manager."""

    def __init__(self, sound: Sound, stages: Stages, seed: int) -> None:
        self.stages = stages
        self._sound = sound
        self._seed = seed
        self._key = os.urandom(32)
        self._ssrc = FIRST_SSRC
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Mirror, local_addr=(HOST, 0))
            stack.callback(transport.close)
            address = transport.get_extra_info("sockname")
            self._network = await stack.enter_async_context(BadNetwork(address, NetworkConditions(), self._seed))
            self._start()
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()
        await self._open.aclose()

    def change(self, word: str, value: str) -> None:
        """From the next packet on. Raises InputError.

        Processing changes at once. For all else a new engine takes over, as a new Source, so that what is under way
        is still heard and the jitter buffer has nothing to unlearn; the 60 ms or so that waited in it are lost.
        """
        former, self.stages = self.stages, change(self.stages, word, value)
        if replace(former, processing=self.stages.processing) == self.stages:
            self._engine.set_processing(**asdict(self.stages.processing))
        else:
            self._engine.close()
            self._ssrc += 1
            self._start()

    def stats(self) -> EngineStats:
        """Of the engine that runs now."""
        return read_stats(self._engine)

    def _start(self) -> None:
        self._network.up.conditions = self.stages.conditions
        self._engine = Engine(self._network.address)
        self._engine.start(
            ssrc=self._ssrc,
            mode=MODE,
            key=self._key,
            sound=self._sound,
            bitrate_bps=self.stages.bitrate_bps,
            music=self.stages.music,
            expected_loss_pct=round(self.stages.loss_pct),
        )
        self._engine.set_processing(**asdict(self.stages.processing))


async def _echo(options: argparse.Namespace, choice: SoundChoice, stages: Stages) -> None:
    stop = asyncio.Event()
    on_interrupt(stop.set)
    say = _nothing if options.json else _print
    async with contextlib.AsyncExitStack() as stack:
        sound, card = stack.enter_context(open_sound(choice))
        writer = stack.enter_context(HeardWriter(choice.recording)) if choice.recording else None
        call = await stack.enter_async_context(EchoCall(sound, stages, options.seed))
        say(f"You hear yourself as the others would, {stages.delay_ms / 1000:g} s late. {HELP}")
        say(describe(stages))
        jobs: list[Coroutine[object, object, object]] = [stop.wait(), _obey(call, say)]
        row = BottomRow(sys.stdout)
        if row.live and not options.json:
            stack.callback(row.close)
            jobs.append(_show_levels(call, row))
        if options.seconds is not None:
            jobs.append(asyncio.sleep(options.seconds))
        if choice.speech is not None:
            jobs.append(_until_back(sound, call))
        if card is not None:
            jobs.append(watch_card(card, say))
        if writer is not None:
            jobs.append(write_heard(sound, writer))
        done = await first_done(jobs)
        if writer is not None:
            writer.write(sound.read_playback())
        say(_sentence(call.stats()))
        if options.json:
            print(json.dumps({"stages": asdict(call.stages), "stats": asdict(call.stats())}))
        for job in done:
            job.result()


def _print(text: str) -> None:
    print(text, flush=True)


def _nothing(text: str) -> None:
    """With `--json` nobody reads along."""


async def _obey(call: EchoCall, say: Say) -> None:
    """Ends at /quit; the end of the input only ends the typing."""
    async for line in typed_lines():
        match line.split():
            case []:
                continue
            case ["/quit"]:
                return
            case ["/stats"]:
                say(_sentence(call.stats()))
            case [word, value] if word.startswith("/"):
                try:
                    call.change(word[1:], value)
                    say(describe(call.stages))
                except InputError as error:
                    say(str(error))
            case _:
                say(HELP)
    await asyncio.Event().wait()


async def _show_levels(call: EchoCall, row: BottomRow) -> None:
    while True:
        row.show(levels(call.stats()))
        await asyncio.sleep(LEVELS_EVERY_S)


def levels(stats: EngineStats) -> str:
    """One line within 80 columns: as the microphone heard it, as it left, and as it came back."""
    named = {
        "microphone": stats.processing.captured_db,
        "processed": stats.input_level_db,
        "came back": stats.sources[-1].level_db if stats.sources else -127.0,
    }
    return "  ".join(f"{name} {meter(level_db)} {level_db:4.0f}" for name, level_db in named.items()) + " dB"


def _sentence(stats: EngineStats) -> str:
    """What came back. Of several Sources the last is that of the engine that runs."""
    heard = stats.sources[-1] if stats.sources else None
    back = f"{heard.received} of {stats.sent_packets} packets came back" if heard else "nothing came back yet"
    repaired = f", {heard.recovered + heard.respoken} frames repaired, {heard.concealed} made up" if heard else ""
    report = stats.processing
    erle = f", echo {report.erle_db:.0f} dB lower" if report.erle_db is not None else ""
    return f"microphone {report.captured_db:.0f} dB, gain {report.gain_db:+.0f} dB{erle}; {back}{repaired}."


async def _until_back(sound: Sound, call: EchoCall) -> None:
    """Until the file has been spoken, and its end has come back, over the network as it is then."""
    await until_sent(sound, 0)
    await asyncio.sleep((call.stages.delay_ms + call.stages.jitter_ms + TAIL_MS) / 1000)
