"""What the relay forwards cannot be opened with anything that the server knows: not by its keys, nor by any stretch of
any byte string in its memory, in its data folder or in all the messages that it saw."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import davey
import discord
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).parent))

import what_it_knows

from raccall.client import connect, parse_link
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.main_gateway import MainGateway
from raccall.voice.gateway.server import VoiceGatewayServer
from raccall.wire.control import EncryptionPolicy
from raccall.wire.tls import client_context

pytestmark = pytest.mark.realtime

SPEECH = b"\x78" + bytes(range(100))
"""An Opus packet's worth."""


def sealed_with(base: bytes, payload: bytes) -> bytes:
    """A DAVE frame of generation 0, nonce 5. AESGCM's tag is 16 bytes, of which the first 8 go along."""
    key = what_it_knows.expand(base, "key", bytes(4), 16)
    whole = AESGCM(key).encrypt(bytes(8) + (5).to_bytes(4, "little"), payload, None)
    ciphertext, tag = whole[:-16], whole[-16:-8]
    return ciphertext + tag + b"\x05" + bytes([12]) + b"\xfa\xfa"


def test_the_search_finds_a_key_where_there_is_one() -> None:
    base = bytes([206, 221, 97, 177, 184, 161, 202, 105, 4, 101, 84, 40, 44, 247, 11, 123])
    first_key = [117, 48, 249, 169, 148, 94, 45, 46, 6, 208, 101, 31, 123, 42, 134, 75]  # libdave's test of its ratchet
    assert what_it_knows.expand(base, "key", bytes(4), 16) == bytes(first_key)
    assert what_it_knows.key_of(sealed_with(base, SPEECH), 7, [b"x" * 50, b"before" + base + b"after"]) == base
    exporter = bytes(range(32))
    *_, base = what_it_knows.bases_from(exporter, 7)
    assert what_it_knows.key_of(sealed_with(base, SPEECH), 7, [b"-" + exporter]) == exporter
    assert what_it_knows.key_of(sealed_with(base, SPEECH), 8, [b"-" + exporter]) is None, "another's exported secret"


class Spy:
    """All that voice connections said and were told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[bytes] = []
        receive, announce = VoiceGatewayServer.receive, VoiceGatewayServer.announce

        def spy_receive(core: VoiceGatewayServer, data: str | bytes, now: int) -> None:
            self._note(data)
            receive(core, data, now)

        def spy_announce(core: VoiceGatewayServer, body: str | bytes) -> None:
            self._note(body)
            announce(core, body)

        monkeypatch.setattr(VoiceGatewayServer, "receive", spy_receive)
        monkeypatch.setattr(VoiceGatewayServer, "announce", spy_announce)

    def _note(self, data: str | bytes) -> None:
        self.seen.append(data.encode() if isinstance(data, str) else data)


async def grouped(*clients: discord.VoiceClient) -> None:
    """Wait until they are in one group, alone."""
    users = {str(client.user.id) for client in clients}
    while True:
        sessions = [client._connection.dave_session for client in clients]
        if all(session and session.ready and set(session.get_user_ids()) == users for session in sessions):
            return
        await asyncio.sleep(0.02)


async def test_nothing_that_the_server_knows_opens_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    data = tmp_path / "data"
    settings = ServerSettings(host="127.0.0.1", port=0, data=data, tls=True, encryption=EncryptionPolicy.REQUIRED)
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        server = await stack.enter_async_context(RunningServer(settings))
        tls = client_context(parse_link(server.invite()).fingerprint)
        clients = []
        for name in ("anna", "ben", "cleo"):
            session = await stack.enter_async_context(connect(server.invite(), name=name))
            gateway = await stack.enter_async_context(MainGateway(session, tls))
            await gateway.voice_client.connect(reconnect=False, timeout=10)
            clients.append(gateway.voice_client)
        await grouped(*clients)
        anna, ben, _ = clients
        frame = anna._connection.dave_session.encrypt_opus(SPEECH)
        known = [*what_it_knows.reachable(server.service), *what_it_knows.files(data), *spy.seen]
        assert ben._connection.dave_session.decrypt(anna.user.id, davey.MediaType.audio, frame) == SPEECH
        transport_keys = [bytes(client.secret_key) for client in clients]
    assert set(transport_keys) < set(known), "what it does know was found"
    assert len([piece for piece in known if len(piece) == 32]) >= 4, "its secret and the key of its proposals, too"
    assert {0x1A, 0x1C, 0x1E} < {piece[0] for piece in spy.seen}, "key packages, commits, welcomes"
    assert SPEECH[:16] not in frame and len(frame) - frame[-3] == len(SPEECH)
    assert what_it_knows.key_of(frame, anna.user.id, [*set(known)]) is None
