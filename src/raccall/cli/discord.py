"""Run a Discord bot that records voice channels, told what to do by slash commands."""

import argparse
import asyncio
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from raccall.cli.amounts import parse_duration, parse_size
from raccall.cli.interrupts import Interrupts
from raccall.cli.logs import FORMATS, LEVELS, log_to
from raccall.cli.progress import say
from raccall.discord.library import check_library
from raccall.discord.secret import VARIABLE, Scrubbing, Token, read_token
from raccall.recorder.space import MIN_FREE_BYTES, Keep, Limits, check_space, megabytes

if TYPE_CHECKING:
    from raccall.discord.bot import BotSettings
    from raccall.discord.tape import Ended

LIBRARY = "discord"
"""discord.py's logger. Never at its lowest level: there it writes down the tokens of voice sessions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall discord`."""
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help=f"holds the bot's token; without it, {VARIABLE} does"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("recordings"),
        metavar="DIR",
        help="recordings go to DIR/SERVER/CHANNEL/DATE-TIME (default: %(default)s)",
    )
    parser.add_argument(
        "--role", default="", metavar="NAME", help="who has it may record, too; else who may manage the channel"
    )
    ends = parser.add_argument_group("when a recording ends, besides /record stop and Ctrl-C")
    ends.add_argument("--stay", action="store_true", help="not when the last person has left the channel")
    ends.add_argument("--max-time", metavar="TIME", help="after this long: 90, 15m, 1h30m")
    ends.add_argument("--max-size", metavar="SIZE", help="before the folder, tracks included, is larger: 500MB, 2GB")
    ends.add_argument(
        "--min-free",
        metavar="SIZE",
        help=f"before less than this is free on the disk (default: {megabytes(MIN_FREE_BYTES)})",
    )
    parser.add_argument(
        "--keep",
        choices=[str(keep) for keep in (Keep.BOTH, Keep.JOURNAL)],
        default=str(Keep.BOTH),
        help="journal: what was received, nothing made of it (default: %(default)s)",
    )
    parser.add_argument(
        "--silence-alarm",
        metavar="TIME",
        default="5m",
        help="alarm when nobody was heard for so long; 0: never (default: %(default)s)",
    )
    parser.add_argument("--log", choices=FORMATS, default="text", help="what happens, on standard error, one line each")
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="the least that is told (default: info)")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; recordings that go on then are finished."""
    check_library()
    from raccall.discord.bot import BotSettings
    from raccall.discord.tape import Wishes

    token = read_token(options.token_file, os.environ)
    limits = Limits(
        max_bytes=parse_size(options.max_size, "--max-size") if options.max_size else None,
        min_free_bytes=parse_size(options.min_free, "--min-free") if options.min_free else MIN_FREE_BYTES,
        keep=Keep(options.keep),
    )
    wishes = Wishes(
        limits=limits,
        silence_s=0.0 if options.silence_alarm == "0" else parse_duration(options.silence_alarm, "--silence-alarm"),
        max_s=parse_duration(options.max_time, "--max-time") if options.max_time else None,
        until_empty=not options.stay,
    )
    check_space(options.out, limits)
    _log_to(options.log, options.log_level, token)
    with token.hidden():
        ended = asyncio.run(_serve(BotSettings(options.out, options.role, wishes), token))
    _tell(ended, as_json=options.json)
    return 1 if any(recording.failure for recording in ended) else 0


def _log_to(style: str, level: str, token: Token) -> None:
    handler = log_to(style=style, level=level)
    handler.setFormatter(Scrubbing(handler.formatter, token))
    library = logging.getLogger(LIBRARY)
    library.handlers, library.propagate = [handler], False
    library.setLevel(max(logging.INFO, logging.getLevelName(level.upper())))


async def _serve(settings: "BotSettings", token: Token) -> "list[Ended]":
    from raccall.discord.bot import RecordingBot

    interrupts = Interrupts()
    interrupts.catch()
    async with RecordingBot(settings) as bot:
        return await bot.run_until(interrupts.stop, token.reveal())


def _tell(ended: "list[Ended]", *, as_json: bool) -> None:
    if as_json:
        recordings = [
            {"folder": str(one.folder), "failure": one.failure.code if one.failure else None} for one in ended
        ]
        print(json.dumps({"recordings": recordings}))
        return
    for one in ended:
        say(one.text)
