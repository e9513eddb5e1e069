"""An unmodified discord.py 2.7.1 `VoiceClient` is a member like any other: it joins over TLS, speaks and hears."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import davey
import discord
import nacl.secret
import numpy as np
import pytest

from raccall.audio.files import read_samples
from raccall.bots.keep import keep_call
from raccall.client import Session, SourceKnown, connect, parse_link
from raccall.clock import monotonic_now
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.intelligibility import intelligibility
from raccall.testing.main_gateway import MainGateway
from raccall.units import FRAME_SAMPLES, OPUS_PAYLOAD_TYPE, SAMPLE_RATE_HZ
from raccall.voice.codec import Encoder
from raccall.voice.engine import PacketTap, Sound
from raccall.voice.tap import EngineTap
from raccall.wire.control import EncryptionPolicy
from raccall.wire.tls import client_context

pytestmark = pytest.mark.realtime

RTP_HEADER_BYTES = 12
EXTENSION_BIT = 0x10
EXTENSION_PREAMBLE_BYTES = 4
COUNTER_BYTES = 4
SPEAKING_MICROPHONE = 1
CONCEALED_BYTES = 3
"""What the recorder puts where nothing was said: a lone TOC byte, or the three bytes of coded silence."""
NONCE_OF_THE_RELAY = 0x8000_0080
"""First and last byte begin with a 1: a client that counts so far has the relay's nonces before it."""
PACE_S = 0.002
"""Between packets: ten times real time."""


class Room:
    """A server with TLS, and whoever is brought into its room."""

    def __init__(self, server: RunningServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._link = server.invite()
        self._stack = stack

    async def session(self, name: str, *, recorder: bool = False) -> Session:
        return await self._stack.enter_async_context(connect(self._link, name=name, recorder=recorder))

    async def discord_client(self, name: str, *, agrees: bool = True) -> discord.VoiceClient:
        """A discord.py client in the call; agrees: to being recorded, in its user's name."""
        tls = client_context(parse_link(self._link).fingerprint)
        session = await self.session(name)
        await session.consent(agrees)
        gateway = await self._stack.enter_async_context(MainGateway(session, tls))
        await gateway.voice_client.connect(reconnect=False, timeout=10)
        await gateway.voice_client.ws.speak(SPEAKING_MICROPHONE)
        return gateway.voice_client


@asynccontextmanager
async def open_room(data: Path, encryption: EncryptionPolicy) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        settings = ServerSettings(host="127.0.0.1", port=0, data=data, tls=True, encryption=encryption)
        server = await stack.enter_async_context(RunningServer(settings))
        async with asyncio.timeout(20):
            yield Room(server, stack)
            await stack.aclose()


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """Without end-to-end encryption: what the relay passes on can be compared with what was sent."""
    async with open_room(tmp_path / "data", EncryptionPolicy.OFF) as room:
        yield room


@pytest.fixture
async def encrypted_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path / "data", EncryptionPolicy.REQUIRED) as room:
        yield room


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    """A second of speech as Opus."""
    speech = read_samples(OWN_SPEECH / "anna_1.flac")[: 50 * FRAME_SAMPLES]
    encoder = Encoder()
    return [encoder.encode(frame) for frame in speech.reshape(-1, FRAME_SAMPLES)]


async def speak(client: discord.VoiceClient, packets: Iterable[bytes]) -> None:
    for packet in packets:
        client.send_audio_packet(packet, encode=False)
        await asyncio.sleep(PACE_S)


async def take(taps: list[PacketTap], count: int) -> list[tuple[int, bytes]]:
    """SSRC and payload of the next packets of a tap."""
    heard: list[tuple[int, bytes]] = []
    async for tick in EngineTap(taps[0]):
        heard += [(packet.ssrc, packet.payload) for packet in tick.packets]
        if len(heard) >= count:
            break
    return heard


@asynccontextmanager
async def listening(client: discord.VoiceClient) -> AsyncIterator["asyncio.Queue[bytes]"]:
    """Datagrams as discord.py receives them; it has no code of its own to open them."""
    loop = asyncio.get_running_loop()
    datagrams: asyncio.Queue[bytes] = asyncio.Queue()

    def on_datagram(datagram: bytes) -> None:  # called in a thread of discord.py
        loop.call_soon_threadsafe(datagrams.put_nowait, datagram)

    client._connection.add_socket_listener(on_datagram)
    yield datagrams
    client._connection.remove_socket_listener(on_datagram)


