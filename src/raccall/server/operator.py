"""What the one who runs a server may see: `/metrics` for Prometheus, `/api/state` for `raccall top`.

Both want the operator's token, which allows nothing else, or the owner's. `/metrics` is also open to this machine
itself, unless a proxy in between says that somebody else asks.
"""

import ipaddress
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel

from raccall import __version__
from raccall.clock import monotonic_now
from raccall.server.metrics import CONTENT_TYPE, ServerMetrics
from raccall.server.rooms import Member, Room
from raccall.server.service import Service
from raccall.units import NANOS_PER_SECOND

PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers by which a proxy says that it asks for somebody else."""


class MemberState(BaseModel):
    name: str
    muted: bool
    deafened: bool
    silenced: bool
    """By the owner."""
    recorder: bool
    bot: bool
    connected: bool
    """Has a voice session."""
    up_loss_pct: float | None = None
    """Between the member and the server, of the last seconds; null while nothing comes."""
    down_loss_pct: float | None = None
    up_kbps: float = 0.0
    down_kbps: float = 0.0
    jitter_ms: float = 0.0


class RoomState(BaseModel):
    name: str
    members: list[MemberState]


class ServerState(BaseModel):
    version: str
    uptime_s: float
    sessions: int
    voices: int
    tunnels: int
    loop_lag_ms: float
    up_kbps: float
    down_kbps: float
    relay: dict[str, int]
    """The relay's counters."""
    rooms: list[RoomState]
    """Those with somebody in them."""


def add_operator(app: FastAPI, service: Service) -> None:
    """The two routes."""
    metrics = ServerMetrics(service)

    def operator(authorization: Annotated[str, Header()] = "") -> None:
        service.tokens.check_operator(authorization.removeprefix("Bearer "))

    def operator_or_here(request: Request, authorization: Annotated[str, Header()] = "") -> None:
        if authorization or not _from_here(request):
            operator(authorization)

    @app.get("/metrics", include_in_schema=False, dependencies=[Depends(operator_or_here)])
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/api/state", dependencies=[Depends(operator)])
    async def state() -> ServerState:
        return server_state(service)


def server_state(service: Service) -> ServerState:
    """As of now; losses and rates as of the last look."""
    voices = service.watch.voices.values()
    return ServerState(
        version=__version__,
        uptime_s=round((monotonic_now() - service.started) / NANOS_PER_SECOND, 1),
        sessions=len(service.hub),
        voices=len(service.calls),
        tunnels=service.tunnels.open,
        loop_lag_ms=round(1000 * service.watch.loop_lag_s, 1),
        up_kbps=round(sum(voice.up_kbps for voice in voices), 1),
        down_kbps=round(sum(voice.down_kbps for voice in voices), 1),
        relay=service.relay.counters(),
        rooms=[_room(service, room) for room in service.rooms.all() if room.members],
    )


def _room(service: Service, room: Room) -> RoomState:
    sessions = service.calls.session_ids(room.id)
    return RoomState(
        name=room.name,
        members=[_member(service, room, member, sessions.get(member.user_id)) for member in room.members.values()],
    )


def _member(service: Service, room: Room, member: Member, session_id: int | None) -> MemberState:
    state = MemberState(
        name=member.name,
        muted=member.muted,
        deafened=member.deafened,
        silenced=member.user_id in room.silenced,
        recorder=member.recording,
        bot=member.bot,
        connected=session_id is not None,
    )
    voice = service.watch.voices.get(session_id) if session_id is not None else None
    if voice is None:
        return state
    return state.model_copy(
        update={
            "up_loss_pct": voice.up_loss_pct,
            "down_loss_pct": voice.down_loss_pct,
            "up_kbps": voice.up_kbps,
            "down_kbps": voice.down_kbps,
            "jitter_ms": voice.jitter_ms,
        }
    )


def _from_here(request: Request) -> bool:
    if request.client is None or any(header in request.headers for header in PROXIED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
