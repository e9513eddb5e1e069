"""The `raccall` command: finds the subcommand, runs it, turns a person's mistake into one sentence and exit code 2."""

import argparse
import importlib
import sys

from raccall import __version__
from raccall.errors import RaccallError

# One module each, with `add_arguments(parser)` and `run(options) -> int`. Imported only when chosen, so that
# `raccall --help` starts at once. The demo and the echo live with the emulator they stage.
COMMANDS = {
    "serve": ("raccall.cli.serve", "start a server"),
    "join": ("raccall.cli.join", "join a call by its invite link"),
    "record": ("raccall.cli.record", "record a call as a visible member"),
    "discord": ("raccall.cli.discord", "run a Discord bot that records voice channels"),
    "prune": ("raccall.cli.prune", "delete old recordings"),
    "top": ("raccall.cli.top", "show how a server does, for who runs it"),
    "doctor": ("raccall.cli.doctor", "look for what does not work, and say what to do"),
    "devices": ("raccall.cli.devices", "list microphones and speakers"),
    "echo": ("raccall.testing.echo", "hear yourself as others would"),
    "room": ("raccall.cli.room", "show or change a room: who may be heard, whether it is recorded, encrypted"),
    "recover": ("raccall.cli.recover", "say what is left of a recording, and make its tracks"),
    "render": ("raccall.cli.render", "make a recording's tracks and mix again"),
    "report": ("raccall.cli.report", "show what a recording holds, and how well it was received"),
    "forget": ("raccall.cli.forget", "remove one speaker from a recording"),
    "export": ("raccall.cli.export", "make files of a recording for other programs"),
    "import": ("raccall.cli.import_capture", "make a recording of captured packets, such as those of an old bot"),
    "decrypt": ("raccall.cli.decrypt", "make an ordinary recording of an encrypted one"),
    "keygen": ("raccall.cli.keygen", "make a key for encrypted recordings"),
    "demo": ("raccall.testing.demo", "a recorded call over a bad network, on this machine"),
}

EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand. Returns the process's exit code: 0 done, 2 a person's mistake, 130 interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="raccall", description="Self-hosted voice chat that records.")
    parser.add_argument("--version", action="version", version=f"raccall {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if words[:1] == [name]:
            importlib.import_module(module).add_arguments(subparser)
    options = parser.parse_args(words)
    command = importlib.import_module(COMMANDS[options.command][0])
    try:
        return int(command.run(options))
    except RaccallError as error:
        print(f"raccall: {error} [{error.code}]", file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