def open_with_pynacl(client: discord.VoiceClient, datagram: bytes) -> bytes:
    """The payload of an aead_xchacha20_poly1305_rtpsize datagram, by a library that is not ours."""
    extended = bool(datagram[0] & EXTENSION_BIT)
    clear = datagram[: RTP_HEADER_BYTES + (EXTENSION_PREAMBLE_BYTES if extended else 0)]
    sealed, counter = datagram[len(clear) : -COUNTER_BYTES], datagram[-COUNTER_BYTES:]
    opened = nacl.secret.Aead(bytes(client.secret_key)).decrypt(sealed, clear, counter + bytes(20))
    return opened[4 * int.from_bytes(clear[-2:], "big") :] if extended else opened


async def test_it_is_heard_bit_by_bit(room: Room, packets: list[bytes]) -> None:
    assert version("discord.py") == "2.7.1"
    taps: list[PacketTap] = []
    listener = await room.session("tape")
    await listener.join(None, on_tap=taps.append)
    speaker = await room.discord_client("discord")
    assert speaker.mode == "aead_xchacha20_poly1305_rtpsize"
    await speak(speaker, packets)
    heard = await take(taps, len(packets))
    assert heard == [(speaker.ssrc, packet) for packet in packets]
    assert listener.sources == {speaker.ssrc: str(speaker.user.id)}
    assert listener.members[str(speaker.user.id)].name == "discord"


async def test_its_voice_sounds(room: Room, packets: list[bytes]) -> None:
    sound = Sound.clocked(None, keep_playback=True)
    listener = await room.session("anna")
    await listener.join(sound)
    speaker = await room.discord_client("discord")
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number, packet in enumerate(packets, start=1):
        speaker.send_audio_packet(packet, encode=False)
        # By the clock, as a microphone is: on a busy machine pauses of 20 ms add up to slow speech.
        await asyncio.sleep(begun + 0.02 * number - clock())
    played = sound.read_playback()
    speech = read_samples(OWN_SPEECH / "anna_1.flac")[: len(packets) * FRAME_SAMPLES]
    begin = max(int(np.argmax(np.abs(played) > 0.01)) - SAMPLE_RATE_HZ // 5, 0)
    assert intelligibility(speech, played[begin:]) > 0.95


async def test_it_hears_our_member(room: Room, packets: list[bytes]) -> None:
    """Every datagram opens with its key, and carries what another listener got."""
    taps: list[PacketTap] = []
    await (await room.session("tape")).join(None, on_tap=taps.append)
    hearer = await room.discord_client("discord")
    speech = read_samples(OWN_SPEECH / "anna_1.flac")[: 20 * FRAME_SAMPLES]
    async with listening(hearer) as datagrams:
        await (await room.session("anna")).join(Sound.clocked(speech, keep_playback=False))
        payloads = [payload for _, payload in await take(taps, 20)]
        voice = []
        while len(voice) < 20:
            datagram = await datagrams.get()
            if datagram[1] & 0x7F == OPUS_PAYLOAD_TYPE:
                voice.append(open_with_pynacl(hearer, datagram))
    assert voice == payloads[:20]


async def test_two_of_them_hear_each_other(room: Room, packets: list[bytes]) -> None:
    first, second = await room.discord_client("first"), await room.discord_client("second")
    for speaker, hearer in ((first, second), (second, first)):
        async with listening(hearer) as datagrams:
            await speak(speaker, packets)
            heard = [open_with_pynacl(hearer, await datagrams.get()) for _ in packets]
        assert heard == packets


async def test_it_is_recorded_bit_by_bit(room: Room, packets: list[bytes], tmp_path: Path) -> None:
    session = await room.session("tape", recorder=True)
    async with keep_call(session, tmp_path / "recording") as kept:
        speaker = await room.discord_client("discord")
        for packet in packets:
            speaker.send_audio_packet(packet, encode=False)
            await asyncio.sleep(0.02)
        await speaker.disconnect()
        summary = await kept.finish()
    (person,) = summary.people
    assert (person.name, person.packets, person.lost) == ("discord", len(packets), 0)
    recorded = ogg_packets((tmp_path / "recording" / person.track).read_bytes())
    assert [packet for packet in recorded if len(packet) > CONCEALED_BYTES] == packets


def ogg_packets(data: bytes) -> list[bytes]:
    """All packets of an Ogg file but its two headers (RFC 3533 section 6)."""
    packets, pending, at = [], b"", 0
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        sizes = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + len(sizes)
        for size in sizes:
            pending += data[at : at + size]
            at += size
            if size < 255:
                packets.append(pending)
                pending = b""
    return packets[2:]


async def test_it_goes_on_under_a_new_key(tmp_path: Path, packets: list[bytes]) -> None:
    """A second op 4 in mid-call: it sends and is sent under the new key, and no packet is lost on the way."""
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path, tls=True, encryption=EncryptionPolicy.OFF)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        server = await stack.enter_async_context(RunningServer(settings))
        room, relay = Room(server, stack), server.service.relay
        taps: list[PacketTap] = []
        await (await room.session("tape")).join(None, on_tap=taps.append)
        client = await room.discord_client("discord")
        heard = asyncio.create_task(take(taps, 4 * len(packets)))
        await speak(client, packets)
        first_key, client._incr_nonce = client.secret_key, NONCE_OF_THE_RELAY  # what makes a key go bad
        await speak(client, packets)
        client._incr_nonce = len(packets)
        while relay.counters()["opened"] < 2 * len(packets):  # noqa: ASYNC110 (a native thread counts)
            await asyncio.sleep(0.01)
        server.service.calls.renew_keys(monotonic_now())
        await speak(client, packets)
        async with asyncio.timeout(5):
            while client.secret_key == first_key:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.01)
        await speak(client, packets)
        assert [payload for _, payload in await heard] == packets * 4
        assert [relay.counters()[reason] for reason in ("rekey_wanted", "bad_seal", "needs_rekey")] == [1, 0, 0]
        speech = read_samples(OWN_SPEECH / "anna_1.flac")[: 20 * FRAME_SAMPLES]
        async with listening(client) as datagrams:
            await (await room.session("anna")).join(Sound.clocked(speech, keep_playback=False))
            while (datagram := await datagrams.get())[1] & 0x7F != OPUS_PAYLOAD_TYPE:
                pass
            assert open_with_pynacl(client, datagram)
        await stack.aclose()


