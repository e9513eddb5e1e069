"""Our client, our recorder and two unmodified discord.py clients in one encrypted room."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import davey
import discord
import numpy as np
import pytest
from discord.voice_state import VoiceConnectionState

from raccall.audio.files import read_samples
from raccall.bots.keep import keep_call
from raccall.client import EncryptionChanged, EncryptionPolicyChanged, Session
from raccall.errors import ConnectionFailed
from raccall.recorder import JournalReader, KeysChanged, MemberJoined, Source, read_events
from raccall.testing.dialogue import OWN_SPEECH
from raccall.units import OPUS_PAYLOAD_TYPE, Ssrc
from raccall.voice import call
from raccall.voice.engine import PacketTap, Sound
from raccall.voice.gateway import binary, messages
from raccall.wire.control import EncryptionPolicy
from tests.interop.test_discord_py import Room, listening, open_room, open_with_pynacl, packets, speak, take

pytestmark = pytest.mark.realtime

__all__ = ["packets"]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path / "data", EncryptionPolicy.REQUIRED) as room:
        yield room


def code_of(member: Session | discord.VoiceClient) -> str:
    if isinstance(member, Session):
        return member.encryption.code.replace(" ", "") if member.encryption is not None else ""
    return member.voice_privacy_code or ""


async def agree(*members: Session | discord.VoiceClient) -> str:
    """Wait until all show the same code, in a group of just so many. Returns it."""
    while True:
        codes = {code_of(member) for member in members}
        sizes = {
            len(member.encryption.identities) for member in members if isinstance(member, Session) and member.encryption
        }
        if len(codes) == 1 and "" not in codes and sizes <= {len(members)}:
            return codes.pop()
        await asyncio.sleep(0.01)


def ssrc_of(member: Session) -> Ssrc:
    assert member._voice.call is not None and member._voice.call._ready is not None
    return member._voice.call._ready.ssrc


async def heard_by(
    client: discord.VoiceClient, datagrams: "asyncio.Queue[bytes]", speaker: Session, count: int
) -> list[bytes]:
    """The next frames of `speaker`, opened and decrypted by libraries that are not ours."""
    frames: list[bytes] = []
    while len(frames) < count:
        datagram = await datagrams.get()
        ssrc = Ssrc(int.from_bytes(datagram[8:12], "big"))
        if datagram[1] & 0x7F == OPUS_PAYLOAD_TYPE and ssrc == ssrc_of(speaker):
            frame = open_with_pynacl(client, datagram)
            dave = client._connection.dave_session
            with contextlib.nullcontext() if frames else contextlib.suppress(ValueError):  # from before it was let in
                frames.append(dave.decrypt(int(speaker.user_id), davey.MediaType.audio, frame))
    return frames


def recorded(folder: Path, user_id: int) -> list[bytes]:
    """A person's payloads in the journal, in the order they were sent."""
    sources = {
        source.ssrc for source in read_events(folder / "events.jsonl").of(Source) if source.user_id == str(user_id)
    }
    found = [packet for packet in JournalReader(folder / "journal.pcapng").packets() if packet.ssrc in sources]
    return [packet.payload for packet in sorted(found, key=lambda packet: packet.sequence)]


async def test_all_agree_and_hear_each_other_bit_by_bit(room: Room, packets: list[bytes], tmp_path: Path) -> None:
    tape = await room.session("tape", recorder=True)
    async with keep_call(tape, tmp_path / "call") as kept:
        ours = await room.session("anna")
        await ours.consent(True)
        taps: list[PacketTap] = []
        sound = Sound.clocked(np.tile(read_samples(OWN_SPEECH / "anna_1.flac"), 10), keep_playback=False)
        await ours.join(sound, on_tap=taps.append)
        ben = await room.discord_client("ben")
        await agree(tape, ours, ben)
        carl = await room.discord_client("carl")
        first = await agree(tape, ours, ben, carl)
        assert await ours.fingerprint(str(ben.user.id)) != await ours.fingerprint(str(carl.user.id))
        theirs = ben._connection.dave_session.get_verification_code(int(ours.user_id))
        assert (await ours.fingerprint(str(ben.user.id))).replace(" ", "") == theirs

        await speak(ben, packets)
        assert await take(taps, len(packets)) == [(ben.ssrc, packet) for packet in packets]
        async with listening(carl) as datagrams:
            mine = await heard_by(carl, datagrams, ours, 20)

        await ben.disconnect()
        second = await agree(tape, ours, carl)
        assert second != first
        await speak(carl, packets[:20])
        assert await take(taps, 20) == [(carl.ssrc, packet) for packet in packets[:20]]
        await ours.leave()
        await kept.close()
    assert recorded(tmp_path / "call", ben.user.id) == packets
    assert recorded(tmp_path / "call", carl.user.id) == packets[:20]
    ours_recorded = recorded(tmp_path / "call", int(ours.user_id))
    start = ours_recorded.index(mine[0])
    assert ours_recorded[start : start + len(mine)] == mine
    codes = [keys.code.replace(" ", "") for keys in read_events(tmp_path / "call" / "events.jsonl").of(KeysChanged)]
    assert first in codes and second in codes
    names = {joined.name for joined in read_events(tmp_path / "call" / "events.jsonl").of(MemberJoined)}
    assert names >= {"anna", "ben", "carl"}


