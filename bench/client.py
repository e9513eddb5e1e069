"""What a call with five talkers costs a client, as a ratio to what libopus alone costs for it: an encode, five decodes.

The engine's thread also waits, receives, opens, orders, mixes, seals and sends. libopus alone is a program that does
nothing else (crates/engine/examples/codec_cost.rs), on the same speech with the same settings. It is measured twice: at
full speed, which is the stricter peer because the processor stays warm, and in the rhythm of a call, 50 times a second
with pauses between. All run in turn; CPU time is that of the one thread, kernel included.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.report import CannotRun, Report, Row, note
from raccall._native import Relay
from raccall.audio.files import Samples, read_samples
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Engine, EngineStats, Sound, read_stats

CLAIM = (
    "A client in a call with five talkers costs at most 1.5 times the CPU of libopus alone: one encode, five decodes"
)
LIMIT = 1.5
TALKERS = 5
PEERS: dict[str, list[str]] = {"libopus at full speed": [], "libopus in a call's rhythm": ["paced"]}
"""How libopus alone is run: words for codec_cost."""
REPEATS, SECONDS = 5, 4
QUICK_REPEATS, QUICK_SECONDS = 1, 2

ROOT = Path(__file__).parents[1]
SHARED_SPEECH = ROOT.parent / "shared" / "audio"
OWN_SPEECH = ROOT / "src" / "raccall" / "testing" / "speech"
SPEECH = ("arctic_*.flac", "libri_*.flac", "lj_*.flac", "anna_*.flac", "ben_*.flac")
SPEECH_DBFS = -23.0

CLIENT = 1
"""SSRC of the one that is measured; the talkers follow."""
MODE = "aead_aes256_gcm_rtpsize"
WARM_UP_S = 1.0
"""Until every talker is heard and jitter buffers have settled."""
LEAST_HEARD = 0.9
"""Of all packets; with fewer the client did less than the peer."""


def measure(quick: bool) -> Report:
    try:
        rows = compare(QUICK_REPEATS if quick else REPEATS, QUICK_SECONDS if quick else SECONDS)
    except CannotRun as problem:
        rows = [Row.unmeasured(name, "limit", problem, LIMIT) for name in PEERS]
    return Report(claim=CLAIM, unit="ms/s", rows=rows)


def compare(repeats: int, seconds: int) -> list[Row]:
    command = build_example("codec_cost")
    voices = talkers_voices()
    codec: dict[str, list[float]] = {name: [] for name in PEERS}
    client, problems = [], []
    with tempfile.TemporaryDirectory(prefix="bench-client-") as folder:
        path = Path(folder) / "speech.f32"
        voices[0].astype("<f4").tofile(path)
        for repeat in range(1, repeats + 1):
            for name, words in PEERS.items():
                note(f"[{repeat}/{repeats}] libopus alone: {name}")
                done = subprocess.run([command, path, str(seconds), *words], check=True, capture_output=True, text=True)
                codec[name].append(int(done.stdout) / 1e6)
            note(f"[{repeat}/{repeats}] a call with {TALKERS} talkers")
            cpu_ms, problem = client_cost(voices, seconds)
            client.append(cpu_ms)
            problems.append(problem)
    problem = next(filter(None, problems), "")
    return [
        Row.of_repeats(name=name, value=client, against=codec[name], kind="limit", limit=LIMIT, problem=problem)
        for name in PEERS
    ]


def client_cost(voices: list[Samples], seconds: int) -> tuple[float, str]:
    """CPU milliseconds of the client's thread for one second of call, and what was wrong with the call, if anything."""
    relay = Relay([("127.0.0.1", 0)])
    members = range(CLIENT, CLIENT + 1 + TALKERS)
    engines = {member: Engine(relay.addresses[0]) for member in members}
    try:
        for member, engine in engines.items():
            key = os.urandom(32)
            relay.add_session(member, member, MODE, key)
            relay.set_address(member, engine.discover(member), proven=True)
            relay.set_route(member, [CLIENT] if member != CLIENT else [])
            sound = Sound.clocked(voices[member - CLIENT], keep_playback=False)
            engine.start(ssrc=member, mode=MODE, key=key, sound=sound)
        time.sleep(WARM_UP_S)
        before = read_stats(engines[CLIENT])
        time.sleep(seconds)
        after = read_stats(engines[CLIENT])
    finally:
        for engine in engines.values():
            engine.close()
        relay.stop()
    return cpu_ms_per_second(before, after), wrong_call(before, after)


def cpu_ms_per_second(before: EngineStats, after: EngineStats) -> float:
    """Against the seconds that were spoken: numbers are published every 100 ms, not when they are read."""
    spoken_s = (after.sent_packets - before.sent_packets) / 50
    return (after.cpu - before.cpu) / 1e6 / spoken_s


def wrong_call(before: EngineStats, after: EngineStats) -> str:
    sent = after.sent_packets - before.sent_packets
    if after.received_packets - before.received_packets < LEAST_HEARD * TALKERS * sent:
        return "the client did not hear all talkers all the time"
    if len(after.sources) != TALKERS:
        return f"{len(after.sources)} talkers were heard instead of {TALKERS}"
    return ""


def talkers_voices() -> list[Samples]:
    """The same speech for everyone, each beginning at another place, as codec_cost has it."""
    folder = SHARED_SPEECH if SHARED_SPEECH.is_dir() else OWN_SPEECH
    speech = np.concatenate([level(read_samples(path)) for name in SPEECH for path in sorted(folder.glob(name))])
    needed = int((WARM_UP_S + SECONDS + 2) * SAMPLE_RATE_HZ)
    speech = np.tile(speech, 1 + needed // len(speech))
    return [np.roll(speech, -(voice * len(speech)) // (1 + TALKERS)) for voice in range(1 + TALKERS)]


def level(samples: Samples) -> Samples:
    """The same at -23 dBFS."""
    gain = 10 ** (SPEECH_DBFS / 20) / float(np.sqrt((samples**2).mean()))
    return np.asarray(np.clip(samples * gain, -1, 1), dtype=np.float32)


def build_example(name: str, package: str = "raccall-engine") -> Path:
    """Build one of a crate's examples, once per change of its sources."""
    cargo = shutil.which("cargo")
    if not cargo:
        raise CannotRun(f"{name} is a Rust program: cargo is needed (https://rustup.rs)")
    command = [cargo, "build", "--release", "--quiet", "-p", package, "--example", name]
    # The interpreter's own folder may hold the cmake that builds libopus.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise CannotRun(f"{name} could not be built: {done.stderr.strip().splitlines()[-1]}")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / (f"{name}.exe" if sys.platform == "win32" else name)
