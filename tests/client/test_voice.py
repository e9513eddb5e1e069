"""A session's voice: what is wanted holds, whatever happens in between. No socket, no engine."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from raccall.client import events, voice
from raccall.client.events import VoiceServerGiven
from raccall.client.link import parse_link
from raccall.client.voice import Voice
from raccall.errors import ConnectionFailed, InputError
from raccall.units import Ssrc
from raccall.voice.gateway.closing import Closed, Next
from raccall.voice.settings import VoiceSettings
from raccall.wire.control import EncryptionState, RecordingState

GIVEN = VoiceServerGiven("9", "127.0.0.1:1", "token", "session", RecordingState(), EncryptionState())
CONNECTED = events.VoiceConnected(Ssrc(1), "mode", ("127.0.0.1", 1), True)


class NotedCall:
    """Takes the place of a VoiceCall: runs until it is told to end."""

    made: ClassVar[list["NotedCall"]] = []

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.started = False
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.told: list[tuple[str, Any]] = []
        NotedCall.made.append(self)

    async def run(self) -> Closed:
        return await self.closed

    def start(self) -> None:
        self.started = True
        self.given["emit"](CONNECTED)

    def set_muted(self, muted: bool) -> None:
        self.told.append(("muted", muted))

    def expect(self, people: frozenset[int]) -> None:
        self.told.append(("people", people))


class Home:
    """A session that is given a voice gateway when `given` is set."""

    user_id = "1"
    silenced = False
    members = ("1", "2", "nobody")

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self.given.set()
        self.asked = 0
        self.news: list[events.Event] = []

    async def ask_for_voice(self) -> VoiceServerGiven:
        self.asked += 1
        await self.given.wait()
        return GIVEN


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    NotedCall.made = []
    monkeypatch.setattr(voice, "VoiceCall", NotedCall)
    monkeypatch.setattr(voice, "retry_delay_s", lambda attempt: 0.0)
    yield


def voice_of(home: Home) -> Voice:
    link = parse_link("http://127.0.0.1:1/join/token")
    return Voice(
        home,
        link,
        None,
        identity_key=None,
        voice_by_link=False,
        run=asyncio.create_task,
        emit=home.news.append,
    )


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(home: Home) -> Voice:
    own = voice_of(home)
    beginning = asyncio.create_task(own.begin(VoiceSettings(None), muted=False, processing=None))
    await turns()
    NotedCall.made[-1].start()
    await beginning
    return own


async def test_the_call_knows_who_is_shown_and_what_was_chosen() -> None:
    home = Home()
    own = await begun(home)
    (call,) = NotedCall.made
    assert call.given["end_to_end"].people == {1, 2}  # "nobody" is no id that a group can have
    own.muted = True
    own.apply_mute()
    home.silenced, own.muted = True, False
    own.apply_mute()
    assert call.told == [("muted", True), ("muted", True)]
    with pytest.raises(InputError):
        own.set_gain_db("2", 12.5)
    await own.end()


async def test_one_that_is_lost_is_made_anew_and_one_that_is_ended_is_not() -> None:
    home = Home()
    own = await begun(home)
    NotedCall.made[0].closed.set_result(Closed(4009, "Over.", Next.RECONNECT))
    await turns()
    assert len(NotedCall.made) == 2
    NotedCall.made[1].closed.set_result(Closed(4022, "No more.", Next.STOP))
    await turns()
    assert len(NotedCall.made) == 2
    assert [event for event in home.news if isinstance(event, events.VoiceLost)] == [
        events.VoiceLost(4009, "Over.", False),
        events.VoiceLost(4022, "No more.", True),
    ]
    await own.end()


async def test_who_leaves_while_a_call_begins_is_not_waited_for() -> None:
    home = Home()
    home.given.clear()
    own = voice_of(home)
    beginning = asyncio.create_task(own.begin(VoiceSettings(None), muted=False, processing=None))
    await turns()
    await own.end()
    with pytest.raises(ConnectionFailed) as caught:
        async with asyncio.timeout(1):
            await beginning
    assert caught.value.code == "call_left"


async def test_who_leaves_while_a_call_begins_anew_stays_away() -> None:
    home = Home()
    own = await begun(home)
    anew = asyncio.create_task(own.begin_anew())
    await asyncio.sleep(0)  # the old one is being ended
    await own.end()
    await anew
    await turns()
    assert own.call is None and home.asked == 1
