"""The asyncio session against a server that can be told to misbehave, with an engine that only takes notes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from raccall.client import adapter, events, voice
from raccall.client.adapter import Session, connect
from raccall.client.guest import Guest
from raccall.client.news import MAX_EVENTS
from raccall.errors import ConnectionFailed, InputError, RefusedError
from raccall.voice import call as voice_call
from raccall.voice.engine import GateMode, Sound
from raccall.voice.processing import OFF, Processing
from raccall.wire import control

pytestmark = pytest.mark.realtime

KEY = bytes(range(32))
MEDIA = ("192.0.2.9", 5000)


class NotedEngine:
    """Takes the place of the native engine."""

    made: ClassVar[list["NotedEngine"]] = []

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.calls: list[tuple[str, Any]] = []
        NotedEngine.made.append(self)

    def discover(self, ssrc: int, timeout_ms: int) -> tuple[str, int]:
        if self.address[1] == 1:
            raise TimeoutError
        return "198.51.100.1", 40_000

    def start(self, **settings: Any) -> None:
        self.calls.append(("start", settings))

    def open_tap(self) -> str:
        return "tap"

    def set_muted(self, muted: bool) -> None:
        self.calls.append(("muted", muted))

    def set_gate_mode(self, mode: GateMode) -> None: ...

    def set_pressed(self, pressed: bool) -> None:
        self.calls.append(("pressed", pressed))

    def set_processing(self, **processing: Any) -> None:
        self.calls.append(("processing", processing))

    def set_deafened(self, deafened: bool) -> None:
        self.calls.append(("deafened", deafened))

    def set_gain_db(self, ssrc: int, gain_db: float) -> None:
        self.calls.append(("gain", (ssrc, gain_db)))

    def close(self) -> None:
        self.calls.append(("close", None))


class ScriptedServer:
    """Control and voice WebSockets on one port; keeps what it was told, and its connections for the test to break."""

    def __init__(self) -> None:
        self.heard: list[control.ClientMessage] = []
        self.voice_heard: list[dict[str, Any]] = []
        self.controls: list[ServerConnection] = []
        self.voices: list[ServerConnection] = []
        self.refuse_join = False
        self.refuse_resume = False
        self.modes = ["aead_aes256_gcm_rtpsize"]
        self.sessions = 0
        self.resumed = asyncio.Event()

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        try:
            if socket.request.path == "/gateway":
                await self.control(socket)
            else:
                assert socket.request.path == "/?v=8"
                await self.voice(socket)
        except ConnectionClosed:
            pass

    async def control(self, socket: ServerConnection) -> None:
        async def say(message: control.ServerMessage) -> None:
            await socket.send(control.write_message(message))

        self.controls.append(socket)
        await say(control.Hello(heartbeat_interval_ms=10_000))
        async for data in socket:
            message = control.parse_client_message(data)
            self.heard.append(message)
            match message:
                case control.Identify():
                    self.sessions += 1
                    await say(control.Ready(session_id=f"s{self.sessions}", user_id="1", name="anna", rooms=[]))
                case control.Resume() if self.refuse_resume:
                    await say(control.Refused(code="session_unknown", sentence="This session is over."))
                case control.Resume():
                    await say(control.Resumed())
                case control.JoinRoom() if self.refuse_join:
                    await say(control.Refused(code="room_full", sentence="The room is full."))
                case control.JoinRoom(room_id=room_id):
                    endpoint = f"127.0.0.1:{socket.local_address[1]}"
                    await say(control.VoiceServer(room_id=room_id, endpoint=endpoint, token="vt", session_id="vs"))
                case control.Say(room_id=room_id, text=text, nonce=nonce):
                    await say(
                        control.TextMessage(
                            message_id="7",
                            room_id=room_id,
                            user_id="1",
                            name="anna",
                            text=text,
                            wall="2026-01-01T00:00:00Z",
                            nonce=nonce,
                        )
                    )

    async def voice(self, socket: ServerConnection) -> None:
        async def say(op: int, data: Any) -> None:
            await socket.send(json.dumps({"op": op, "d": data}))

        self.voices.append(socket)
        await say(8, {"v": 8, "heartbeat_interval": 10_000})
        async for data in socket:
            message = json.loads(data)
            self.voice_heard.append(message)
            if message["op"] == 0:
                await say(2, {"ssrc": 77, "ip": MEDIA[0], "port": MEDIA[1], "modes": self.modes})
            elif message["op"] == 1:
                await say(4, {"mode": self.modes[0], "secret_key": list(KEY), "dave_protocol_version": 0})
                await say(5, {"user_id": "2", "ssrc": 88, "speaking": 1})
            elif message["op"] == 7:
                await say(9, None)
                self.resumed.set()

    def voice_ops(self) -> list[int]:
        return [message["op"] for message in self.voice_heard]


@pytest.fixture(autouse=True)
def quick_and_noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    NotedEngine.made = []
    monkeypatch.setattr(voice_call, "Engine", NotedEngine)
    for module in (voice_call, adapter, voice):
        monkeypatch.setattr(module, "retry_delay_s", lambda attempt: 0.0)
    guest = Guest(token="gt", user_id="1", name="anna", room_id="9", room_name="lounge")

    async def become_guest(*_: object, **__: object) -> Guest:
        return guest

    monkeypatch.setattr(adapter, "become_guest", become_guest)
    yield


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ScriptedServer, Session]]:
    scripted = ScriptedServer()
    async with serve(scripted.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(5), connect(f"http://127.0.0.1:{port}/join/token", name="anna") as session:
            yield scripted, session


async def wait_for(session: Session, kind: type[events.Event]) -> Any:
    async for event in session.events():
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the session ended without {kind.__name__}")


async def test_processing_of_two_channels_is_refused_before_and_in_a_call() -> None:
    stereo = Sound.clocked(np.zeros((4_800, 2), np.float32), keep_playback=False)
    async with connected() as (_, session):
        with pytest.raises(InputError, match="Two channels"):
            await session.join(stereo, processing=Processing())
        await session.join(stereo)
        with pytest.raises(InputError, match="Two channels"):
            session.set_processing(Processing())
        await session.leave()
    assert ("processing", asdict(Processing())) not in [call for engine in NotedEngine.made for call in engine.calls]


async def test_join_describes_speaks_and_leaves() -> None:
    taps: list[Any] = []
    async with connected() as (server, session):
        assert (session.name, session.room_name, session.stats()) == ("anna", "lounge", None)
        card = Sound.device()
        await session.join(card, muted=True, bitrate_bps=24_000, on_tap=taps.append)
        joined = await wait_for(session, events.VoiceConnected)
        assert joined == events.VoiceConnected(77, "aead_aes256_gcm_rtpsize", MEDIA)
        (engine,) = NotedEngine.made
        assert engine.calls == [
            ("processing", asdict(Processing())),
            (
                "start",
                {
                    "ssrc": 77,
                    "mode": "aead_aes256_gcm_rtpsize",
                    "key": KEY,
                    "sound": card,
                    "bitrate_bps": 24_000,
                    "dred_ms": 0,
                    "dtx": True,
                    "music": False,
                    "muted": True,
                    "encryption": "off",
                },
            ),
        ]
        assert taps == ["tap"]
        assert await wait_for(session, events.SourceKnown) == events.SourceKnown("2", 88)
        assert session.sources == {88: "2"}
        await session.set_muted(False)
        session.set_processing(OFF)
        await session.leave()
        assert engine.calls[2:] == [("muted", False), ("processing", asdict(OFF)), ("close", None)]
    assert server.voice_ops() == [0, 1, 5]
    assert server.voice_heard[1]["d"]["data"] == {
        "address": "198.51.100.1",
        "port": 40_000,
        "mode": "aead_aes256_gcm_rtpsize",
    }
    assert server.heard[1:] == [
        control.JoinRoom(room_id="9", muted=True),
        control.SetMuted(room_id="9", muted=False),
        control.LeaveRoom(room_id="9"),
    ]


async def test_a_listener_does_not_say_that_it_speaks() -> None:
    async with connected() as (server, session):
        await session.join(None, media_address=("127.0.0.1", 9))
        assert NotedEngine.made[0].address == ("127.0.0.1", 9)
        await session.leave()
    assert server.voice_ops() == [0, 1]


async def test_lines_come_back() -> None:
    async with connected() as (_, session):
        nonce = await session.say("hello")
        line = await wait_for(session, events.TextReceived)
        assert (line.text, line.nonce) == ("hello", nonce)


async def test_a_full_room_is_one_error_and_one_may_try_again() -> None:
    async with connected() as (server, session):
        server.refuse_join = True
        with pytest.raises(RefusedError) as caught:
            await session.join(None)
        assert caught.value.code == "room_full"
        server.refuse_join = False
        await session.join(None)


@pytest.mark.parametrize(
    ("address", "mode", "code"),
    [(("127.0.0.1", 1), "aead_aes256_gcm_rtpsize", "media_unreachable"), (None, "rot13", "mode_unknown")],
)
async def test_media_that_cannot_flow_is_one_error(address: tuple[str, int] | None, mode: str, code: str) -> None:
    async with connected() as (server, session):
        server.modes = [mode]
        with pytest.raises(ConnectionFailed) as caught:
            await session.join(None, media_address=address)
        assert caught.value.code == code
    assert all(engine.calls[-1] == ("close", None) for engine in NotedEngine.made)


async def test_a_crashed_voice_server_is_resumed_with_the_same_engine() -> None:
    async with connected() as (server, session):
        await session.join(None)
        await server.voices[0].close(4015)
        await server.resumed.wait()
        assert len(NotedEngine.made) == 1
        assert [name for name, _ in NotedEngine.made[0].calls] == ["start"]


async def test_an_invalid_voice_session_is_made_anew() -> None:
    async with connected() as (server, session):
        await session.join(None)
        await server.voices[0].close(4006)
        lost = await wait_for(session, events.VoiceLost)
        assert (lost.code, lost.final) == (4006, False)
        await wait_for(session, events.VoiceConnected)
        old, new = NotedEngine.made
        assert [name for name, _ in old.calls] == ["start", "close"]
        assert [name for name, _ in new.calls] == ["start"]


async def test_who_is_removed_stays_out() -> None:
    async with connected() as (server, session):
        await session.join(None)
        await server.voices[0].close(4014)
        lost = await wait_for(session, events.VoiceLost)
        assert lost.final
        assert [name for name, _ in NotedEngine.made[0].calls] == ["start", "close"]


async def test_a_lost_control_connection_is_resumed_and_voice_goes_on() -> None:
    async with connected() as (server, session):
        await session.join(None)
        server.controls[0].transport.abort()
        await wait_for(session, events.ConnectionLost)
        await wait_for(session, events.Resumed)
        assert server.heard[-1] == control.Resume(token="gt", session_id="s1", seq=0)
        assert len(NotedEngine.made) == 1


async def test_a_server_that_forgot_us_is_joined_again() -> None:
    async with connected() as (server, session):
        await session.join(None)
        await wait_for(session, events.VoiceConnected)
        server.refuse_resume = True
        server.controls[0].transport.abort()
        await wait_for(session, events.VoiceConnected)
        assert [name for name, _ in NotedEngine.made[0].calls] == ["start", "close"]
        assert sum(isinstance(message, control.JoinRoom) for message in server.heard) == 2


async def test_a_key_that_is_held_stays_held_in_the_next_voice_session() -> None:
    async with connected() as (server, session):
        await session.join(None, gate_mode=GateMode.PUSH_TO_TALK)
        await wait_for(session, events.VoiceConnected)
        session.set_pressed(True)
        server.refuse_resume = True
        for held in (True, False):
            server.controls[-1].transport.abort()
            await wait_for(session, events.VoiceConnected)
            assert (("pressed", True) in NotedEngine.made[-1].calls) == held
            session.set_pressed(False)


async def test_events_end_with_the_session() -> None:
    async with connected() as (_, session):
        reading = asyncio.create_task(anext_all(session))
        await asyncio.sleep(0)
        await session.close()
        assert events.Identified("1", "anna") in await reading


async def anext_all(session: Session) -> list[events.Event]:
    return [event async for event in session.events()]


async def test_events_nobody_takes_are_dropped_oldest_first_and_counted() -> None:
    async with connected() as (_, session):
        for number in range(MAX_EVENTS + 5):
            session._news.add(events.SourceKnown(str(number), 1))
        assert session.dropped_events == 6  # Identified and the first five
        assert (await anext(session.events())).user_id == "5"


async def test_a_bug_in_the_background_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(NotedEngine, "start", broken)
    async with connected() as (_, session):
        with pytest.raises(ZeroDivisionError):
            await session.join(None)
        with pytest.raises(ZeroDivisionError):
            await anext_all(session)


async def test_nobody_listening_is_one_error() -> None:
    async with serve(ScriptedServer().handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        async with connect(f"http://127.0.0.1:{port}/join/token", name="anna"):
            pass
    assert caught.value.code == "server_unreachable"
