"""Show or change a room of a running server: is it recorded, encrypted, how long is what kept, who is silenced.

By the API (`cli.api`), with the owner's token.
"""

import argparse
import json
from typing import Any
from urllib.parse import quote

from raccall.cli.api import HERE, Api, add_data, token_of
from raccall.errors import InputError
from raccall.wire.control import EncryptionPolicy, RecordingPolicy

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
        "--encryption",
        type=EncryptionPolicy,
        choices=list(EncryptionPolicy),
        metavar="|".join(EncryptionPolicy),
        help="end to end; required: clients that cannot are not let in; preferred: unless such a client is there; off",
    )
    parser.add_argument(
        "--retention-days", type=_days, metavar=f"N|{KEEP_FOR_EVER}", help="delete the server's recordings after this"
    )
    parser.add_argument("--mute", metavar="PERSON", help="let nobody hear who is in the call by this name")
    parser.add_argument("--unmute", metavar="PERSON", help="let them be heard again")
    parser.add_argument(
        "--server",
        default=HERE,
        metavar="URL",
        help="of the server, or any invite link of it (default: %(default)s)",
    )
    parser.add_argument("--owner", metavar="TOKEN", help="the owner's token (default: $RACCALL_OWNER, or from --data)")
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Prints the room as it is afterwards, with a fresh invite link. Raises RaccallError."""
    missing = "Only the owner may do this: give --owner TOKEN, as `raccall serve` prints it."
    owner = token_of(options.owner, "RACCALL_OWNER", options.data, lambda tokens: tokens.owner, missing)
    with Api(options.server, owner) as api:
        room = api.call("POST", "rooms", {"name": options.name}) if options.new else _find(api, options.name)
        changes: dict[str, object] = {}
        if options.recording is not None:
            changes["recording"] = options.recording
        if options.encryption is not None:
            changes["encryption"] = options.encryption
        if options.retention_days is not None:
            changes["retention_days"] = None if options.retention_days == KEEP_FOR_EVER else options.retention_days
        if changes:
            room = api.call("PATCH", f"rooms/{quote(room['room_id'])}", changes)
        for person, silenced in ((options.mute, True), (options.unmute, False)):
            if person is not None:
                _silence(api, room, person, silenced)
        room["people"] = api.call("GET", f"rooms/{quote(room['room_id'])}/members")
        room["invite"] = api.call("POST", "invites", {"room_id": room["room_id"]})["link"]
    print(json.dumps(room) if options.json else _as_text(room))
    return 0


def _days(text: str) -> int | str:
    return KEEP_FOR_EVER if text == KEEP_FOR_EVER else int(text)


def _find(api: Api, name: str) -> dict[str, Any]:
    rooms: list[dict[str, Any]] = api.call("GET", "rooms")
    for room in rooms:
        if room["name"].casefold() == name.casefold():
            return room
    known = ", ".join(room["name"] for room in rooms)
    raise InputError("room_unknown", f"There is no room named {name}; there are: {known}. --new makes one.")


def _silence(api: Api, room: dict[str, Any], person: str, silenced: bool) -> None:
    path = f"rooms/{quote(room['room_id'])}/members"
    people: list[dict[str, Any]] = api.call("GET", path)
    for known in people:
        if known["name"].casefold() == person.casefold():
            api.call("PATCH", f"{path}/{known['user_id']}", {"silenced": silenced})
            return
    there = ", ".join(known["name"] for known in people) or "nobody"
    raise InputError("member_unknown", f"Nobody named {person} is in the call of {room['name']}; there: {there}.")


def _as_text(room: dict[str, Any]) -> str:
    days = room["retention_days"]
    lasts = "for ever" if days is None else f"{days} days"
    people = [_person(known) for known in room["people"]]
    return "\n".join(
        [
            f"{room['name']}: recording {room['recording']}, the server's recordings are kept {lasts}; "
            f"encryption {room['encryption']}",
            f"Invite: {room['invite']}",
            *([f"In the call: {', '.join(people)}"] if people else []),
        ]
    )


def _person(known: dict[str, Any]) -> str:
    notes = [note for note in ("recorder", "bot", "muted", "deafened", "silenced") if known[note]]
    return f"{known['name']} ({', '.join(notes)})" if notes else str(known["name"])
