"""Senders that no one here wrote: py-cord and @discordjs/voice, as they are published, are recorded bit by bit.

Each runs in a process of its own, where its packages are (`make interop` puts them there), and talks in lines of JSON:

    we   {"user_id", "room_id", "packets": [base64 …], "encrypted": bool}      once, first
         {"state": {…}} and {"server": {…}}                                    what Discord's main gateway would tell it
    it   {"wants_room": bool}      what it would tell the main gateway
         {"ready": true, "ssrc", "mode"}, {"code"} (of the encrypted call), {"ended": true}
"""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from captures import track

from raccall.audio.files import read_samples
from raccall.bots.keep import keep_call
from raccall.client import Session, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.main_gateway import EVENT_GAP_S
from raccall.units import FRAME_SAMPLES
from raccall.voice.codec import Encoder
from raccall.voice.gateway.server import OFFERED_MODES
from raccall.wire.control import EncryptionPolicy

pytestmark = pytest.mark.realtime

SENDERS = Path(__file__).parent / "senders"
PY_CORD = SENDERS / "py_cord" / ".venv" / "bin" / "python"
DISCORDJS = SENDERS / "discordjs_voice"
NEEDS_PY_CORD = pytest.mark.skipif(not PY_CORD.exists(), reason="`make interop` puts py-cord into a venv of its own")
NEEDS_DISCORDJS = pytest.mark.skipif(
    not (shutil.which("node") and (DISCORDJS / "node_modules" / "@discordjs" / "voice").exists()),
    reason="`make interop` installs @discordjs/voice, where node and npm are",
)
COMMANDS = {
    "py-cord": [str(PY_CORD), str(SENDERS / "py_cord" / "speak.py")],
    "@discordjs/voice": ["node", "speak.mjs"],
}
EACH = pytest.mark.parametrize(
    "sender", [pytest.param("py-cord", marks=NEEDS_PY_CORD), pytest.param("@discordjs/voice", marks=NEEDS_DISCORDJS)]
)


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    """A second of speech as Opus."""
    speech = read_samples(OWN_SPEECH / "anna_1.flac")[: 50 * FRAME_SAMPLES]
    encoder = Encoder()
    return [encoder.encode(frame) for frame in speech.reshape(-1, FRAME_SAMPLES)]


class Sender:
    """The other program, and the member of ours in whose name it speaks."""

    def __init__(self, process: asyncio.subprocess.Process, session: Session) -> None:
        self._process = process
        self._session = session
        self.told: dict[str, Any] = {}

    async def speak(self, packets: list[bytes], *, encrypted: bool = False) -> None:
        """Join, say the packets, leave."""
        coded = [base64.b64encode(packet).decode() for packet in packets]
        who = {"user_id": self._session.user_id, "room_id": self._session.room_id}
        await self._tell({**who, "packets": coded, "encrypted": encrypted})
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            self.told |= message
            if "wants_room" in message:
                await (self._enter() if message["wants_room"] else self._leave())
            if "ended" in message:
                return
        raise AssertionError(f"it ended early, having told {self.told}")

    async def _enter(self) -> None:
        given = await self._session.ask_for_voice()
        user_id = self._session.user_id
        await self._tell({"state": {"channel_id": given.room_id, "session_id": given.session_id, "user_id": user_id}})
        await asyncio.sleep(EVENT_GAP_S)
        await self._tell({"server": {"guild_id": given.room_id, "endpoint": given.endpoint, "token": given.token}})

    async def _leave(self) -> None:
        self._session.leave_room()
        await self._tell({"state": {"channel_id": None, "session_id": "", "user_id": self._session.user_id}})

    async def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()


class Room:
    """A server with TLS, and whoever is brought into its room."""

    def __init__(self, link: str, stack: AsyncExitStack, *, encrypted: bool) -> None:
        self.encrypted = encrypted
        self._link = link
        self._stack = stack

    async def session(self, name: str, *, recorder: bool = False) -> Session:
        return await self._stack.enter_async_context(connect(self._link, name=name, recorder=recorder))

    async def sender(self, name: str, program: str) -> Sender:
        """Agrees to being recorded."""
        session = await self.session(name)
        await session.consent(True)
        return await self._stack.enter_async_context(running(program, session))


@asynccontextmanager
async def running(program: str, session: Session) -> AsyncIterator[Sender]:
    process = await asyncio.create_subprocess_exec(
        *COMMANDS[program],
        cwd=DISCORDJS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_TLS_REJECT_UNAUTHORIZED": "0"},  # this machine, a certificate made for the test
    )
    try:
        yield Sender(process, session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture(params=[EncryptionPolicy.OFF, EncryptionPolicy.REQUIRED])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    """In clear between clients, and end-to-end encrypted."""
    policy: EncryptionPolicy = request.param
    async with AsyncExitStack() as stack:
        settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data", tls=True, encryption=policy)
        server = await stack.enter_async_context(RunningServer(settings))
        async with asyncio.timeout(40):
            yield Room(server.invite(), stack, encrypted=policy is EncryptionPolicy.REQUIRED)
            await stack.aclose()


@EACH
async def test_it_is_recorded_bit_by_bit(room: Room, sender: str, packets: list[bytes], tmp_path: Path) -> None:
    tape = await room.session("tape", recorder=True)
    async with keep_call(tape, tmp_path / "recording") as kept:
        speaker = await room.sender("stranger", sender)
        await speaker.speak(packets, encrypted=room.encrypted)
        summary = await kept.finish()
    (person,) = summary.people
    assert (person.name, person.lost, person.malformed) == ("stranger", 0, 0)
    assert track(tmp_path / "recording", "stranger") == packets
    assert speaker.told["mode"].startswith("aead_")
    assert bool(speaker.told.get("code")) is room.encrypted


@NEEDS_PY_CORD
@NEEDS_DISCORDJS
async def test_both_at_once_beside_a_member_of_ours(room: Room, packets: list[bytes], tmp_path: Path) -> None:
    """Two libraries, two transport modes, one recording."""
    tape = await room.session("tape", recorder=True)
    ours = await room.session("ours")
    async with keep_call(tape, tmp_path / "recording") as kept:
        speakers = [await room.sender("python", "py-cord"), await room.sender("javascript", "@discordjs/voice")]
        await ours.join(None)
        said = zip(speakers, (packets, packets[::-1]), strict=True)
        await asyncio.gather(*(speaker.speak(what, encrypted=room.encrypted) for speaker, what in said))
        summary = await kept.finish()
    assert sorted((person.name, person.lost) for person in summary.people) == [("javascript", 0), ("python", 0)]
    assert track(tmp_path / "recording", "python") == packets
    assert track(tmp_path / "recording", "javascript") == packets[::-1]
    assert {speaker.told["mode"] for speaker in speakers} == set(OFFERED_MODES)
