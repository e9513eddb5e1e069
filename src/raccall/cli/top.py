"""Show how a server does, renewed every two seconds: rooms, members, loss by hop, bitrates, drops.

Needs the operator's token (or the owner's), as `raccall serve --json` prints it; where the server's data folder can be
read it is found there.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from raccall.cli.amounts import clock
from raccall.cli.api import HERE, Api, add_data, token_of
from raccall.cli.table import Column, cut, table
from raccall.server.metrics import WANTED
from raccall.server.watch import WATCH_EVERY_S

NAME_PLACES = 20
MOST_DROPS = 4
"""Reasons that are named; the largest."""
COLUMNS = (
    Column("room", left=True, width=NAME_PLACES),
    Column("member", left=True, width=NAME_PLACES),
    Column("up", left=False),
    Column("loss"),
    Column("jitter"),
    Column("down"),
    Column("loss"),
    Column("", left=True),
)
_HOME, _REST, _LINE = "\x1b[H", "\x1b[J", "\x1b[K\n"
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

State = dict[str, Any]
"""The answer of `/api/state`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall top`."""
    parser.add_argument(
        "server", nargs="?", default=HERE, metavar="LINK", help="any invite link, or a URL (default: %(default)s)"
    )
    parser.add_argument(
        "--operator", metavar="TOKEN", help="the operator's token (default: $RACCALL_OPERATOR, or from --data)"
    )
    add_data(parser)
    parser.add_argument("--once", action="store_true", help="show it once and end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Until interrupted, or once. Raises RaccallError."""
    missing = "Only who runs the server may see this: give --operator TOKEN, as `raccall serve --json` prints it."
    token = token_of(options.operator, "RACCALL_OPERATOR", options.data, lambda tokens: tokens.operator, missing)
    live = not options.once and not options.json and sys.stdout.isatty()
    with Api(options.server, token) as api:
        state = api.call("GET", "state")  # a mistake is told before the terminal is taken
        try:
            if live:
                sys.stdout.write(_OTHER_SCREEN)
            while True:
                _show(state, options.json, live)
                if options.once:
                    return 0
                time.sleep(WATCH_EVERY_S)
                state = api.call("GET", "state")
        except KeyboardInterrupt:
            return 0
        finally:
            if live:
                sys.stdout.write(_OWN_SCREEN)
                sys.stdout.flush()


def _show(state: State, as_json: bool, live: bool) -> None:
    if as_json:
        print(json.dumps(state), flush=True)
        return
    if not live:
        print("\n".join(paint(state, 10_000, 10_000)), flush=True)
        return
    columns, rows = shutil.get_terminal_size()
    lines = paint(state, columns - 1, rows - 1)  # some terminals wrap when the last column is written to
    sys.stdout.write(_HOME + "".join(line + _LINE for line in lines) + _REST)
    sys.stdout.flush()


def paint(state: State, columns: int, rows: int) -> list[str]:
    """The state as at most `rows` rows of at most `columns` places. Those who lose most come first."""
    members = [(room["name"], member) for room in state["rooms"] for member in room["members"]]
    members.sort(key=lambda entry: -_worst(entry[1]))
    head = list(_head(state))
    room_left = max(rows - len(head) - 2, 0)
    shown = members if len(members) <= room_left else members[: max(room_left - 1, 0)]
    body = list(table(COLUMNS, [_row(*entry) for entry in shown])) if members else ["nobody is in a call"]
    if hidden := len(members) - len(shown):
        body.append(f"... and {hidden} more")
    return [cut(line, columns) for line in [*head, "", *body]][:rows]


def _head(state: State) -> Iterator[str]:
    rooms = len(state["rooms"])
    people = sum(len(room["members"]) for room in state["rooms"])
    yield (
        f"raccall {state['version']}  up {clock(state['uptime_s'])}  {rooms} rooms  {people} members  "
        f"{state['voices']} voices  {state['tunnels']} by WebSocket"
    )
    yield f"in {state['up_kbps']:.0f} kbit/s  out {state['down_kbps']:.0f} kbit/s  lag {state['loop_lag_ms']:.0f} ms"
    drops = {name: count for name, count in state["relay"].items() if name not in WANTED and count}
    named = sorted(drops, key=lambda name: (-drops[name], name))[:MOST_DROPS]
    yield "dropped: " + (", ".join(f"{name} {drops[name]}" for name in named) or "nothing")


def _row(room: str, member: State) -> list[str]:
    up, down = member["up_loss_pct"], member["down_loss_pct"]
    notes = [note for note in ("muted", "deafened", "silenced", "recorder", "bot") if member[note]] + (
        [] if member["connected"] else ["no voice"]
    )
    return [
        room,
        member["name"],
        f"{member['up_kbps']:.0f}k",
        "-" if up is None else f"{up:.1f}%",
        f"{member['jitter_ms']:.0f}ms",
        f"{member['down_kbps']:.0f}k",
        "-" if down is None else f"{down:.1f}%",
        " ".join(notes),
    ]


def _worst(member: State) -> float:
    return max(member["up_loss_pct"] or 0.0, member["down_loss_pct"] or 0.0)
