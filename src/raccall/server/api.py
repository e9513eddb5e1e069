"""The HTTP side: `/api`, and what a browser sees that opens an invite link."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from raccall import __version__
from raccall.clock import monotonic_now
from raccall.errors import RaccallError, RefusedError
from raccall.server.body_limit import BodyLimit
from raccall.server.operator import add_operator
from raccall.server.pages import add_pages
from raccall.server.request_limit import RequestLimit
from raccall.server.rooms import Member, Room, member_unknown
from raccall.server.service import Service
from raccall.server.settings import MAX_RETENTION_DAYS
from raccall.wire.control import EncryptionPolicy, RecordingPolicy

T = TypeVar("T")

MAX_ID_DIGITS = 19
"""Of a 63-bit number."""

STATUS = {
    "invite_invalid": 403,
    "invite_expired": 403,
    "not_owner": 403,
    "not_operator": 403,
    "room_unknown": 404,
    "member_unknown": 404,
    "name_taken": 409,
    "room_full": 409,
    "room_exists": 409,
    "recording_off": 403,
    "recording_reserved": 403,
    "encryption_too_many": 409,
    "too_many_requests": 429,
    "database_unusable": 503,
}
"""HTTP status by error code; 400 for all others."""


class GuestWanted(BaseModel):
    invite: str = Field(max_length=1000, repr=False)
    """The token of an invite link."""
    name: str = Field(max_length=1000)
    recorder: bool = False
    bot: bool = False
    """Hears everyone, however many speak. Only with the owner's token."""


class Guest(BaseModel):
    token: str = Field(repr=False)
    user_id: str
    name: str
    room_id: str
    room_name: str


class RoomWanted(BaseModel):
    name: str = Field(max_length=1000)


class RoomKnown(BaseModel):
    room_id: str
    name: str
    members: int
    """How many are in its call."""
    recording: RecordingPolicy
    retention_days: int | None
    """How long the server's own recordings are kept; null: for ever."""
    encryption: EncryptionPolicy


class RoomChange(BaseModel):
    recording: RecordingPolicy | None = None
    encryption: EncryptionPolicy | None = None
    retention_days: int | None = Field(default=None, ge=1, le=MAX_RETENTION_DAYS)
    """null: for ever."""


class MemberKnown(BaseModel):
    user_id: str
    name: str
    recorder: bool
    bot: bool
    muted: bool
    """By themselves."""
    deafened: bool
    """They hear nobody."""
    silenced: bool
    """By the owner: nobody gets their voice."""


class MemberChange(BaseModel):
    silenced: bool


class InviteWanted(BaseModel):
    room_id: str = Field(max_length=20)


class Invite(BaseModel):
    link: str = Field(repr=False)
    expires: str
    """UTC, ISO 8601."""


class Health(BaseModel):
    status: str
    version: str
    sessions: int
    """Users with a control session."""
    voices: int
    """Voice sessions."""
    relay: dict[str, int]
    """The relay's counters."""


class Problem(BaseModel):
    """Every error of this API."""

    code: str
    sentence: str


def create_app(service: Service, on_change: Callable[[], None]) -> FastAPI:
    """The ASGI application of one server, without its WebSockets. `on_change` is called when the hub's timer may have
    moved."""
    app = FastAPI(
        title="Raccall",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": Problem}},
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLimit)  # the outermost
    _add_errors(app)
    _add_api(app, service, on_change)
    add_operator(app, service)
    add_pages(app, service)
    return app


