"""index.html as a person uses it: opened from disk, in Chromium, with everything a hostile member could have typed."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calls import START, WALL_NS, Sender, encode, over_network, speech
from folders import at, write_recording
from msgspec.structs import replace
from playwright.sync_api import Browser, Locator, Page

from raccall.recorder import Event, Gap, MemberJoined, Muted, Note, Person, Source, Start, Stop, Summary, render
from raccall.recorder.page import write_page
from raccall.recorder.summary import Damage

pytestmark = pytest.mark.realtime

SCRIPT = "<script>window.hacked = true</script>"
HOSTILE = f'<img src=x onerror="window.hacked=true">{SCRIPT}'
NAMES = ("anna", f"ben # 100% {HOSTILE}", "čeněk 日本", "dora")
LENGTH_S = 30.0

PERSON = Person(
    user_id="",
    name="",
    track="tracks/anna.opus",
    packets=10,
    lost=0,
    loss_pct=0.0,
    duplicates=0,
    late=0,
    malformed=0,
    excess=0,
    sources=1,
    sounding_s=0.2,
    concealed_s=0.0,
    recovered_s=0.0,
    drift_ppm=None,
)
SUMMARY = Summary(
    room="",
    started="",
    lead_in_ms=200.0,
    duration_s=60.0,
    complete=False,
    people=[],
    lost_in_network=0,
    lost_in_kernel=0,
    lost_in_tap=0,
    gaps=[],
    corrections=[],
    damage=Damage(journal_places=1),
    versions={"recorded_by": "", "rendered_by": "test"},
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people: two talk from the beginning, one in the middle, one at the end only."""
    folder = tmp_path_factory.mktemp("page") / "call"
    talks = {0: (0.5, 20.0), 1: (1.0, 18.0), 2: (8.0, 9.0), 3: (24.0, 4.0)}
    senders = [
        Sender(10 + who, encode(speech(length_s, who), folder.parent), begin_s * 1000)
        for who, (begin_s, length_s) in talks.items()
    ]
    events: list[Event] = [
        Start(now=START, wall_ns=WALL_NS, wall="2026-11-21T12:00:00+00:00", room=f"Room {HOSTILE}</title>", version="t")
    ]
    for who, name in enumerate(NAMES):
        events.append(MemberJoined(now=at(0), user_id=str(who), name=name))
        events.append(Source(now=at(0), ssrc=10 + who, user_id=str(who)))
    events += [
        Note(now=at(5_000), user_id="1", name=NAMES[1], text=f"{{{{script}}}} {HOSTILE} <!-- ]]>"),
        Muted(now=at(21_000), user_id="0", muted=True),
        Gap(now=at(22_000), packets=7, where="kernel"),
        Stop(now=at(LENGTH_S * 1000 - 200), reason="test"),
    ]
    render(write_recording(folder, over_network(senders, seed=1, loss=0.02, jitter_ms=30), events))
    return folder


@dataclass
class Opened:
    """The page, and what it must not do."""

    page: Page
    problems: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def ask(self, expression: str) -> Any:
        """Of the page's own objects: player, view, lanes."""
        return self.page.evaluate(f"() => {{ const {{ player, view, lanes }} = raccall; return {expression}; }}")

    def until(self, expression: str, seconds: float = 20.0) -> None:
        wait(
            lambda: bool(self.ask(expression)),
            f"{expression} did not come true; {self.ask('player.position')=}",
            seconds,
        )

    def lane(self, number: int) -> Locator:
        return self.page.locator(".lane").nth(number)