async def test_it_leaves_like_any_other(room: Room) -> None:
    stayer = await room.session("anna")
    await stayer.join(None)
    leaver = await room.discord_client("discord")
    async for event in stayer.events():
        if isinstance(event, SourceKnown):
            break
    await leaver.disconnect()
    async for event in stayer.events():
        if type(event).__name__ == "MemberLeft":
            break
    assert list(stayer.members) == [stayer.user_id]


# ---- encrypted end to end ----


async def agree(*clients: discord.VoiceClient) -> None:
    """Wait until they are in one epoch of one group, alone, and show the same code."""
    users = {str(client.user.id) for client in clients}
    while True:
        sessions = [client._connection.dave_session for client in clients]
        together = all(session and session.ready and set(session.get_user_ids()) == users for session in sessions)
        if (
            together
            and len({(client.voice_privacy_code, client._connection.dave_session.epoch) for client in clients}) == 1
        ):
            return
        await asyncio.sleep(0.02)


Ears = dict[discord.VoiceClient, "asyncio.Queue[bytes]"]


async def all_hear(speaker: discord.VoiceClient, ears: Ears, packets: list[bytes]) -> None:
    """What the relay sends on is not what was said, until a hearer's own keys open it."""
    await speak(speaker, packets)
    for hearer, datagrams in ears.items():
        carried: list[bytes] = []
        while len(carried) < len(packets):
            datagram = await datagrams.get()
            if datagram[1] & 0x7F == OPUS_PAYLOAD_TYPE:
                carried.append(open_with_pynacl(hearer, datagram))
        assert not set(carried) & set(packets)
        dave = hearer._connection.dave_session
        assert [dave.decrypt(speaker.user.id, davey.MediaType.audio, frame) for frame in carried] == packets


async def test_three_of_them_are_encrypted_end_to_end(encrypted_room: Room, packets: list[bytes]) -> None:
    anna, ben = await encrypted_room.discord_client("anna"), await encrypted_room.discord_client("ben")
    await agree(anna, ben)
    async with listening(anna) as at_anna, listening(ben) as at_ben:
        await all_hear(anna, {ben: at_ben}, packets)
        cleo = await encrypted_room.discord_client("cleo")
        await agree(anna, ben, cleo)
        async with listening(cleo) as at_cleo:
            await all_hear(anna, {ben: at_ben, cleo: at_cleo}, packets)
            await all_hear(cleo, {anna: at_anna, ben: at_ben}, packets)
            await ben.disconnect()
            await agree(anna, cleo)
            await all_hear(cleo, {anna: at_anna}, packets)


async def test_encrypted_it_is_in_the_group_again_after_a_new_key(encrypted_room: Room, packets: list[bytes]) -> None:
    """discord.py begins its group anew at each op 4: it is let in again, and what it says then is understood."""
    anna, ben = await encrypted_room.discord_client("anna"), await encrypted_room.discord_client("ben")
    await agree(anna, ben)
    epoch = ben._connection.dave_session.epoch
    async with listening(ben) as at_ben:
        anna._incr_nonce = NONCE_OF_THE_RELAY
        await speak(anna, packets[:1])
        anna._incr_nonce = 1
        while (await at_ben.get())[1] & 0x7F != OPUS_PAYLOAD_TYPE:
            pass
        encrypted_room.server.service.calls.renew_keys(monotonic_now())
        while ben._connection.dave_session.epoch == epoch:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
        await agree(anna, ben)
        await all_hear(anna, {ben: at_ben}, packets)
