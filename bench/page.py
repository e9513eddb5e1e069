"""What it costs to open and play the page of a long recording in Chromium: 3 h, 10 speakers, as it would be rendered.

The recording is written without a call: short loops of real speech, encoded once, are placed as turns of a
conversation (seeded), and tracks, peaks and page are made by the recorder's own code. Chromium (the system's, headless)
then opens the page from disk.

- *Opened*: from the start of the navigation to the first frame after every lane was drawn, by the page's own clock.
- *Memory*: after playing, zooming and jumping to 20 places where two talk at once. Proportional set size (PSS,
  /proc/PID/smaps_rollup): what several processes share counts in parts. Once of the page's own renderer process, and
  once what all processes of Chromium (browser, GPU, network, audio, ...) have grown by since they showed an empty page.
  Each jump leaves something behind in Chromium's media code (not on the page's heap, 4 MB); after some 130 jumps, at
  350 MB, it grew no more.
- *Apart*: how far the elements that are heard are apart, the most of all looks, in ms.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from bench.report import Report, Row, note
from raccall.recorder import Event, Gap, MemberJoined, MemberLeft, Muted, Note, Person, Start, Stop, Summary
from raccall.recorder.page import PAGE, Peaks, write_page
from raccall.recorder.segments import Segment
from raccall.recorder.summary import Damage
from raccall.recorder.timeline import Placed
from raccall.recorder.tracks import Track
from raccall.testing.dialogue import compose
from raccall.units import FRAME_SAMPLES, NANOS_PER_SECOND, SAMPLE_RATE_HZ
from raccall.voice.codec import Encoder

CLAIM = "The page of a recording of 3 h and 10 speakers opens in 2 s and stays under 300 MB, its voices in step"
SPEAKERS, HOURS = 10, 3
OPENS_S, MEMORY_MB, APART_MS = 2.0, 300.0, 30.0
REPEATS, JUMPS = 3, 20
QUICK_REPEATS, QUICK_JUMPS = 1, 5

Samples = np.typing.NDArray[np.float32]

LENGTH_SAMPLES = HOURS * 3600 * SAMPLE_RATE_HZ
TURN_S = 7.0
"""A turn of a conversation lasts so long on average; turns follow each other closely, and some overlap."""
NOTES, MUTES = 100, 100

HEARD = """() => {
    const { voices, position } = raccall.player;
    return voices.filter((voice) => voice.running && voice.heardAt(position)).map((voice) => voice.currentTime);
}"""
"""Where each voice is that has sound now; one that will have it soon may still be on its way into step."""


def measure(quick: bool) -> Report:
    rows = [
        ("opened, s", OPENS_S),
        ("the page's process, MB", MEMORY_MB),
        ("Chromium beyond an empty page, MB", MEMORY_MB),
        ("voices apart, ms", APART_MS),
    ]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    measured: list[list[float]] = []
    problem = "" if chromium else "Chromium is needed (on Debian: apt install chromium)"
    if chromium:
        with tempfile.TemporaryDirectory(prefix="bench-page-") as name:
            folder = Path(name)
            note(f"writing a recording of {HOURS} h and {SPEAKERS} speakers")
            write_recording(folder)
            note(f"{PAGE}: {(folder / PAGE).stat().st_size / 1e6:.1f} MB")
            for repeat in range(QUICK_REPEATS if quick else REPEATS):
                note(f"[{repeat + 1}] open, play, zoom, jump")
                measured.append(look(folder, chromium, QUICK_JUMPS if quick else JUMPS))
    return Report(
        claim=CLAIM,
        unit="s, MB, ms",
        rows=[
            Row.of_repeats(
                name=name, value=values, against=[budget] * len(values), kind="budget", limit=1.0, problem=problem
            )
            if values
            else Row(name=name, value=None, against=budget, kind="budget", limit=1.0, problem=problem)
            for (name, budget), values in zip(rows, columns(measured, len(rows)), strict=True)
        ],
    )


def columns(measured: list[list[float]], count: int) -> list[list[float]]:
    return [[row[column] for row in measured] for column in range(count)]


def look(folder: Path, chromium: str, jumps: int) -> list[float]:
    """One browser, one visit: seconds to open, MB of the renderer, MB of growth of all, ms apart at most."""
    with visit(chromium) as (browser, page):
        empty = memory_mb(browser)[1]
        page.goto(f"{folder.as_uri()}/{PAGE}")
        until(page, "() => window.drawnAt")
        opened_s = page.evaluate("() => window.drawnAt") / 1000
        apart = [play(page)]
        chance = random.Random(1)
        for at in chance.sample(overlaps(turns(random.Random(1))), jumps):
            zoom = chance.choice((0.5, 2, 4))
            page.evaluate(f"() => {{ raccall.player.seek({at}); raccall.view.zoom({zoom}, {at}); }}")
            apart.append(settle(page, at))
        own, everything = memory_mb(browser)
        return [opened_s, own, everything - empty, max(apart) * 1000]


@contextmanager
def visit(chromium: str) -> Iterator[tuple[Browser, Page]]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.add_init_script(
            """const look = () => {
                if (globalThis.raccall) requestAnimationFrame(() => { window.drawnAt = performance.now(); });
                else requestAnimationFrame(look);
            };
            look();"""
        )
        yield browser, page
        browser.close()


def play(page: Page) -> float:
    """As `settle`."""
    page.keyboard.press("Space")
    return settle(page, 0.0)


def settle(page: Page, at: float) -> float:
    """Wait until it plays on from `at`, half a second; returns how far voices are apart in the next one, in seconds."""
    until(page, f"() => raccall.player.playing && raccall.player.position > {at + 0.5}")
    apart = 0.0
    for _ in range(10):
        places = page.evaluate(HEARD)
        apart = max(apart, max(places) - min(places) if places else 0.0)
        time.sleep(0.1)
    return apart


def until(page: Page, expression: str) -> None:
    end = time.monotonic() + 20
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(f"{expression} did not come true within 20 s")
        time.sleep(0.01)


def memory_mb(browser: Browser) -> tuple[float, float]:
    """PSS in megabytes (10^6 bytes): of the renderer with the most, and of all of Chromium's processes."""
    session = browser.new_browser_cdp_session()
    processes: list[dict[str, Any]] = session.send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = {process["id"]: pss_mb(process["id"]) for process in processes}
    renderers = [sizes[process["id"]] for process in processes if process["type"] == "renderer"]
    note("  ".join(f"{process['type']} {sizes[process['id']]:.0f}" for process in processes))
    return max(renderers), sum(sizes.values())


