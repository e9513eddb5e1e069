"""Speech for what judges speech."""

import pytest

from bench.client import OWN_SPEECH
from raccall.audio.files import Samples, read_samples


@pytest.fixture(scope="session")
def speech() -> Samples:
    """A few seconds that the package carries."""
    return read_samples(OWN_SPEECH / "anna_1.flac")