def _add_api(app: FastAPI, service: Service, on_change: Callable[[], None]) -> None:
    def owner(authorization: Annotated[str, Header()] = "") -> None:
        service.tokens.check_owner(authorization.removeprefix("Bearer "))

    @app.get("/api/health")
    async def health() -> Health:
        return Health(
            status="ok",
            version=__version__,
            sessions=len(service.hub),
            voices=len(service.calls),
            relay=service.relay.counters(),
        )

    @app.post("/api/guests", status_code=201)
    async def new_guest(wanted: GuestWanted, request: Request, authorization: Annotated[str, Header()] = "") -> Guest:
        """With the owner's token a recorder is the server's own, which may also record where others may not; only with
        it a guest may be a bot."""
        address = request.client.host if request.client else ""
        if not service.guest_allowed(address, monotonic_now()):
            raise RefusedError("too_many_requests", "Too many people came from your address; wait a moment.")
        appointed = authorization != ""
        if appointed or wanted.bot:
            owner(authorization)
        user = service.new_guest(
            wanted.invite, wanted.name, recorder=wanted.recorder, bot=wanted.bot, appointed=appointed
        )
        await service.in_store_thread(lambda: service.keep_guest(user))
        return Guest(
            token=service.tokens.guest(user),
            user_id=str(user.id),
            name=user.name,
            room_id=str(user.room_id),
            room_name=service.rooms.get(user.room_id).name,
        )

    @app.get("/api/rooms", dependencies=[Depends(owner)])
    async def rooms() -> list[RoomKnown]:
        return [known(room) for room in service.rooms.all()]

    @app.post("/api/rooms", status_code=201, dependencies=[Depends(owner)])
    async def new_room(wanted: RoomWanted) -> RoomKnown:
        room = service.new_room(wanted.name)
        await service.in_store_thread(lambda: service.store.add_room(room))
        return known(service.add_room(room))

    @app.patch("/api/rooms/{room_id}", dependencies=[Depends(owner)])
    async def change_room(room_id: str, wanted: RoomChange) -> RoomKnown:
        """What is not given stays as it is."""
        room = service.rooms.get(room_number(room_id))
        changed = wanted.model_fields_set
        policy = wanted.recording if wanted.recording is not None else room.policy
        days = wanted.retention_days if "retention_days" in changed else room.retention_days
        await service.in_store_thread(lambda: service.keep_policy(room.id, policy, days))
        service.hub.set_policy(room.id, policy, days)
        if (encryption := wanted.encryption) is not None:
            service.hub.check_encryption(room.id, encryption)
            await service.in_store_thread(lambda: service.keep_encryption(room.id, encryption))
            service.hub.set_encryption(room.id, encryption)
            on_change()
        return known(room)

    @app.get("/api/rooms/{room_id}/members", dependencies=[Depends(owner)])
    async def members(room_id: str) -> list[MemberKnown]:
        room = service.rooms.get(room_number(room_id))
        return [known_member(room, member) for member in room.members.values()]

    @app.patch("/api/rooms/{room_id}/members/{user_id}", dependencies=[Depends(owner)])
    async def change_member(room_id: str, user_id: str, wanted: MemberChange) -> MemberKnown:
        """Silenced, a member is heard by nobody until this is undone; everyone is shown it. It does not wait for the
        disk, but the answer does."""
        room = service.rooms.get(room_number(room_id))
        member = service.hub.silence(room.id, member_number(user_id), wanted.silenced)
        await service.in_store_thread(lambda: service.keep_silenced(room.id, member.user_id, wanted.silenced))
        return known_member(room, member)

    @app.post("/api/invites", status_code=201, dependencies=[Depends(owner)])
    async def new_invite(wanted: InviteWanted) -> Invite:
        link, expires = service.invite(room_number(wanted.room_id))
        return Invite(link=link, expires=expires.isoformat(timespec="seconds"))


def known(room: Room) -> RoomKnown:
    return RoomKnown(
        room_id=str(room.id),
        name=room.name,
        members=len(room.members),
        recording=room.policy,
        retention_days=room.retention_days,
        encryption=room.encryption,
    )


def known_member(room: Room, member: Member) -> MemberKnown:
    return MemberKnown(
        user_id=str(member.user_id),
        name=member.name,
        recorder=member.recording,
        bot=member.bot,
        muted=member.muted,
        deafened=member.deafened,
        silenced=member.user_id in room.silenced,
    )


def room_number(text: str) -> int:
    """Of a room's id as the API writes it. Raises RefusedError `room_unknown`."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_ID_DIGITS:
        raise RefusedError("room_unknown", "This room does not exist.")
    return int(text)


def member_number(text: str) -> int:
    """As `room_number`. Raises RefusedError `member_unknown`."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_ID_DIGITS:
        raise member_unknown()
    return int(text)


def _add_errors(app: FastAPI) -> None:
    def problem(status: int, code: str, sentence: str) -> JSONResponse:
        return JSONResponse({"code": code, "sentence": sentence}, status_code=status)

    @app.exception_handler(RaccallError)
    async def refused(_request: Request, error: RaccallError) -> JSONResponse:
        return problem(STATUS.get(error.code, 400), error.code, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return problem(400, "request_malformed", f"The request is malformed: {where}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "request_malformed")
        return problem(error.status_code, code, f"{error.detail}.")
