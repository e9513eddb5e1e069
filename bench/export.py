"""What an export costs beside decoding: 5 speakers to a WAV file each and one of the mix.

An export reads the journal, finds every packet's place, decodes, conceals, follows drifting clocks, sums, limits and
writes. libopus alone (crates/record/examples/decode_cost.rs) decodes the same payloads, conceals the same losses and
throws the sound away. Both run in turn. Loudness is left as it was: to measure it takes another look at all the sound.

What Python code per sample costs is shown by the mixing of a 2021 article on recording Discord: for each sample a sum
over the speakers in Python, and a clamp. It is measured on a part and counted for as much sound.
"""

import gc
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.client import OWN_SPEECH, SHARED_SPEECH, SPEECH, build_example, level
from bench.report import CannotRun, Report, Row, note
from raccall._native import PacketBatch
from raccall.audio.files import read_samples
from raccall.recorder.events import Event, EventWriter, MemberJoined, Source, Start, Stop
from raccall.recorder.export import export
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.sound import RecordedSound
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos
from raccall.voice.codec import Encoder, payload_has_lbrr

CLAIM = (
    "An export to WAV costs at most 1.1 times libopus decoding the same packets, is 1.7 times faster on two cores, "
    "and takes no more memory for an hour than for ten minutes"
)
LIMIT, SPEED_UP, ARTICLE, MEMORY = 1.10, 1.7, 3.0, 1.1
SPEAKERS = 5
DRIFT_PPM = (-45.0, -20.0, 5.0, 30.0, 60.0)
LOSS = 0.02
MINUTES, QUICK_MINUTES = 10, 1
LONG_MINUTES, QUICK_LONG_MINUTES = 60, 3
REPEATS, QUICK_REPEATS = 5, 1
ARTICLE_SECONDS = 2

START = Nanos(1_000 * NANOS_PER_SECOND)
DECODE, CONCEAL, DECODE_COPY = 0, 1, 2


@dataclass(frozen=True)
class Call:
    """A recording, and what libopus is asked for it."""

    folder: Path
    calls: Path
    seconds: float


def measure(quick: bool) -> Report:
    try:
        rows = compare(quick)
    except CannotRun as problem:
        rows = [Row.unmeasured("all", "peer", problem, LIMIT)]
    return Report(claim=CLAIM, unit="s, MB", rows=rows)


def compare(quick: bool) -> list[Row]:
    command = build_example("decode_cost", "raccall-record")
    one: list[float] = []
    bare: list[float] = []
    wall: dict[int, list[float]] = {1: [], 2: []}
    repeats = QUICK_REPEATS if quick else REPEATS
    with tempfile.TemporaryDirectory(prefix="bench-export-") as made_in:
        call = record(Path(made_in) / "call", QUICK_MINUTES if quick else MINUTES)
        for repeat in range(1, repeats + 1):
            note(f"[{repeat}/{repeats}] libopus alone")
            done = subprocess.run([command, call.calls], check=True, capture_output=True, text=True)
            bare.append(int(done.stdout.split()[0]) / 1e9)
            for workers in wall:
                note(f"[{repeat}/{repeats}] export, {workers} at a time")
                cpu_s, wall_s = export_cost(call, Path(made_in) / "out", workers)
                wall[workers].append(wall_s)
                if workers == 1:
                    one.append(cpu_s)
        article = [article_cost(call) * call.seconds / ARTICLE_SECONDS for _ in one]
        note("memory")
        long = record(Path(made_in) / "long", QUICK_LONG_MINUTES if quick else LONG_MINUTES)
        short_mb, long_mb = peak_mb(call), peak_mb(long)
    two_cores = "" if (os.cpu_count() or 1) >= 2 else "this machine has one core"
    return [
        Row.of_repeats(name="one worker, CPU", value=one, against=bare, kind="peer", limit=LIMIT),
        Row.of_repeats(
            name="one worker by two, elapsed",
            value=wall[1],
            against=wall[2],
            kind="limit",
            limit=SPEED_UP,
            better="higher",
            problem=two_cores,
        ),
        Row.of_repeats(
            name="mixing per sample", value=article, against=one, kind="peer", limit=ARTICLE, better="higher"
        ),
        Row(name="memory of the longer call", value=long_mb, against=short_mb, kind="limit", limit=MEMORY),
    ]


