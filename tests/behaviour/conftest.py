"""Speech for the promises of the voice path."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.audio.files import read_samples

OWN_SPEECH = Path(str(resources.files("raccall.testing") / "speech"))


@pytest.fixture(scope="session")
def anna() -> NDArray[np.float32]:
    """A few seconds of a woman's voice, 48 kHz mono."""
    return read_samples(OWN_SPEECH / "anna_2.flac")


@pytest.fixture(scope="session")
def ben() -> NDArray[np.float32]:
    """A few seconds of a man's voice, 48 kHz mono."""
    return read_samples(OWN_SPEECH / "ben_1.flac")
