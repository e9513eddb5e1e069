"""The systemd unit: systemd itself accepts it and calls it well protected; its command is one that `raccall` knows."""

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from raccall.cli import serve

UNIT = Path(__file__).parents[2] / "packaging" / "raccall.service"
MOST_EXPOSED = 2.0
"""Of 10, by `systemd-analyze security`: a service that only talks to the network can get so far."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """With a program that exists."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/raccall/bin/raccall", "/bin/true"), encoding="utf-8")
    return path


@needs_systemd
def test_systemd_accepts_it(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


@needs_systemd
def test_it_is_well_protected(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip("this systemd cannot judge a file")
    assert float(found[1]) <= MOST_EXPOSED


def test_its_options_exist() -> None:
    text = UNIT.read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    (options,) = re.findall(r'^Environment="RACCALL_OPTIONS=(.*)"$', text, re.MULTILINE)
    words = shlex.split(command.replace("${STATE_DIRECTORY}", "/var/lib/raccall").replace("$RACCALL_OPTIONS", options))
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    chosen = parser.parse_args(words[2:])
    assert (words[1], chosen.tls, chosen.log, chosen.host) == ("serve", True, "json", ["0.0.0.0", "::"])
