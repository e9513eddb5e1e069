"""What a recorder must do, the same in a room of ours and in a Discord channel through the adapter.

In the order of the list that these are from, with unmodified discord.py clients as speakers, encrypted end to end. What
takes hours is also shown without a network, since both write by one recorder: a timeline of six hours and skewed clocks
(tests/recorder/test_timeline.py, test_clicks.py), memory over twelve hours (`python -m bench record`), kill -9
(test_a_killed_recorder_loses_less_than_a_second.py); more of consent in test_nothing_is_kept_without_consent.py and
tests/discord/test_recording.py.
"""

import asyncio
import gc
import shutil
from pathlib import Path
from typing import TypeVar

import discord
import numpy as np
import pytest

from raccall.recorder.events import KeysChanged, MemberJoined, MemberLeft, Note, read_events
from raccall.recorder.placement import Placement
from raccall.recorder.recording import Recording
from raccall.testing.discord.decorated_network import DecoratedNetwork
from raccall.testing.network import NetworkConditions
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import PacketTap
from raccall.voice.tap import EngineTap
from tests.behaviour.long_calls import Arrivals, Drifting, Meeting, resident_bytes
from tests.behaviour.places import Place, has, place, recorded, say
from tests.discord.conftest import packets, speak, until
from tests.recorder.calls import offset_ms

pytestmark = pytest.mark.realtime

__all__ = ["packets", "place"]

SHUFFLED = NetworkConditions(delay_ms=5, jitter_ms=30, duplicates=0.3)
LOSSY = NetworkConditions(loss=0.1)
SILENCE = b"\xf8\xff\xfe"
HELD_S = 0.6


E = TypeVar("E")


def events(folder: Path, kind: type[E]) -> list[E]:
    """Of a recording, so far."""
    return list(read_events(folder / "events.jsonl").of(kind))


