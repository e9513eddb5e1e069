"""Show or change a room of a running server: may it be recorded, and how long are recordings kept.

By the API, with the owner's token that `raccall serve` prints; where the server's data folder can be read, token and
certificate are found there.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from raccall.client.link import parse_link
from raccall.client.tls import as_connection_failed, client_context
from raccall.errors import ConnectionFailed, InputError, RefusedError
from raccall.server.tokens import Tokens
from raccall.store import DataFolder, default_data_folder
from raccall.units import DEFAULT_PORT
from raccall.wire.control import RecordingPolicy

TIMEOUT_S = 10.0
KEEP_FOR_EVER = "forever"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall room`."""
    parser.add_argument("name", metavar="NAME", help="of the room, whatever its case")
    parser.add_argument("--new", action="store_true", help="make the room")
    parser.add_argument(
        "--recording",
        type=RecordingPolicy,
        choices=list(RecordingPolicy),
        metavar="|".join(RecordingPolicy),
        help="off: no recorder may come; ask: those who agree are recorded; automatic: the server records every call",
    )
    parser.add_argument(
        "--retention-days", type=_days, metavar=f"N|{KEEP_FOR_EVER}", help="delete the server's recordings after this"
    )
    parser.add_argument(
        "--server",
        default=f"http://127.0.0.1:{DEFAULT_PORT}",
        metavar="URL",
        help="of the server, or any invite link of it (default: %(default)s)",
    )
    parser.add_argument("--owner", metavar="TOKEN", help="the owner's token (default: $RACCALL_OWNER, or from --data)")
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="data folder (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Prints the room as it is afterwards, with a fresh invite link. Raises RaccallError."""
    with _Api(options.server, _owner_token(options)) as api:
        room = api.call("POST", "rooms", {"name": options.name}) if options.new else _find(api, options.name)
        changes: dict[str, object] = {}
        if options.recording is not None:
            changes["recording"] = options.recording
        if options.retention_days is not None:
            changes["retention_days"] = None if options.retention_days == KEEP_FOR_EVER else options.retention_days
        if changes:
            room = api.call("PATCH", f"rooms/{quote(room['room_id'])}", changes)
        room["invite"] = api.call("POST", "invites", {"room_id": room["room_id"]})["link"]
    print(json.dumps(room) if options.json else _as_text(room))
    return 0


def _days(text: str) -> int | str:
    return KEEP_FOR_EVER if text == KEEP_FOR_EVER else int(text)


def _owner_token(options: argparse.Namespace) -> str:
    token: str | None = options.owner or os.environ.get("RACCALL_OWNER")
    if token is not None:
        return token
    if not (options.data / "secret").is_file():
        raise InputError(
            "owner_missing", "Only the owner may do this: give --owner TOKEN, as `raccall serve` prints it."
        )
    return Tokens(DataFolder(options.data).secret()).owner


def _find(api: "_Api", name: str) -> dict[str, Any]:
    rooms: list[dict[str, Any]] = api.call("GET", "rooms")
    for room in rooms:
        if room["name"].casefold() == name.casefold():
            return room
    known = ", ".join(room["name"] for room in rooms)
    raise InputError("room_unknown", f"There is no room named {name}; there are: {known}. --new makes one.")


class _Api:
    """The server's HTTP side. `server`: a URL, or an invite link with the fingerprint of its certificate."""

    def __init__(self, server: str, owner: str) -> None:
        link = parse_link(server if "/join/" in server else _with_path(server))
        self._authority, self._url = link.authority, link.api_url
        tls = client_context(link.fingerprint) if link.secure else False
        headers = {"authorization": f"Bearer {owner}"}
        self._http = httpx.Client(verify=tls, trust_env=False, timeout=TIMEOUT_S, headers=headers)

    def __enter__(self) -> "_Api":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        """The answer's JSON. Raises RefusedError or ConnectionFailed."""
        try:
            answer = self._http.request(method, f"{self._url}/{path}", json=body)
            fields = answer.json()
            if answer.is_success:
                return fields
            refused = RefusedError(fields["code"], fields["sentence"])
        except httpx.TransportError as error:
            raise as_connection_failed(error, self._authority) from error
        except (ValueError, KeyError, TypeError):
            sentence = f"What answers at {self._authority} is not a Raccall server."
            raise ConnectionFailed("server_unsuitable", sentence) from None
        raise refused


def _with_path(server: str) -> str:
    """A server's URL in the form of an invite link, whose token nobody looks at."""
    url, mark, fingerprint = server.partition("#")
    return f"{url.rstrip('/')}/join/x{mark}{fingerprint}"


def _as_text(room: dict[str, Any]) -> str:
    days = room["retention_days"]
    lasts = "for ever" if days is None else f"{days} days"
    return (
        f"{room['name']}: recording {room['recording']}, the server's recordings are kept {lasts}\n"
        f"Invite: {room['invite']}"
    )
