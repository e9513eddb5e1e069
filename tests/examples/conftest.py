"""Lets the tests of this folder make recordings as tests/recorder does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))
