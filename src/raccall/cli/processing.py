"""What a command does to the microphone's sound: `--music`, `--noise`, `--mic-gain`, what to leave out."""

import argparse
from dataclasses import replace

from raccall.errors import InputError
from raccall.voice.engine import Sound
from raccall.voice.processing import MICROPHONE_GAIN_RANGE_DB, NoiseSuppression, Processing, suited_to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--music",
        action="store_true",
        help="send whatever sounds as it is: nothing is taken for noise or echo; a file with two channels in stereo",
    )
    parser.add_argument(
        "--no-echo-cancel", action="store_true", help="let the others hear what your loudspeaker plays (headphones)"
    )
    parser.add_argument(
        "--noise",
        choices=[noise.value for noise in NoiseSuppression],
        help="suppress noise: light (default with a microphone), neural (keyboards and dishes, too), off",
    )
    parser.add_argument("--no-auto-gain", action="store_true", help="leave your voice as loud as it is")
    parser.add_argument(
        "--mic-gain", type=float, metavar="DB", help="make the microphone louder or quieter, -20 to 30 dB, default 0"
    )
    parser.add_argument("--no-high-pass", action="store_true", help="keep what lies below 100 Hz")


def check(options: argparse.Namespace) -> None:
    """Raises InputError."""
    least, most = MICROPHONE_GAIN_RANGE_DB
    if options.mic_gain is not None and not least <= options.mic_gain <= most:
        raise InputError("mic_gain_out_of_range", f"--mic-gain must be from {least:.0f} to {most:.0f}.")


def keeps_stereo(options: argparse.Namespace) -> bool:
    """Whether a file's two channels may be sent as they are: as music, to which nothing is done."""
    return bool(options.music) and options.noise is None and options.mic_gain is None


def chosen(options: argparse.Namespace, sound: Sound) -> Processing:
    """What suits the Sound, but for what was asked for: a file, or music, is processed only as far as that."""
    processing = suited_to(sound, music=options.music)
    if options.noise is not None:
        processing = replace(processing, noise=NoiseSuppression(options.noise))
    if options.mic_gain is not None:
        processing = replace(processing, gain_db=options.mic_gain)
    return replace(
        processing,
        echo=processing.echo and not options.no_echo_cancel,
        gain_control=processing.gain_control and not options.no_auto_gain,
        high_pass=processing.high_pass and not options.no_high_pass,
    )
