"""Becoming a guest: what an invite link gives, asked of the server once, before anything else."""

from dataclasses import dataclass, field

import httpx
import msgspec

from raccall.client.link import InviteLink
from raccall.errors import ConnectionFailed, RefusedError
from raccall.wire.tls import as_connection_failed, client_context

HTTP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who we are on this server: the answer of POST /api/guests."""

    token: str = field(repr=False)
    """What `/gateway` lets us in with."""
    user_id: str
    name: str
    room_id: str
    room_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Answer of the API when it does not do what was asked."""

    code: str
    sentence: str


async def become_guest(
    invite: InviteLink, name: str, *, owner_token: str | None = None, recorder: bool = False, bot: bool = False
) -> Guest:
    """Be let in. name: how the others see us. owner_token: makes a recorder the server's own, and a bot possible.

    Raises RefusedError (in the server's words: invite, name, ...), ConnectionFailed (nothing answers, or something
    else than a Raccall server does).
    """
    headers = {"authorization": f"Bearer {owner_token}"} if owner_token is not None else {}
    tls = client_context(invite.fingerprint) if invite.secure else False
    wanted = {"invite": invite.token, "name": name, "recorder": recorder, "bot": bot}
    try:
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=HTTP_TIMEOUT_S) as http:
            response = await http.post(f"{invite.api_url}/guests", json=wanted, headers=headers)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        raise _unsuitable(invite) from None
    except httpx.TransportError as error:
        raise as_connection_failed(error, invite.authority) from error
    try:
        if response.status_code == httpx.codes.CREATED:
            return msgspec.json.decode(response.content, type=Guest)
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.DecodeError:
        raise _unsuitable(invite) from None
    raise RefusedError(problem.code, problem.sentence)


def _unsuitable(invite: InviteLink) -> ConnectionFailed:
    wants = "" if invite.secure else ", or it is one and the link should be https"
    return ConnectionFailed("server_unsuitable", f"What answers at {invite.authority} is not a Raccall server{wants}.")
