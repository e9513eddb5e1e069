"""A whole server on loopback: HTTP, both WebSockets, the relay."""

import asyncio
import contextlib
import json
import socket
import ssl

import httpx
import pytest
import websockets

from raccall.clock import wall_now
from raccall.errors import InputError, RefusedError, StorageError
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.store import SqlStore
from raccall.wire.control import EncryptionPolicy

pytestmark = pytest.mark.realtime

XCHACHA = "aead_xchacha20_poly1305_rtpsize"


def settings(tmp_path, **changes):
    """Its voice clients are bare WebSockets, which cannot encrypt."""
    given = {"host": "127.0.0.1", "port": 0, "data": tmp_path / "data", "encryption": EncryptionPolicy.OFF}
    return ServerSettings(**(given | changes))


@pytest.fixture
async def server(tmp_path):
    async with RunningServer(settings(tmp_path)) as server:
        yield server


@pytest.fixture
async def http(server):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield http


def token_of(link):
    return link.partition("#")[0].rpartition("/")[2]


async def new_guest(http, server, name, **more):
    answer = await http.post("/api/guests", json={"invite": token_of(server.invite()), "name": name} | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Client:
    """The raw messages of one WebSocket."""

    def __init__(self, url):
        self._connecting = websockets.connect(url, proxy=None)

    async def __aenter__(self):
        self.socket = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._connecting.__aexit__(*error)

    async def send(self, message):
        with contextlib.suppress(websockets.ConnectionClosed):  # the test looks at the code with which it was closed
            await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def until(self, key, value):
        """The next message in which `key` is `value`."""
        async with asyncio.timeout(5):
            while (message := json.loads(await self.socket.recv())).get(key) != value:
                pass
            return message

    async def close_code(self):
        async with asyncio.timeout(5):
            await self.socket.wait_closed()
        return self.socket.close_code


def gateway(server):
    return Client(server.url.replace("http", "ws") + "/gateway")


async def enter(client, guest):
    """Identify and join the room's call; the VoiceServer message."""
    await client.send({"type": "identify", "token": guest["token"]})
    await client.until("type", "ready")
    await client.send({"type": "join_room", "room_id": guest["room_id"]})
    return await client.until("type", "voice_server")


async def connect_voice(client, guest, voice, udp):
    """The voice handshake with IP discovery; the session description's fields."""
    fields = {key: voice[key] for key in ("session_id", "token")}
    await client.send({"op": 0, "d": {"server_id": guest["room_id"], "user_id": guest["user_id"], **fields}})
    ready = (await client.until("op", 2))["d"]
    request = b"\0\1\0\x46" + ready["ssrc"].to_bytes(4, "big") + bytes(66)
    loop = asyncio.get_running_loop()
    await loop.sock_sendto(udp, request, (ready["ip"], ready["port"]))
    async with asyncio.timeout(5):
        answer = await loop.sock_recv(udp, 100)
    address = {"address": answer[8:72].rstrip(b"\0").decode(), "port": int.from_bytes(answer[72:], "big")}
    assert (address["address"], address["port"]) == udp.getsockname()
    await client.send({"op": 1, "d": {"protocol": "udp", "data": {**address, "mode": XCHACHA}}})
    return ready | (await client.until("op", 4))["d"]


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        udp.bind(("127.0.0.1", 0))
        yield udp


async def test_a_guest_comes_in_types_and_gets_a_voice(server, http, udp):
    anna, ben = await new_guest(http, server, "Anna"), await new_guest(http, server, "Ben", recorder=True)
    assert anna["room_name"] == "lounge"
    async with gateway(server) as first, gateway(server) as second:
        voice = await enter(first, anna)
        assert voice["endpoint"] == f"127.0.0.1:{server.port}"
        await enter(second, ben)
        seen = await first.until("type", "member_joined")
        assert seen["member"] == {"user_id": ben["user_id"], "name": "Ben", "recording": True}
        await second.send({"type": "say", "room_id": ben["room_id"], "text": "hello 🎧", "nonce": "n1"})
        line = await first.until("type", "text_message")
        assert (line["name"], line["text"], line["nonce"]) == ("Ben", "hello 🎧", "n1")
        async with Client(f"ws://{voice['endpoint']}/?v=8") as client:
            description = await connect_voice(client, anna, voice, udp)
            assert description["mode"] == XCHACHA and len(description["secret_key"]) == 32
            health = (await http.get("/api/health")).json()
            assert health["status"] == "ok" and health["voices"] == 1 and health["sessions"] == 2
            assert health["relay"]["discovery"] == 1 and health["relay"]["not_observed"] == 0
            await first.send({"type": "leave_room", "room_id": anna["room_id"]})
            assert await client.close_code() == 4014
        assert (await second.until("type", "member_left"))["user_id"] == anna["user_id"]
    stored = server.service.store.messages(int(anna["room_id"]))
    assert [(line.name, line.text) for line in stored] == [("Ben", "hello 🎧")]


async def test_two_voices_learn_of_each_other(server, http, udp):
    anna, ben = await new_guest(http, server, "Anna"), await new_guest(http, server, "Ben")
    async with gateway(server) as first, gateway(server) as second:
        voices = await enter(first, anna), await enter(second, ben)
        url = f"ws://127.0.0.1:{server.port}/?v=8"
        async with Client(url) as early, Client(url) as late:
            mine = await connect_voice(early, anna, voices[0], udp)
            await early.send({"op": 5, "d": {"speaking": 1, "delay": 0, "ssrc": mine["ssrc"]}})
            await early.send({"op": 3, "d": {"t": 1, "seq_ack": -1}})
            await early.until("op", 6)
            await connect_voice(late, ben, voices[1], udp)
            assert (await late.until("op", 11))["d"] == {"user_ids": [anna["user_id"]]}
            assert (await late.until("op", 5))["d"] == {"user_id": anna["user_id"], "ssrc": mine["ssrc"], "speaking": 1}
            while (await early.until("op", 11))["d"] != {"user_ids": [ben["user_id"]]}:
                pass
        async with Client(url) as watching:
            await connect_voice(watching, anna, voices[0], udp)


@pytest.mark.parametrize(
    ("request_body", "status", "code"),
    [
        ({"invite": "nonsense", "name": "x"}, 403, "invite_invalid"),
        ({"name": "x"}, 400, "request_malformed"),
        ({"invite": 7, "name": "x"}, 400, "request_malformed"),
        (None, 400, "request_malformed"),
    ],
)
async def test_a_bad_request_is_one_sentence(http, request_body, status, code):
    answer = await http.post("/api/guests", json=request_body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["sentence"].endswith(".")


@pytest.mark.parametrize("name", ["", "   ", "x" * 33, "a\x00b", "tab\u200bbed"])
async def test_names_are_visible(server, http, name):
    answer = await http.post("/api/guests", json={"invite": token_of(server.invite()), "name": name})
    assert answer.json()["code"] == "name_malformed"


async def test_a_taken_name_is_free_again_when_its_owner_leaves(server, http):
    anna = await new_guest(http, server, "Anna")
    async with gateway(server) as client:
        await enter(client, anna)
        answer = await http.post("/api/guests", json={"invite": token_of(server.invite()), "name": "aNNA"})
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    async with gateway(server) as client:
        await enter(client, await new_guest(http, server, "Anna"))


async def test_a_full_room(tmp_path):
    async with (
        RunningServer(settings(tmp_path, room_capacity=1)) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
    ):
        guests = [await new_guest(http, server, name) for name in ("Anna", "Ben")]
        async with gateway(server) as first, gateway(server) as second:
            await enter(first, guests[0])
            await second.send({"type": "identify", "token": guests[1]["token"]})
            await second.send({"type": "join_room", "room_id": guests[1]["room_id"]})
            assert (await second.until("type", "refused"))["code"] == "room_full"
            answer = await http.post("/api/guests", json={"invite": token_of(server.invite()), "name": "Cleo"})
            assert answer.json()["code"] == "room_full"


async def test_only_the_owner_makes_rooms_and_invites(server, http):
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = await http.post("/api/rooms", json={"name": "kitchen"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_owner")
    owner = {"authorization": f"Bearer {server.owner_token}"}
    room = (await http.post("/api/rooms", json={"name": "kitchen"}, headers=owner)).json()
    again = await http.post("/api/rooms", json={"name": "Kitchen"}, headers=owner)
    assert (again.status_code, again.json()["code"]) == (409, "room_exists")
    invite = (await http.post("/api/invites", json={"room_id": room["room_id"]}, headers=owner)).json()
    answer = await http.post("/api/guests", json={"invite": token_of(invite["link"]), "name": "Anna"})
    assert answer.json()["room_name"] == "kitchen"
    assert {known["name"] for known in (await http.get("/api/rooms", headers=owner)).json()} == {"lounge", "kitchen"}
    for room_id in ("1", "x", "٣"):
        answer = await http.post("/api/invites", json={"room_id": room_id}, headers=owner)
        assert (answer.status_code, answer.json()["code"]) == (404, "room_unknown")


async def test_too_long_a_body_is_refused(http):
    answer = await http.post("/api/guests", content=b" " * (1 << 17))
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_long")


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/gateway", "x", 4002),
        ("/gateway", b"\xff\x00", 4002),
        ("/gateway", '{"type":"say","room_id":"1","text":"hi"}', 4003),
        ("/gateway", '{"type":"identify","token":"x"}', 4004),
        ("/gateway", " " * 70_000, 1009),
        ("/?v=8", "x", 4002),
        ("/?v=8", b"\x1a\x00", 4003),
        ("/?v=8", b"\x1a" + bytes(5000), 4002),
        ("/?v=8", b"\x1c" + bytes(300_000), 1009),
        ("/?v=8", '{"op":0,"d":{"server_id":"1","user_id":"1","session_id":"x","token":"y"}}', 4006),
        ("/?v=8", '{"op":7,"d":{"server_id":"1","session_id":"x","token":"y"}}', 4006),
        ("/?v=4", "", 4012),
        ("/", "", 4012),
    ],
)
async def test_a_hostile_websocket_is_closed_with_its_code_and_nobody_else_notices(server, http, path, data, code):
    async with Client(server.url.replace("http", "ws") + path) as client:
        await client.send(data)
        assert await client.close_code() == code
    assert (await http.get("/api/health")).json()["sessions"] == 0


async def test_the_server_announces_what_the_client_used(server, http):
    assert server.service.announced(f"voice.example:{server.port}", ("10.0.0.1", 1)) == ("voice.example", server.port)
    assert server.service.announced("[::1]:9", ("::1", 1)) == ("::1", 9)
    assert server.service.announced("localhost:9", ("127.0.0.1", 1)) == ("127.0.0.1", 9)
    assert server.service.announced("a b", ("10.0.0.1", 1)) == ("10.0.0.1", server.port)


async def test_rooms_tokens_and_invites_outlive_a_restart(tmp_path):
    async with RunningServer(settings(tmp_path)) as server:
        link, owner = server.invite(), server.owner_token
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            anna = await new_guest(http, server, "Anna")
    async with RunningServer(settings(tmp_path, public_address="voice.example:99")) as server:
        assert server.owner_token == owner
        assert server.invite().startswith("http://voice.example:99/join/")
        assert server.service.tokens.read_invite(token_of(link), wall_now()) == int(anna["room_id"])
        async with Client(f"ws://127.0.0.1:{server.port}/gateway") as client:
            assert (await enter(client, anna))["endpoint"] == "voice.example:99"


async def test_tls_keeps_its_certificate_and_the_link_carries_the_fingerprint(tmp_path):
    links = []
    for _ in range(2):
        async with RunningServer(settings(tmp_path, tls=True)) as server:
            links.append(server.invite())
            context = ssl.create_default_context(cafile=str(tmp_path / "data" / "certificate.pem"))
            context.check_hostname = False
            async with httpx.AsyncClient(verify=context, trust_env=False) as http:
                assert (await http.get(server.url + "/api/health")).status_code == 200
    assert server.url.startswith("https://")
    fingerprints = {link.partition("#")[2] for link in links}
    assert len(fingerprints) == 1 and len(fingerprints.pop()) == 64


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"host": "0.0.0.0"}, "tls_required"),
        ({"host": ("127.0.0.1", "::")}, "tls_required"),
        ({"host": "voice.example"}, "address_malformed"),
        ({"host": "192.0.2.77", "insecure": True}, "address_unusable"),
        ({"port": 65536}, "port_malformed"),
        ({"public_address": "http://x/"}, "address_malformed"),
        ({"room": "\n"}, "name_malformed"),
    ],
)
async def test_wrong_settings_are_one_sentence_and_leave_nothing_behind(tmp_path, changes, code):
    with pytest.raises(InputError) as refused:
        async with RunningServer(settings(tmp_path, **changes)):
            pass
    assert refused.value.code == code
    if code not in ("name_malformed",):
        assert not (tmp_path / "data").exists()