def pss_mb(process: int) -> float:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def write_recording(folder: Path) -> None:
    """tracks/, mix.opus and index.html, as `render` would leave them."""
    voices = [part.samples for part in compose(None)]
    loops = [encoded(voice) for voice in voices]
    chance = random.Random(1)
    segments = turns(chance)
    (folder / "tracks").mkdir()
    peaks = Peaks()
    people = []
    for number in range(SPEAKERS):
        name = name_of(number)
        said = [segment for segment in segments if segment.file_name == name]
        packets = write_track(folder / "tracks" / f"{name}.opus", loops[number % 2], said)
        for segment in said:
            frames = int((segment.end_s - segment.begin_s) * SAMPLE_RATE_HZ)
            # Each turn a little louder or softer, and from another place: peaks that repeat would compress too well.
            sound = np.resize(np.roll(voices[number % 2], chance.randrange(1_000_000)), frames)
            peaks.add(name, int(segment.begin_s * SAMPLE_RATE_HZ), sound * np.float32(chance.uniform(0.4, 1.2)))
        people.append(person(number, packets))
    shutil.copy(folder / "tracks" / f"{name_of(0)}.opus", folder / "mix.opus")
    events = happened(random.Random(2))
    drawn = peaks.finish(LENGTH_SAMPLES)
    write_page(folder, summary(people, events), events, peaks=drawn, segments=segments, mix="mix.opus")