async def test_1_whatever_surrounds_a_frame_it_is_opened(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    """0 to 4 words of extension, 0 to 15 bytes of padding, both seals around it."""
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await speak(anna, packets)
        await has(kept, len(packets))
        assert len(place.network.delivered) == len(packets)
    assert recorded(tmp_path / "kept", "anna") == packets


async def test_2_what_comes_before_its_key_is_kept(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        await place.speaker("anna")
        place.hold_keys(HELD_S)
        berta = await place.speaker("berta")
        await speak(berta, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "berta") == packets


async def test_3_all_tracks_have_one_timeline(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna, berta = await place.speaker("anna"), await place.speaker("berta")
        for voice in (anna, berta):
            await speak(voice, [SILENCE])

        async def later() -> None:
            await asyncio.sleep(0.3)
            await say(berta, packets)

        await asyncio.gather(say(anna, packets), later())
        await has(kept, 2 * len(packets) + 2)
        await kept.finish()
    recording = Recording.open(tmp_path / "kept")
    first, second = (recording.frames(name)[:, 0] for name in ("anna", "berta"))
    assert len(first) == len(second)
    said = first[np.flatnonzero(np.abs(first) > 1e-3)[0] :][: SAMPLE_RATE_HZ // 2]
    apart_ms = offset_ms(second, said)[0] - offset_ms(first, said)[0]
    assert abs(apart_ms - 300) <= 20


async def test_4_what_a_crash_leaves_is_a_recording(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept"):
        await say(await place.speaker("anna"), packets)
        await asyncio.sleep(1.0)
        shutil.copytree(tmp_path / "kept", tmp_path / "crashed")
    crashed = Recording.open(tmp_path / "crashed")
    assert recorded(tmp_path / "crashed", "anna") == packets
    assert [person.packets for person in crashed.render().people] == [len(packets)]


async def test_5_damaged_and_foreign_packets_cost_nobody_else(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        network = place.network
        through = network._outer.deliver

        def harm(datagram: bytes) -> None:
            whole = network._decorate(datagram)
            at = len(whole) // 2
            for harmful in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], b"\xff" * 1400, b"\x80"):
                super(DecoratedNetwork, network)._to_client(harmful)
            through(datagram)

        network._outer.deliver = harm  # type: ignore[method-assign]
        await speak(anna, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "anna") == packets


async def test_6_a_broken_connection_is_a_gap_in_one_recording(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await speak(anna, packets[:10])
        await has(kept, 10)
        await place.interrupt()
        await say(anna, packets[10:20])
        await has(kept, 20)
        await place.network.rebind()
        await say(anna, packets * 2)
        count = len(place.network.delivered)
        await has(kept, count)
        summary = await kept.finish()
    assert 20 < count <= 20 + 2 * len(packets)
    assert [(person.name, person.packets) for person in summary.people] == [("anna", count)]
    assert recorded(tmp_path / "kept", "anna")[:20] == packets[:20]


async def test_7_order_repetitions_and_wraps(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept", SHUFFLED) as kept:
        anna = await place.speaker("anna")
        anna.sequence, anna.timestamp = 65_530, (1 << 32) - 7 * 960
        await speak(anna, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "anna") == packets


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the process's memory as Linux tells it")
async def test_8_memory_does_not_grow_with_the_recording(place: Place, tmp_path: Path) -> None:
    """25 people, 8 of them talking at a time: of what the last ten minutes wrote not a tenth stays in memory."""
    async with place.kept(tmp_path / "kept") as kept:
        journal = kept.folder / "journal.pcapng"
        meeting = Meeting(kept.began)
        place.hear(meeting)
        used: list[tuple[int, int]] = []
        for minutes in (3, 13):
            await meeting.lasted(minutes)
            await has(kept, meeting.packets)
            await until(lambda: not kept.recorder.backlog)
            gc.collect()
            used.append((resident_bytes(), journal.stat().st_size))
        meeting.end()
    (memory, written), (memory_later, written_later) = used
    assert written_later - written > 20e6
    assert memory_later - memory < (written_later - written) / 10


async def test_9_whose_voice_it_is_when_nobody_says(
    place: Place, packets: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without op 5 the keys of the call's members tell."""

    async def say_nothing(*_: object) -> None: ...

    async with place.kept(tmp_path / "kept") as kept:
        monkeypatch.setattr(discord.gateway.DiscordVoiceWebSocket, "speak", say_nothing)
        for name, payloads in (("anna", packets), ("berta", packets[::-1])):
            await speak(await place.speaker(name), payloads)
        await has(kept, 2 * len(packets))
        await asyncio.sleep(0.6)  # a recorder looks twice a second
    assert recorded(tmp_path / "kept", "anna") == packets
    assert recorded(tmp_path / "kept", "berta") == packets[::-1]


async def test_10_drifting_clocks_stay_aligned(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sender's clock is 200 ppm fast, the other's slow, for three hours: only the arrival times are made up."""
    arrivals = Arrivals()
    for module in ("raccall.bots.keep", "raccall.discord.keep"):
        monkeypatch.setattr(f"{module}.engine_tap", lambda tap, tick_ms: arrivals.of(EngineTap(tap, tick_ms)))
    async with place.kept(tmp_path / "kept") as kept:
        people = [
            Drifting(await place.speaker("anna"), 200, kept.began, arrivals),
            Drifting(await place.speaker("berta"), -200, kept.began, arrivals),
        ]
        for minute in range(0, 181, 3):
            for person in people:
                await person.speak(minute)
        await has(kept, sum(len(person.said) for person in people))
    for person in people:
        assert abs(person.off_ms) > 2000, "by the end, if their timestamps were believed"
    placed = [entry for step in Placement(tmp_path / "kept").steps() for some in step.placed.values() for entry in some]
    said = people[0].said | people[1].said
    assert len(placed) == len(said)
    assert max(abs(entry.position / 48 - said[entry.payload]) for entry in placed) < 20


async def test_11_stored_as_it_came_and_exported(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        anna.sequence, anna.timestamp = 1000, 5000
        await speak(anna, packets)
        await has(kept, len(packets))
    recording = Recording.open(tmp_path / "kept")
    found = list(recording.packets("anna"))
    assert [packet.payload for packet in found] == packets
    assert [packet.sequence & 0xFFFF for packet in found] == list(range(1001, 1001 + len(packets)))
    assert [packet.timestamp & 0xFFFFFFFF for packet in found] == [5000 + 960 * i for i in range(len(packets))]
    recording.render()
    for format in ("flac", "wav", "opus", "mp3"):
        recording.export(tmp_path / format, format=format)
        assert any(file.suffix == f".{format}" for file in (tmp_path / format).rglob("*"))


async def test_12_silence_is_silent(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    """After five frames of it as well as when somebody just stops, and no click on either side."""
    said = [*packets[10:25], *[SILENCE] * 5]
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await say(anna, said)
        await asyncio.sleep(0.4)
        anna.timestamp += 20 * 960
        await say(anna, packets[10:25])
        await has(kept, len(said) + 15)
        await kept.finish()
    assert recorded(tmp_path / "kept", "anna") == said + packets[10:25]
    track = Recording.open(tmp_path / "kept").frames("anna")[:, 0]
    blocks = np.abs(track[: len(track) // 480 * 480].reshape(-1, 480)).max(axis=1)
    quiet = np.flatnonzero(blocks < 1e-3)
    spans = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    assert max(len(span) for span in spans) * 10 >= 300
    assert np.abs(np.diff(track)).max() < 0.3


async def test_13_losses_and_keys_are_told(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept", LOSSY) as kept:
        anna = await place.speaker("anna")
        await say(anna, packets)
        await asyncio.sleep(0.3)
        sequences = [sequence for _, sequence in place.network.delivered]
        await has(kept, len(sequences))
        code = anna.voice_privacy_code
        summary = await kept.finish()
    (person,) = summary.people
    assert person.packets == len(sequences)
    assert person.lost == max(sequences) - min(sequences) + 1 - len(sequences) > 0
    told = [event.code for event in Recording.open(tmp_path / "kept").events if isinstance(event, KeysChanged)]
    assert code is not None and code in [one.replace(" ", "") for one in told]


async def test_14_told_asked_and_written_down(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    """People are told of beginning and end; of who says no nothing is kept, of the others when they came and left."""
    assert place.told == []
    async with place.kept(tmp_path / "kept") as kept:
        await until(lambda: place.told == ["begun"])
        no, yes = await place.speaker("berta", agrees=False), await place.speaker("anna")
        await speak(no, packets)
        await speak(yes, packets)
        await has(kept, len(packets))
        await place.write("a line")
        await until(lambda: events(tmp_path / "kept", Note))
        await yes.disconnect()
        await until(lambda: events(tmp_path / "kept", MemberLeft))
        assert place.told == ["begun"]
    await until(lambda: place.told == ["begun", "ended"])
    assert recorded(tmp_path / "kept", "anna") == packets
    assert [note.text for note in events(tmp_path / "kept", Note)] == ["a line"]
    (anna,) = (joined for joined in events(tmp_path / "kept", MemberJoined) if joined.name == "anna")
    assert [left.user_id for left in events(tmp_path / "kept", MemberLeft)] == [anna.user_id]
    written = b"".join(file.read_bytes() for file in (tmp_path / "kept").rglob("*") if file.is_file())
    assert b"berta" not in written and str(no.user.id).encode() not in written


async def test_15_a_reader_who_does_not_read_stalls_no_recording(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        taps: list[PacketTap] = []
        place.tap(taps.append)
        anna = await place.speaker("anna")
        await speak(anna, packets * 4)
        await has(kept, 4 * len(packets))
        assert len(taps) == 1
    assert recorded(tmp_path / "kept", "anna") == packets * 4