def export_cost(call: Call, out: Path, workers: int) -> tuple[float, float]:
    """CPU and elapsed seconds."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    export(call.folder, out, format="wav", mix=True, lufs=None, workers=workers)
    cost = time.process_time() - cpu, time.perf_counter() - wall
    shutil.rmtree(out)
    return cost


def article_cost(call: Call) -> float:
    """Seconds of CPU to mix ARTICLE_SECONDS of decoded sound, sample by sample."""
    block = next(iter(RecordedSound(call.folder, begin_s=1, end_s=1 + ARTICLE_SECONDS).blocks()))
    voices = [(voice[:, 0] * 32767).astype(np.int16).tobytes() for voice in block.voices.values()]
    begin = time.process_time()
    for _ in range(ARTICLE_SECONDS):
        mixed = bytearray()
        for at in range(0, 2 * SAMPLE_RATE_HZ, 2):
            total = 0
            for voice in voices:
                total += int.from_bytes(voice[at : at + 2], "little", signed=True)
            mixed += max(-32768, min(total, 32767)).to_bytes(2, "little", signed=True)
    return time.process_time() - begin


def peak_mb(call: Call) -> float:
    """Of a process that goes through all of it."""
    program = (
        "import resource, sys; from pathlib import Path; from raccall.recorder.sound import RecordedSound\n"
        "for block in RecordedSound(Path(sys.argv[1])).blocks(): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program, call.folder], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def record(folder: Path, minutes: int) -> Call:
    """A call of real speech as if it had been recorded: a packet in fifty lost, jitter, clocks that drift."""
    note(f"a call of {minutes} min")
    payloads = encode_speech()
    random = np.random.default_rng(1)
    seconds = minutes * 60
    folder.mkdir()
    events: list[Event] = [Start(now=START, wall_ns=0, wall="", room="bench", version="bench")]
    for speaker in range(SPEAKERS):
        events.append(MemberJoined(now=START, user_id=str(speaker), name=f"speaker {speaker}"))
        events.append(Source(now=START, ssrc=speaker, user_id=str(speaker)))
    events.append(Stop(now=START + (seconds + 1) * NANOS_PER_SECOND, reason="stopped"))
    log = EventWriter(folder / "events.jsonl")
    for event in events:
        log.append(event)
    log.close()
    journal = JournalWriter(folder / "journal.pcapng", TimeBase(START, 0), application="bench")
    lost_before = [0] * SPEAKERS
    with (folder.parent / f"{folder.name}.calls").open("wb") as calls:
        for second in range(seconds):
            packets = []
            for speaker in range(SPEAKERS):
                for index in range(second * 50, second * 50 + 50):
                    payload = payloads[(index + speaker * len(payloads) // SPEAKERS) % len(payloads)]
                    if random.random() < LOSS and index:
                        lost_before[speaker] += 1
                        continue
                    calls.write(asked_of_libopus(speaker, payload, lost_before[speaker]))
                    lost_before[speaker] = 0
                    sent_ns = index * 20 * NANOS_PER_MS * (1 + DRIFT_PPM[speaker] * 1e-6)
                    arrival = int(START + sent_ns + random.random() * 8 * NANOS_PER_MS)
                    timestamp = index * FRAME_SAMPLES
                    rtp = struct.pack(">BBHII", 0x80, 120, index & 0xFFFF, timestamp & 0xFFFFFFFF, speaker) + payload
                    packets.append((arrival, speaker, index, timestamp, rtp))
            journal.append(PacketBatch(sorted(packets)))
    journal.close()
    return Call(folder, folder.parent / f"{folder.name}.calls", seconds)


def asked_of_libopus(speaker: int, payload: bytes, lost: int) -> bytes:
    """What an export asks of a decoder for a packet after `lost` missing ones: see crates/record/src/sound."""
    copied = lost > 0 and payload_has_lbrr(payload)
    asked = [(CONCEAL, b"")] * (lost - copied) + [(DECODE_COPY, payload)] * copied + [(DECODE, payload)]
    return b"".join(struct.pack("<BBHH", speaker, what, FRAME_SAMPLES, len(data)) + data for what, data in asked)


def encode_speech() -> list[bytes]:
    """A minute or so of people reading, 32 kbit/s, mono, with copies against loss."""
    folder = SHARED_SPEECH if SHARED_SPEECH.is_dir() else OWN_SPEECH
    speech = np.concatenate([level(read_samples(path)) for name in SPEECH for path in sorted(folder.glob(name))])
    encoder = Encoder(SAMPLE_RATE_HZ, 1, "voip", bitrate_bps=32_000, expected_loss_pct=2, lbrr=True)
    whole = len(speech) - len(speech) % FRAME_SAMPLES
    return [encoder.encode(frame) for frame in speech[:whole].reshape(-1, FRAME_SAMPLES)]