def wait(done: Callable[[], bool], otherwise: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


@pytest.fixture
def opened(browser: Browser, recording: Path) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened = open_page(context.new_page(), recording)
    yield opened
    context.close()
    assert opened.problems == []
    assert opened.elsewhere == []


def open_page(page: Page, recording: Path, link: str = "") -> Opened:
    opened = Opened(page)
    page.on("console", lambda message: opened.problems.append(message.text))
    page.on("pageerror", lambda error: opened.problems.append(str(error)))
    folder = recording.as_uri()
    page.on("request", lambda request: opened.elsewhere.append(request.url) if folder not in request.url else None)
    page.goto(f"{folder}/index.html{link}")
    wait(lambda: bool(page.evaluate("() => globalThis.raccall !== undefined")), "the page's script did not finish")
    return opened


def test_plays_all_tracks_in_step(opened: Opened) -> None:
    assert opened.ask("lanes.length") == len(NAMES)
    opened.ask("player.seek(9)")
    opened.page.get_by_role("button", name="Play", exact=True).click()
    settled = "Math.max(...player.places()) - Math.min(...player.places()) < 0.01"
    opened.until(f"player.places().length === 3 && player.position > 9.5 && {settled}")
    spreads, behind = [], []
    for _ in range(10):
        time.sleep(0.05)
        places, position = opened.ask("[player.places(), player.position]")
        spreads.append(max(places) - min(places))
        behind.append(abs(float(np.median(places)) - position))
    print(f"spread of currentTime: {max(spreads) * 1000:.1f} ms, clock off by {max(behind) * 1000:.1f} ms")
    assert max(spreads) < 0.030
    assert max(behind) < 0.030
    opened.page.get_by_role("button", name="Pause", exact=True).click()
    stood = opened.ask("player.position")
    time.sleep(0.1)
    assert opened.ask("player.position") == stood


def test_who_begins_to_talk_joins_in_step(opened: Opened) -> None:
    opened.ask("player.seek(4.8)")
    opened.page.keyboard.press("Space")
    opened.until("player.position > 5 && player.places().length === 2")
    opened.until("player.position > 8.3")
    begun, places = opened.ask("[player.position, player.places()]")
    assert len(places) == 3
    assert max(places) - min(places) < 0.030, f"{begun - 8.2:.2f} s after the word began"


def test_every_track_is_equally_long(opened: Opened) -> None:
    lengths = opened.page.evaluate(
        """() => Promise.all([...document.querySelectorAll("a.save")].map((link) => new Promise((resolve, reject) => {
            const audio = new Audio(link.href);
            audio.onloadedmetadata = () => resolve(audio.duration);
            audio.onerror = () => reject(new Error(link.href));
        })))"""
    )
    assert len(lengths) == len(NAMES)
    assert len(set(lengths)) == 1
    assert lengths[0] == pytest.approx(opened.ask("view.duration"), abs=0.007)  # Chromium counts the pre-skip, 6.5 ms


def test_a_click_jumps_there_and_a_drag_loops(opened: Opened) -> None:
    box = opened.lane(1).locator(".wave").bounding_box()
    assert box
    duration = opened.ask("view.duration")
    y = box["y"] + box["height"] / 2
    opened.page.mouse.click(box["x"] + box["width"] * 0.4, y)
    assert opened.ask("player.position") == pytest.approx(0.4 * duration, abs=0.1)
    opened.page.keyboard.press("Space")
    opened.until("player.places().length === 3")
    assert opened.ask("player.places()[0]") == pytest.approx(0.4 * duration, abs=0.5)

    opened.page.mouse.move(box["x"] + box["width"] * 0.5, y)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] * 0.52, y, steps=4)
    opened.page.mouse.up()
    loop = opened.ask("player.loop")
    assert (loop["begin"], loop["end"]) == pytest.approx((0.5 * duration, 0.52 * duration), abs=0.1)
    opened.until(f"player.position > {loop['end'] - 0.2}")
    opened.until(f"player.position < {loop['begin'] + 0.2}")
    opened.page.keyboard.press("Home")  # outside of it
    assert opened.ask("player.loop") is None


def test_mute_solo_and_volume_act_on_what_is_heard(opened: Opened) -> None:
    heard = "lanes.map(({ voice }) => voice.muted ? 0 : voice.volume)"
    assert opened.ask(heard) == [1, 1, 1, 1]
    opened.lane(0).get_by_role("button", name="Mute").click()
    assert opened.ask(heard) == [0, 1, 1, 1]
    opened.lane(2).get_by_role("button", name="Solo").click()
    assert opened.ask(heard) == [0, 0, 1, 0]
    opened.lane(2).get_by_role("slider").fill("0.25")
    assert opened.ask(heard) == [0, 0, 0.25, 0]
    opened.lane(2).get_by_role("button", name="Solo").click()
    opened.lane(0).get_by_role("button", name="Mute").click()
    assert opened.ask(heard) == [1, 1, 0.25, 1]
    opened.page.get_by_label("Volume", exact=True).fill("0.5")
    assert opened.ask(heard) == [0.5, 0.5, 0.125, 0.5]


def test_the_mix_plays_instead_of_the_tracks(opened: Opened) -> None:
    opened.ask("player.seek(9)")
    opened.page.get_by_label("Sound").select_option("mix")
    opened.page.keyboard.press("k")
    opened.until("player.position > 9.3")
    assert opened.ask("player.places().length") == 1
    assert opened.ask("player.voices[0].path") == "mix.opus"


