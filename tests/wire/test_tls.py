"""A pinned certificate is checked inside the handshake."""

import asyncio
import datetime
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from raccall.wire.tls import as_connection_failed, client_context

pytestmark = pytest.mark.realtime


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, bytes]:
    """A file with key and certificate (of another host, and expired: a pin does not care), and its SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return pem, hashlib.sha256(signed.public_bytes(serialization.Encoding.DER)).digest()


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def with_server(pem: Path, use: Callable[[str], Awaitable[None]]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        await use(f"127.0.0.1:{port}")


async def test_the_pinned_certificate_is_accepted(certificate: tuple[Path, bytes]) -> None:
    pem, fingerprint = certificate

    async def use(place: str) -> None:
        async with connect(f"wss://{place}/", ssl=client_context(fingerprint), proxy=None) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"

    await with_server(pem, use)


@pytest.mark.parametrize("library", ["websockets", "httpx"])
@pytest.mark.parametrize(("wrong", "code"), [(True, "certificate_changed"), (False, "certificate_untrusted")])
async def test_any_other_certificate_is_refused(
    certificate: tuple[Path, bytes], library: str, wrong: bool, code: str
) -> None:
    pem, _ = certificate

    async def use(place: str) -> None:
        context = client_context(bytes(32) if wrong else None)
        with pytest.raises((OSError, httpx.TransportError)) as caught:
            if library == "websockets":
                await connect(f"wss://{place}/", ssl=context, proxy=None)
            else:
                async with httpx.AsyncClient(verify=context, trust_env=False) as http:
                    await http.get(f"https://{place}/")
        failed = as_connection_failed(caught.value, place)
        assert failed.code == code
        assert place in str(failed)

    await with_server(pem, use)


async def test_nobody_listening_and_no_tls() -> None:
    refused = as_connection_failed(ConnectionRefusedError(), "host:1")
    assert (refused.code, str(refused)) == ("server_unreachable", "The server at host:1 cannot be reached.")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"not tls at all")
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError) as caught:
            await connect(f"wss://127.0.0.1:{port}/", ssl=client_context(bytes(32)), proxy=None)
    assert as_connection_failed(caught.value, "host:1").code == "tls_failed"
