"""Checks of a running server, from where a client is."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from raccall.cli.api import TIMEOUT_S
from raccall.cli.checks import certificate
from raccall.cli.checks.findings import Finding, ok, problem, warning
from raccall.client import connect
from raccall.client.link import InviteLink
from raccall.clock import wall_now
from raccall.errors import RaccallError
from raccall.wire.tls import as_connection_failed, client_context

NO_TOKEN = "x"
"""What `cli.api.place` makes of a URL that is no invite."""
SKEW_S = 5.0
BAD_SKEW_S = 300.0
FAR_MS = 150.0
"""Round trip; with what sound needs beside it, people begin to talk over each other (ITU-T G.114: 150 ms one way)."""
MEASURE_S = 2.5
"""The relay answers a report each second."""


def server(link: InviteLink, text: str) -> Iterator[Finding]:
    """Does it answer, and is its clock ours?"""
    tls = client_context(link.fingerprint) if link.secure else False
    try:
        asked = wall_now()
        answer = httpx.get(f"{link.api_url}/health", verify=tls, trust_env=False, timeout=TIMEOUT_S)
        got = wall_now()
        version = answer.raise_for_status().json()["version"]
    except httpx.TransportError as error:
        says = str(as_connection_failed(error, link.authority))
        do = f"Is it running, and is TCP port {link.port} open in its firewall and forwarded by its router?"
        yield problem("server", says, do)
        return
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
        yield problem("server", f"What answers at {link.authority} is not a Raccall server.", "Check the address.")
        return
    yield ok("server", f"Raccall {version} answers at {link.authority} by TCP.")
    yield from clock(answer.headers.get("date", ""), asked, got)


def clock(date: str, asked: datetime, got: datetime) -> Iterator[Finding]:
    """date: the server's, in whole seconds."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return
    middle = asked + (got - asked) / 2
    skew_s = (middle - theirs).total_seconds() - 0.5  # Date is rounded down
    says = f"This machine's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the server's."
    if abs(skew_s) <= SKEW_S:
        yield ok("clock", "This machine's clock and the server's agree.")
    elif abs(skew_s) <= BAD_SKEW_S:
        yield warning("clock", says, "Let both follow NTP (timedatectl set-ntp true).")
    else:
        yield problem("clock", f"{says} Certificates and invites may seem to be over.", "Let both follow NTP.")


def server_certificate(link: InviteLink, text: str) -> Iterable[Finding]:
    """What it shows, whoever vouches for it."""
    if not link.secure:
        return []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((link.host, link.port), timeout=TIMEOUT_S) as sock:
            with context.wrap_socket(sock, server_hostname=link.host) as wrapped:
                der = wrapped.getpeercert(binary_form=True)
    except OSError:
        return []  # `server` has told it
    assert der is not None, "a server without a certificate has failed already"
    return certificate.look(der, link.host, link.fingerprint, wall_now())


def voice(link: InviteLink, text: str) -> Iterable[Finding]:
    """Is UDP let through both ways? Only a member can ask: joins the call, silent and seen by all, for some seconds."""
    if link.token == NO_TOKEN:
        return [warning("voice", "Whether UDP comes through was not tried.", "Give an invite link.")]
    try:
        return [asyncio.run(_voice(link, text))]
    except RaccallError as error:
        return [problem("voice", str(error), f"Open UDP port {link.port} in the server's firewall and router.")]


async def _voice(link: InviteLink, text: str) -> Finding:
    async with connect(text, name="doctor") as session:
        await session.join(None, muted=True)
        await asyncio.sleep(MEASURE_S)
        stats = session.stats()
    route, round_trip_ms = (stats.route, stats.round_trip_ms) if stats is not None else ("", None)
    if route == "tunnel":
        says = "UDP is blocked between here and the server; voice goes through the WebSocket, later and less smoothly."
        return warning("voice", says, f"Open UDP port {link.port} in the server's firewall and router, or in yours.")
    if round_trip_ms is None:
        return warning("voice", "UDP comes through, but no report was answered.", "Try again; packets may be lost.")
    says = f"Voice goes by UDP, to the server and back in {round_trip_ms:.0f} ms."
    if round_trip_ms > FAR_MS:
        return warning("voice", says, "Run the server nearer to those who talk.")
    return ok("voice", says)


THERE: list[Callable[[InviteLink, str], Iterable[Finding]]] = [server, server_certificate, voice]
"""In the order they are told; more may be appended. Each gets the link, and as it was given."""