async def test_a_given_certificate_that_cannot_be_used(tmp_path):
    wrong = tmp_path / "cert.pem"
    wrong.write_text("nothing")
    for files, code in (((wrong, None), "certificate_incomplete"), ((wrong, wrong), "certificate_unusable")):
        with pytest.raises(InputError) as refused:
            async with RunningServer(settings(tmp_path, certificate=files[0], certificate_key=files[1])):
                pass
        assert refused.value.code == code


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_busy_port_is_one_sentence_and_nothing_is_written(tmp_path, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(InputError) as refused:
            async with RunningServer(settings(tmp_path, port=other.getsockname()[1])):
                pass
    assert refused.value.code == "port_busy"
    assert not (tmp_path / "data").exists()


async def test_a_data_folder_that_cannot_be_written_frees_the_port(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError) as refused:
        async with RunningServer(settings(tmp_path)):
            pass
    assert refused.value.code == "data_not_writable"


async def test_both_loopbacks_share_one_port(tmp_path):
    async with RunningServer(settings(tmp_path, host=())) as server, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://127.0.0.1:{server.port}/api/health")).status_code == 200
        if has_ipv6_loopback():
            assert (await http.get(f"http://[::1]:{server.port}/api/health")).status_code == 200


def has_ipv6_loopback():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_an_unknown_room_has_no_invite(server):
    with pytest.raises(RefusedError) as refused:
        server.invite("attic")
    assert refused.value.code == "room_unknown"


def test_the_database_of_a_stopped_server_is_whole(tmp_path):
    async def run():
        async with RunningServer(settings(tmp_path)):
            pass

    asyncio.run(run())
    store = SqlStore(tmp_path / "data" / "raccall.db")
    assert [room.name for room in store.rooms()] == ["lounge"]
    store.close()
