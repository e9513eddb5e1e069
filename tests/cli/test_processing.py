"""What `--noise`, `--mic-gain` and the `--no-...` switches make of a Sound's own wishes."""

import argparse

import pytest

from raccall.cli import processing
from raccall.errors import InputError
from raccall.voice.engine import Sound
from raccall.voice.processing import OFF, NoiseSuppression, Processing

pytestmark = pytest.mark.realtime


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    processing.add_arguments(parser)
    parsed = parser.parse_args(words)
    processing.check(parsed)
    return parsed


def test_a_sound_card_gets_everything_and_a_file_nothing() -> None:
    assert processing.chosen(options(), Sound.device()) == Processing()
    assert processing.chosen(options(), Sound.clocked(None, keep_playback=False)) == OFF


def test_each_stage_can_be_left_out() -> None:
    switches = ("--no-echo-cancel", "--no-auto-gain", "--no-high-pass", "--noise", "off", "--mic-gain", "-6")
    chosen = processing.chosen(options(*switches), Sound.device())
    assert chosen == Processing(
        echo=False, noise=NoiseSuppression.OFF, gain_control=False, gain_db=-6.0, high_pass=False
    )


def test_a_file_is_processed_as_far_as_asked_for() -> None:
    chosen = processing.chosen(
        options("--noise", "neural", "--mic-gain", "10"), Sound.clocked(None, keep_playback=False)
    )
    assert (chosen.noise, chosen.gain_db, chosen.echo, chosen.gain_control) == ("neural", 10, False, False)


@pytest.mark.parametrize("gain", ["-20.1", "31", "nan", "inf"])
def test_a_gain_out_of_range_is_told(gain: str) -> None:
    with pytest.raises(InputError, match="-20 to 30"):
        options("--mic-gain", gain)


def test_two_channels_are_kept_in_music_to_which_nothing_is_done() -> None:
    assert processing.keeps_stereo(options("--music"))
    for words in ([], ["--music", "--mic-gain", "6"], ["--music", "--noise", "light"]):
        assert not processing.keeps_stereo(options(*words))


def test_music_is_left_as_it_is() -> None:
    assert processing.chosen(options("--music"), Sound.device()) == OFF
    assert processing.chosen(options("--music", "--mic-gain", "6"), Sound.device()).gain_db == 6.0