def test_the_keyboard_does_everything(opened: Opened) -> None:
    press = opened.page.keyboard.press
    duration = opened.ask("view.duration")
    press("End")
    assert opened.ask("player.position") == duration
    press("Home")
    press("ArrowRight")
    press("l")
    press("ArrowLeft")
    press("Shift+ArrowRight")
    assert opened.ask("player.position") == pytest.approx(5 + 15 - 5 + 1)
    press("+")
    press("+")
    assert opened.ask("view.span") == pytest.approx(duration / 4)
    assert opened.ask("view.begin < player.position && player.position < view.end")
    press("-")
    assert opened.ask("view.span") == pytest.approx(duration / 2)
    press("0")
    assert opened.ask("view.whole")
    press("3")
    assert opened.ask("lanes.map(({ audible }) => audible)") == [False, False, True, False]
    press("3")
    assert opened.ask("lanes.every(({ audible }) => audible)")
    opened.lane(3).focus()
    press("m")
    press("ArrowUp")
    press("s")
    assert opened.ask("[lanes[3].muted, lanes[2].solo]") == [True, True]
    press("Home")
    press("n")
    assert opened.ask("player.position") == pytest.approx(opened.ask("lanes[2].talk[0][0]"))
    press(">")
    assert opened.ask("player.rate") == 1.25
    press("?")
    assert opened.page.get_by_role("dialog").is_visible()
    press("Escape")
    assert not opened.page.get_by_role("dialog").is_visible()


def test_silence_is_skipped_when_asked(opened: Opened) -> None:
    opened.page.get_by_label("Skip silence").check()
    opened.ask("player.seek(21.3)")
    opened.ask("player.addEventListener('seek', () => { window.jumpedTo = player.position; })")
    opened.page.keyboard.press("k")
    opened.until("window.jumpedTo !== undefined")
    assert opened.ask("window.jumpedTo") == pytest.approx(opened.ask("lanes[3].talk[0][0]") - 0.3, abs=0.01)


def test_a_link_to_a_time_opens_there(browser: Browser, recording: Path) -> None:
    context = browser.new_context()
    opened = open_page(context.new_page(), recording, "#t=0:12.5")
    assert opened.ask("player.position") == 12.5
    opened.ask("player.seek(20)")
    opened.until("location.hash === '#t=0:20'")
    context.close()


def test_what_people_typed_is_text(opened: Opened) -> None:
    assert not opened.page.evaluate("() => window.hacked")
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("h1").inner_text() == f"Room {HOSTILE}</title>"
    assert opened.page.title() == f"Room {HOSTILE}</title> – recording"
    assert opened.lane(1).locator(".name").inner_text() == NAMES[1]
    notes = opened.page.locator(".happened .note").all_inner_texts()
    assert len(notes) == 1
    assert f"{{{{script}}}} {HOSTILE} <!-- ]]>" in notes[0]


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_nothing_is_cut_off_at_any_width(browser: Browser, recording: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme="dark")
    opened = open_page(context.new_page(), recording)
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert opened.problems == []
    context.close()


def test_a_missing_track_is_told_and_the_others_play(browser: Browser, recording: Path, tmp_path: Path) -> None:
    shutil.copytree(recording, tmp_path / "copy")
    (tmp_path / "copy" / "tracks" / "anna.opus").unlink()
    context = browser.new_context()
    opened = open_page(context.new_page(), tmp_path / "copy", "#t=9")
    opened.page.keyboard.press("k")
    opened.until("player.position > 9.3")
    assert opened.lane(0).get_by_role("status").inner_text() == "cannot be played"
    assert opened.ask("player.places().length") == 2
    context.close()


def test_a_hundred_people_or_none(browser: Browser, tmp_path: Path) -> None:
    for count in (0, 100):
        folder = tmp_path / str(count)
        folder.mkdir()
        people = [replace(PERSON, name=f"p{number}", track=f"tracks/{number}.opus") for number in range(count)]
        write_page(folder, replace(SUMMARY, people=people), [], peaks={}, segments=[], mix="")
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        opened = open_page(context.new_page(), folder)
        assert opened.page.locator(".lane").count() == count
        assert opened.page.get_by_text("Nobody was heard in this recording.").count() == (count == 0)
        assert opened.problems == []
        context.close()