Held = Callable[[object], bool]


def hold(session: Session, held: Held, seconds: float) -> None:
    """From the first message on that `held` names, the session's voice gateway is read so much later."""
    call = session._voice.call
    assert call is not None
    core, loop = call._core, asyncio.get_running_loop()
    receive, waiting, slow = core.receive, list[tuple[object, int]](), False

    def release() -> None:
        nonlocal slow
        slow = False
        core.receive = receive  # type: ignore[method-assign]
        for data, now in waiting:
            receive(data, now)  # type: ignore[arg-type]
        call._carrier.wake()

    def receive_late(data: str | bytes, now: int) -> None:
        nonlocal slow
        if isinstance(data, bytes):
            message: object = binary.parse_server_binary(data).message
        else:
            message = messages.parse_server_message(data).message
        if not slow and held(message):
            slow = True
            loop.call_later(seconds, release)
        if slow:
            waiting.append((data, now))
        else:
            receive(data, now)  # type: ignore[arg-type]

    core.receive = receive_late  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", [binary.AnnounceCommit, messages.ExecuteTransition])
async def test_nothing_is_lost_while_a_key_is_on_its_way(
    room: Room, packets: list[bytes], tmp_path: Path, kind: type
) -> None:
    tape = await room.session("tape", recorder=True)
    async with keep_call(tape, tmp_path / "call") as kept:
        ben = await room.discord_client("ben")
        await agree(tape, ben)
        hold(tape, lambda message: isinstance(message, kind), 2.0)
        carl = await room.discord_client("carl")
        await agree(ben, carl)
        for packet in packets[:25]:
            for client in (ben, carl):
                client.send_audio_packet(packet, encode=False)
            await asyncio.sleep(0.02)
        await agree(tape, ben, carl)
        await asyncio.sleep(0.3)
        await kept.close()
    assert recorded(tmp_path / "call", carl.user.id) == packets[:25]
    assert recorded(tmp_path / "call", ben.user.id) == packets[:25]


async def test_a_lost_connection_in_the_middle_of_it_is_resumed(room: Room, packets: list[bytes]) -> None:
    ours, ben = await room.session("anna"), await room.discord_client("ben")
    taps: list[PacketTap] = []
    await ours.join(None, on_tap=taps.append)
    await agree(ours, ben)
    assert ours._voice.call is not None and ours._voice.call._carrier._socket is not None
    ours._voice.call._carrier._socket.transport.abort()
    carl = await room.discord_client("carl")
    await agree(ours, ben, carl)
    await speak(carl, packets)
    assert await take(taps, len(packets)) == [(carl.ssrc, packet) for packet in packets]


async def test_who_joins_is_told_that_the_call_is_encrypted(room: Room) -> None:
    ours = await room.session("anna")
    await ours.join(None)
    assert isinstance(ours.encryption, EncryptionChanged)
    assert ours.encryption.encrypted and not ours.encryption.code
    await agree(ours, await room.discord_client("ben"))
    assert set(ours.encryption.identities) == set(ours.members)


async def test_one_who_cannot_do_it_takes_the_call_down_and_everyone_sees_why(
    packets: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_room(tmp_path / "data", EncryptionPolicy.PREFERRED) as room:
        ours, ben = await room.session("anna"), await room.discord_client("ben")
        taps: list[PacketTap] = []
        await ours.join(None, on_tap=taps.append)
        await agree(ours, ben)
        with monkeypatch.context() as patch:
            patch.setattr(VoiceConnectionState, "max_dave_protocol_version", 0)
            old = await room.discord_client("old")
        told = []
        async for event in ours.events():
            told.append(event)
            if isinstance(event, EncryptionChanged) and not event.encrypted:
                break
        assert EncryptionPolicyChanged(ours.room_id, EncryptionPolicy.PREFERRED, ("old",)) in told
        await asyncio.sleep(0.1)  # the engine takes commands with its ticks
        for speaker in (old, ben):
            await speak(speaker, packets)
            assert await take(taps, len(packets)) == [(speaker.ssrc, packet) for packet in packets]
        await old.disconnect()
        await agree(ours, ben)
        assert ours.encryption is not None and ours.encryption.encrypted
        await speak(ben, packets)
        assert await take(taps, len(packets)) == [(ben.ssrc, packet) for packet in packets]


async def test_who_cannot_do_it_is_refused_with_a_sentence(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = await room.session("anna")
    monkeypatch.setattr(call, "make_handshake", lambda identity, end_to_end: None)
    with pytest.raises(ConnectionFailed, match="end-to-end encrypted"):
        await ours.join(None)
