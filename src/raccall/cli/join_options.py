"""What `raccall join` can be told: its options, and what can be wrong with them without asking the server."""

import argparse
from pathlib import Path

from raccall.audio.choice import SoundChoice
from raccall.cli import processing
from raccall.cli.consent import CHOICES
from raccall.client import parse_link
from raccall.errors import InputError
from raccall.voice.engine import GateMode

SPEECH_BPS, DRED_BPS, MUSIC_BPS, STEREO_BPS = 32_000, 64_000, 96_000, 128_000
LEAST_DRED_BPS = 48_000
"""Below it no room is left beside speech, and nothing is told (crates/media/src/send.rs)."""
MOST_DRED_MS = 1040


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("link", nargs="?", help="invite link, as `raccall serve` prints it")
    parser.add_argument("--name", help="how the others see you (needed to join)")
    parser.add_argument("--mic", metavar="FILE|NAME", help="speak a file (WAV, FLAC, Opus), or use this microphone")
    parser.add_argument("--speaker", metavar="FILE|NAME", help="write what is heard (.wav, .flac, .opus), or play here")
    parser.add_argument("--muted", action="store_true", help="begin with the microphone off")
    parser.add_argument(
        "--consent", choices=CHOICES, default="ask", help="may you be recorded? (default: ask when a recorder comes)"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="leave after this long")
    parser.add_argument("--until-end", action="store_true", help="leave when the --mic file has been sent")
    parser.add_argument(
        "--bitrate",
        type=int,
        metavar="BPS",
        help="6000 to 128000, default 32000, with --dred 64000, --music 96000, in stereo 128000",
    )
    parser.add_argument(
        "--dred",
        type=int,
        metavar="MS",
        default=0,
        help="how far back each packet tells of what you said, up to 1040: for networks that lose several at a time",
    )
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in GateMode],
        help="send the microphone always, while you speak, or while you want to (ptt: Enter switches); default open",
    )
    parser.add_argument(
        "--hotkey",
        metavar="KEY",
        help="be heard while you hold this key in whatever window, such as f8 or ctrl+space; means --mode ptt",
    )
    parser.add_argument(
        "--dtx",
        action=argparse.BooleanOptionalAction,
        help="send next to nothing while you are silent (default: with a microphone, not with a file)",
    )
    processing.add_arguments(parser)
    parser.add_argument(
        "--sounds",
        metavar="FOLDER",
        type=Path,
        help="sounds that /play knows by name (default: sounds, in your folder)",
    )
    parser.add_argument("--no-monitor", action="store_true", help="do not hear yourself what you /play")
    parser.add_argument(
        "--flight-recorder", metavar="FILE", type=Path, help="write the last minute's counters, a JSON object per line"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="a line for each happening, no screen (as without a terminal)",
    )
    parser.add_argument("--list-devices", action="store_true", help="the same as `raccall devices`")
    parser.add_argument("--json", action="store_true", help="one JSON object per line; the last one is `ended`")


def check(options: argparse.Namespace) -> None:
    """Raises InputError."""
    if options.link is None:
        raise InputError("link_missing", "Which call? Give the invite link that `raccall serve` printed.")
    parse_link(options.link)
    if not options.name:
        raise InputError("name_missing", "Who are you? Give --name.")
    if options.seconds is not None and not options.seconds > 0:
        raise InputError("seconds_out_of_range", "--seconds must be more than 0.")
    if options.bitrate is not None and not 6000 <= options.bitrate <= 128_000:
        raise InputError("bitrate_out_of_range", "--bitrate must be from 6000 to 128000.")
    if not 0 <= options.dred <= MOST_DRED_MS:
        raise InputError("dred_out_of_range", f"--dred must be from 0 to {MOST_DRED_MS}.")
    if options.dred and options.music:
        raise InputError("dred_with_music", "--dred is for speech: it cannot be used with --music.")
    if options.dred and options.bitrate is not None and options.bitrate < LEAST_DRED_BPS:
        raise InputError(
            "bitrate_too_low_for_dred", f"--dred needs a --bitrate of at least {LEAST_DRED_BPS}: speech takes the rest."
        )
    if options.dtx and options.music:
        raise InputError("dtx_with_music", "--dtx is for speech: with --music all that sounds is sent.")
    processing.check(options)


def bitrate_bps(options: argparse.Namespace, choice: SoundChoice) -> int:
    """Of the own voice: what was asked for, or what suits the sound."""
    if options.bitrate is not None:
        return int(options.bitrate)
    if choice.is_stereo:
        return STEREO_BPS
    if options.music:
        return MUSIC_BPS
    return DRED_BPS if options.dred else SPEECH_BPS
