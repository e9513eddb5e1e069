"""A PulseAudio server of a test's own, with loudspeakers and a microphone that are not there.

What is played into the sink `feed` is what the microphone hears; what a loudspeaker plays can be recorded from its
monitor.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = """
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=speaker rate=48000 channels=1 sink_properties=device.description=Speaker
load-module module-null-sink sink_name=feed rate=48000 channels=1 sink_properties=device.description=Feed
load-module module-null-sink sink_name=far rate=48000 channels=1 sink_properties=device.description=Far
load-module module-remap-source source_name=mic master=feed.monitor source_properties=device.description=Microphone
set-default-sink speaker
set-default-source mic
"""


@pytest.fixture
def pulseaudio(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """The running server, and the environment in which programs find it."""
    if not (shutil.which("pulseaudio") and shutil.which("pactl")):
        assert not os.environ.get("CI"), "CI must have PulseAudio: .ci/run installs it"
        pytest.skip("pulseaudio and pulseaudio-utils are not installed")
    folder = tmp_path / "pulse"
    run, home = folder / "run", folder / "home"
    for place in (folder, run, home):
        place.mkdir(mode=0o700)
    (folder / "server.pa").write_text(SERVER)
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(run), "PULSE_RUNTIME_PATH": str(run / "pulse")}
    environment["PATH"] = "/usr/bin:/bin"
    command = ["pulseaudio", "-n", "-F", str(folder / "server.pa"), "--daemonize=no", "--exit-idle-time=-1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--use-pid-file=no"], env=environment, stderr=log)
    environment["PULSE_SERVER"] = f"unix:{run}/pulse/native"
    try:
        end = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield process, environment
    finally:
        process.kill()
        process.wait()
