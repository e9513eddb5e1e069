"""Kill a recorder under load at random moments, again and again, and look at what is left.

Each time a recorder (bench/recording.py) is given 50 talkers at real rate and killed (SIGKILL) between its first moment
and three seconds later. Then the folder must render, every talker's packets must be there without a hole from the first
to the last, and between the last and the kill must be less than a second.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

from bench.recording import FIRST_SSRC, KEY, MODE, TALKERS
from bench.report import Report, Row, note
from raccall._native import Cipher, write_rtp
from raccall.recorder import JournalReader, read_events, render
from raccall.units import OPUS_PAYLOAD_TYPE

CLAIM = "A recorder killed at any moment leaves a folder that renders, and loses at most the last second of each voice"
KILLS, QUICK_KILLS = 200, 10
LONGEST_S = 3.0
LOST_LIMIT_S = 1.0
FRAME_NS = 20_000_000
PAYLOAD = b"\x78" + bytes(79)


def measure(quick: bool) -> Report:
    kills = QUICK_KILLS if quick else KILLS
    moments = random.Random(1)
    lost_s, rendered, problems = [], 0, []
    for kill in range(1, kills + 1):
        with tempfile.TemporaryDirectory(prefix="bench-kills-") as folder:
            outcome = kill_once(Path(folder) / "call", moments.uniform(0, LONGEST_S), TALKERS)
        lost_s.append(outcome.lost_s)
        rendered += not outcome.problem
        problems += [outcome.problem] if outcome.problem else []
        note(f"[{kill}/{kills}] {outcome.packets} packets, {outcome.lost_s:.3f} s lost {outcome.problem}")
    note(f"median {sorted(lost_s)[kills // 2]:.3f} s")
    return Report(
        claim=CLAIM,
        unit="s, and folders",
        rows=[
            Row(name="most that one voice lost", value=max(lost_s), against=LOST_LIMIT_S, kind="limit", limit=1.0),
            Row(
                name=f"folders whole after {kills} kills",
                value=float(rendered),
                against=float(kills),
                kind="limit",
                limit=1.0,
                better="higher",
                problem=problems[0] if problems else "",
            ),
        ],
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a killed recorder left."""

    packets: int
    lost_s: float
    """The longest time, of all voices, from the last packet in the journal to the kill."""
    problem: str
    """Empty when the folder renders and nothing is missing inside it."""


def kill_once(folder: Path, after_s: float, talkers: int) -> Outcome:
    """Record into `folder`, kill the recorder `after_s` seconds after the first word, and look."""
    voices = Voices(talkers)
    command = [sys.executable, "-m", "bench.recording", str(folder), str(voices.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
        try:
            assert recorder.stdout
            host, _, port = recorder.stdout.readline().strip().rpartition(":")
            began = time.monotonic_ns()
            voices.speak_to((host, int(port)))
            time.sleep(after_s)
            killed = time.monotonic_ns()
        finally:
            recorder.kill()
            recorder.wait()
            voices.stop()
    return look(folder, began, killed, talkers)


def look(folder: Path, began: int, killed: int, talkers: int) -> Outcome:
    last = {FIRST_SSRC + talker: began for talker in range(talkers)}
    sequences: dict[int, list[int]] = {ssrc: [] for ssrc in last}
    reader = JournalReader(folder / "journal.pcapng")
    for packet in reader.packets():
        last[packet.ssrc] = packet.arrival
        sequences[packet.ssrc].append(packet.sequence)
    holes = sum(one[-1] - one[0] + 1 != len(one) for one in sequences.values() if one)
    summary = render(folder)
    heard = sum(bool(one) for one in sequences.values())
    problem = ""
    if holes or reader.damage.lost_packets:
        problem = f"{holes} voices have holes"
    elif len(summary.people) != heard or any(not person.user_id for person in summary.people):
        problem = f"{len(summary.people)} people of {heard} were rendered, or some without their name"
    elif summary.complete or read_events(folder / "events.jsonl").unread_lines > 1:
        problem = "the events are not those of a killed recorder"
    lost_s = max(killed - arrival for arrival in last.values()) / 1e9
    return Outcome(sum(map(len, sequences.values())), lost_s, problem)


class Voices:
    """Talkers in a thread, as their relay would send them: sealed, 50 packets a second each."""

    def __init__(self, talkers: int) -> None:
        self._talkers = talkers
        self._socket = socket(AF_INET, SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def speak_to(self, address: tuple[str, int]) -> None:
        self._socket.connect(address)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        cipher = Cipher(MODE, KEY)
        start, number = time.monotonic_ns(), 0
        while not self._stopped.is_set():
            frame, talker = divmod(number, self._talkers)
            fields = (False, OPUS_PAYLOAD_TYPE, frame & 0xFFFF, frame * 960, FIRST_SSRC + talker, b"", None, PAYLOAD, 0)
            datagram = cipher.seal(write_rtp(fields), number.to_bytes(4, "big"))
            due = start + number * FRAME_NS // self._talkers
            time.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
            try:
                self._socket.send(datagram)
            except ConnectionRefusedError:  # it was killed
                return
            number += 1
