"""Who does not agree is not recorded: real server, clients and recorder on loopback, and the bytes of the folder."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.bots.keep import KeptCall, keep_call
from raccall.client import RecordingStarted, Session, connect
from raccall.clock import monotonic_now
from raccall.errors import RefusedError
from raccall.recorder import ConsentGiven, ConsentWithdrawn, Event, read_events, render
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import NANOS_PER_MS, SAMPLE_RATE_HZ, Ssrc
from raccall.voice.engine import PacketTap, Sound
from raccall.wire.control import Consent, RecordingPolicy

pytestmark = pytest.mark.realtime

Samples = NDArray[np.float32]


class House:
    """A server, and whoever is brought into its room."""

    def __init__(self, server: RunningServer, stack: AsyncExitStack, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._stack = stack

    async def session(self, name: str, *, recorder: bool = False) -> Session:
        link = self.server.invite()
        return await self._stack.enter_async_context(connect(link, name=name, recorder=recorder))

    async def recorder(self) -> KeptCall:
        session = await self.session("tape", recorder=True)
        return await self._stack.enter_async_context(keep_call(session, self.folder))

    def set_policy(self, policy: RecordingPolicy) -> None:
        service = self.server.service
        service.hub.set_policy(service.first_room_id(), policy, None)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")
        server = await stack.enter_async_context(RunningServer(settings))
        async with asyncio.timeout(20):
            yield House(server, stack, tmp_path / "call")
            await stack.aclose()


async def until(condition: Callable[[], object]) -> None:
    """A real server tells nobody when it is done: look often, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def kept_by(kept: KeptCall, session: Session) -> bool:
    """Did a packet of this member reach the recorder?"""
    return any(kept._session.sources.get(ssrc) == session.user_id for ssrc in kept.recorder.last_arrival)


def consents(folder: Path) -> Iterator[Event]:
    return (event for event in read_events(folder / "events.jsonl").of(ConsentGiven, ConsentWithdrawn))


@pytest.mark.parametrize("answer", [None, False])
async def test_nothing_of_who_did_not_agree_reaches_the_disk(
    house: House, anna: Samples, ben: Samples, answer: bool | None
) -> None:
    kept = await house.recorder()
    yes, no = await house.session("anna"), await house.session("benedict")
    taps: list[PacketTap] = []
    await yes.consent(True)
    if answer is not None:
        await no.consent(answer)
    first, second = (Sound.clocked(said[:SAMPLE_RATE_HZ], keep_playback=False) for said in (anna, ben))
    await yes.join(first, on_tap=taps.append)
    await no.join(second)
    await no.say("off the record")
    await yes.say("on the record")
    await until(lambda: first.capture_done and second.capture_done)
    payloads = [packet[4] for packet in taps[0].read(0) or []]
    summary = await kept.finish()
    assert [person.name for person in summary.people] == ["anna"]
    assert len(payloads) > 40, "the others did hear him"
    (ssrc,) = (ssrc for ssrc, user_id in yes.sources.items() if user_id == no.user_id)
    written = {path: path.read_bytes() for path in house.folder.rglob("*") if path.is_file()}
    assert len(written) >= 5 and any(b"on the record" in data for data in written.values())
    for path, data in written.items():
        if path.suffix != ".opus":  # four given bytes may well be somewhere in compressed sound
            assert ssrc.to_bytes(4, "big") not in data and str(ssrc).encode() not in data
        assert not any(payload[12:] in data for payload in payloads if len(payload) > 32)
        for trace in (b"benedict", no.user_id.encode(), b"off the record"):
            assert trace not in data, path


async def test_changing_ones_mind_takes_effect_within_100_ms(house: House, ben: Samples) -> None:
    kept = await house.recorder()
    talker = await house.session("ben")
    await talker.join(Sound.clocked(np.tile(ben, 4), keep_playback=False))
    ssrc = Ssrc(0)
    await asyncio.sleep(0.1)
    assert kept.recorder.last_arrival == {}
    await talker.consent(True)
    await until(lambda: kept_by(kept, talker))
    (ssrc,) = kept.recorder.last_arrival
    await talker.consent(False)
    asked = monotonic_now()
    await asyncio.sleep(0.3)
    assert kept.recorder.last_arrival[ssrc] - asked < 100 * NANOS_PER_MS
    before = kept.recorder.counts.packets
    await talker.consent(True)
    await until(lambda: kept.recorder.counts.packets > before)
    await kept.close()
    told = [(type(event), event.user_id) for event in consents(house.folder)]  # type: ignore[union-attr]
    (person,) = (await asyncio.to_thread(render, house.folder)).people
    assert person.lost == 0, "what was not to be kept was not lost"
    changes = (ConsentGiven, ConsentWithdrawn, ConsentGiven)
    assert told == [(change, talker.user_id) for change in changes]


async def test_a_recorder_is_told_of_before_anything_is_kept_and_its_state_is_seen_by_all(house: House) -> None:
    tone = 0.1 * np.sin(np.arange(10 * SAMPLE_RATE_HZ) * 0.05).astype(np.float32)
    talker = await house.session("anna")
    await talker.join(Sound.clocked(tone, keep_playback=False))
    kept = await house.recorder()
    async for event in talker.events():
        if isinstance(event, RecordingStarted):
            break
    assert event.name == "tape" and kept.recorder.counts.packets == 0
    assert list(talker.recording.recorders.values()) == ["tape"] and talker.recording.since is not None
    assert talker.members[talker.user_id].consent is Consent.UNDECIDED
    await talker.consent(True)
    await until(lambda: kept_by(kept, talker))
    assert talker.members[talker.user_id].kept
    late = await house.session("cleo")
    given = await late.ask_for_voice()
    assert given.recording == talker.recording


async def test_where_recording_is_off_no_recorder_comes_in_and_who_is_there_is_sent_away(house: House) -> None:
    kept = await house.recorder()
    house.set_policy(RecordingPolicy.OFF)
    await until(lambda: not house.server.service.rooms.all()[0].members)
    await kept.close()
    with pytest.raises(RefusedError) as refused:
        await house.session("tape 2", recorder=True)
    assert refused.value.code == "recording_off"