def encoded(sound: Samples) -> list[bytes]:
    encoder = Encoder(SAMPLE_RATE_HZ, 1, "voip", bitrate_bps=32_000)
    whole = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES, 1)
    return [encoder.encode(frame) for frame in whole]


def turns(chance: random.Random) -> list[Segment]:
    """Who talks when: one after the other with short pauses, now and then over each other."""
    found: list[Segment] = []
    at, before = 1.0, -1
    while at < HOURS * 3600 - 60:
        who = chance.choice([number for number in range(SPEAKERS) if number != before])
        length = min(chance.expovariate(1 / TURN_S) + 0.6, 45.0)
        found.append(Segment(str(who), name_of(who), name_of(who), round(at, 2), round(at + length, 2)))
        at, before = at + length + chance.uniform(-0.8, 2.5), who
    return found


def overlaps(segments: list[Segment]) -> list[float]:
    """Where two talk at once within the second after the next half: what `settle` looks at."""
    pairs = pairwise(segments)
    return [later.begin_s - 0.7 for before, later in pairs if before.end_s - later.begin_s > 0.4 and later.begin_s > 1]


def write_track(path: Path, loop: list[bytes], said: list[Segment]) -> int:
    """Returns how many packets it holds that were spoken."""
    track = Track(path, channels=1, comments={})
    packets, end = 0, 0
    for segment in said:
        position = max(int(segment.begin_s * 50) * FRAME_SAMPLES, end)
        while position < segment.end_s * SAMPLE_RATE_HZ:
            track.add(Placed(position, FRAME_SAMPLES, loop[packets % len(loop)]))
            packets, position = packets + 1, position + FRAME_SAMPLES
        end = position
    track.close(LENGTH_SAMPLES)
    return packets


def name_of(number: int) -> str:
    return f"speaker {number + 1}"


def person(number: int, packets: int) -> Person:
    return Person(
        user_id=str(number),
        name=name_of(number),
        track=f"tracks/{name_of(number)}.opus",
        packets=packets,
        lost=packets // 100,
        loss_pct=1.0,
        duplicates=0,
        late=3,
        malformed=0,
        excess=0,
        sources=1,
        sounding_s=packets * 0.02,
        concealed_s=1.0,
        recovered_s=2.0,
        drift_ppm=12.0,
    )


def happened(chance: random.Random) -> list[Event]:
    def now() -> int:
        return int(chance.uniform(5, HOURS * 3600) * NANOS_PER_SECOND)

    events: list[Event] = [Start(now=0, wall_ns=0, wall="2026-11-21T09:00:00+00:00", room="All hands", version="bench")]
    events += [MemberJoined(now=number, user_id=str(number), name=name_of(number)) for number in range(SPEAKERS)]
    events += [Note(now=now(), text=f"Point {number}", user_id="0") for number in range(NOTES)]
    for number in range(MUTES):
        begin = now()
        who = str(number % SPEAKERS)
        events.append(Muted(now=begin, user_id=who, muted=True))
        events.append(Muted(now=begin + 20 * NANOS_PER_SECOND, user_id=who, muted=False))
    events.append(MemberLeft(now=(HOURS * 3600 - 100) * NANOS_PER_SECOND, user_id="9"))
    events.append(Gap(now=now(), packets=30, where="kernel"))
    events.append(Stop(now=HOURS * 3600 * NANOS_PER_SECOND, reason="stopped"))
    return sorted(events, key=lambda event: event.now)


def summary(people: list[Person], events: list[Event]) -> Summary:
    return Summary(
        room="All hands",
        started="2026-11-21T09:00:00+00:00",
        lead_in_ms=200.0,
        duration_s=HOURS * 3600.0,
        complete=True,
        people=people,
        lost_in_network=sum(person.lost for person in people),
        lost_in_kernel=30,
        lost_in_tap=0,
        gaps=[event for event in events if isinstance(event, Gap)],
        corrections=[],
        damage=Damage(),
        versions={"recorded_by": "bench", "rendered_by": "bench"},
    )
