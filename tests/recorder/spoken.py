"""One recording, rendered: Anna in mono, Ben in stereo, a note and a gap."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from calls import Sender, Sound, encode, over_network, speech
from folders import ANNA, BEN, at, people, write_recording

from raccall.recorder import Gap, Note, Stop, render

NOTE = 'listen <here> & "there"\nit\'s `loud`'


@dataclass(frozen=True)
class Call:
    """Where it lies, and what was said."""

    folder: Path
    said: dict[str, Sound]
    begins_ms: dict[str, float]


def make_call(made_in: Path) -> Call:
    """A new one, in `made_in`/call."""
    ben = speech(4, 2)
    said = {"anna": speech(5, 1), "ben": np.stack([ben, 0.25 * ben], axis=1)}
    begins_ms = {"anna": 150.0, "ben": 1_777.0}
    senders = [
        Sender(ssrc, encode(sound, made_in), begins_ms[name])
        for (name, sound), ssrc in zip(said.items(), (ANNA, BEN), strict=True)
    ]
    events = [
        *people(),
        Note(now=at(2_000), text=NOTE, user_id="1", name="anna"),
        Gap(now=at(3_000), packets=7, where="kernel"),
        Stop(now=at(6_500), reason="test"),
    ]
    packets = over_network(senders, seed=3, loss=0.05, jitter_ms=20)
    folder = write_recording(made_in / "call", packets, events)
    render(folder)
    return Call(folder, said, begins_ms)
