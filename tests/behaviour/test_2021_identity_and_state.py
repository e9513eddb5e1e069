"""Whose voice it is, and what is kept between packets: where the recorders of 2021 mixed people up.

Their map from SSRC to user was never cleared and gave None for who was not in it yet; one decoder served all; the key
that was read at the start was used for ever.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import Sender, Sound, encode, over_network, speech
from captures import imported, seal, sealed, track
from folders import at, people, write_recording

from raccall.recorder import Recording, Source, render
from raccall.recorder.importing import Owner
from raccall.units import Ssrc
from raccall.voice.chains import ReceiveChain
from raccall.voice.codec import Encoder

ANNA, BEN = 0xA, 0xB
MODES = ["xsalsa20_poly1305_lite", "aead_xchacha20_poly1305_rtpsize"]
"""One of each layout and cipher."""
OWNERS = {ANNA: Owner("1", "anna"), BEN: Owner("2", "ben")}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[bytes]]:
    """Two voices of two seconds."""
    folder = tmp_path_factory.mktemp("speech")
    return encode(speech(2.0, seed=8), folder), encode(speech(2.0, seed=9), folder)


def test_an_ssrc_that_gets_a_new_owner_is_the_new_owners(said: tuple[list[bytes], list[bytes]], tmp_path: Path) -> None:
    """Numbers are given anew to who comes next: the map still had the one who left."""
    first, second = (payloads[:50] for payloads in said)
    packets = over_network([Sender(ANNA, first)], seed=1)
    packets += over_network([Sender(ANNA, second, begins_ms=3000, sequence=9, timestamp=77)], seed=1)
    events = people(Source(now=at(0), ssrc=ANNA, user_id="1"), Source(now=at(2500), ssrc=ANNA, user_id="2"))
    folder = write_recording(tmp_path / "call", packets, events)
    render(folder)
    assert (track(folder, "anna"), track(folder, "ben")) == (first, second)


@pytest.mark.parametrize("mode", MODES)
def test_who_is_not_known_yet_is_somebody_already(
    mode: str, said: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    """All of them were the user None, in one file."""
    senders = [Sender(ssrc, said[ssrc % 2], begins_ms=ssrc * 10) for ssrc in (ANNA, BEN, 0xC)]
    folder = imported(tmp_path, sealed(over_network(senders, seed=1), mode), owners={BEN: OWNERS[BEN]})
    summary = render(folder)
    assert sorted(person.name for person in summary.people) == ["ben", "unknown-0000000a", "unknown-0000000c"]
    assert track(folder, "unknown-0000000a") == said[0] == track(folder, "unknown-0000000c")
    assert track(folder, "ben") == said[1]


def test_an_owner_told_after_the_first_packets_owns_those_too(
    said: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    packets = over_network([Sender(ANNA, said[0])], seed=1)
    folder = write_recording(tmp_path / "call", packets, people(Source(now=at(1500), ssrc=ANNA, user_id="1")))
    render(folder)
    assert track(folder, "anna") == said[0]


def test_two_sessions_of_one_user_are_one_track(said: tuple[list[bytes], list[bytes]], tmp_path: Path) -> None:
    """Files were named by user id: the second session overwrote the first, or was dropped."""
    senders = [Sender(ANNA, said[0]), Sender(0xC, said[1], begins_ms=2500, sequence=1, timestamp=1)]
    owners = {ANNA: OWNERS[ANNA], 0xC: OWNERS[ANNA]}
    folder = imported(tmp_path, sealed(over_network(senders, seed=1), MODES[0]), owners=owners)
    (person,) = render(folder).people
    assert (person.name, person.sources) == ("anna", 2)
    assert track(folder, "anna") == said[0] + said[1]


@pytest.mark.parametrize("mode", MODES)
def test_each_voice_has_a_decoder_of_its_own(mode: str, said: tuple[list[bytes], list[bytes]], tmp_path: Path) -> None:
    """Opus goes on from the packet before: one decoder for two people garbles both."""
    both = over_network([Sender(ANNA, said[0]), Sender(BEN, said[1], begins_ms=7)], seed=1)
    heard: dict[str, Sound] = {}
    for name, packets in {
        "both": both,
        "anna": [packet for packet in both if packet.ssrc == ANNA],
        "ben": [packet for packet in both if packet.ssrc == BEN],
    }.items():
        recording = Recording.open(imported(tmp_path / name, sealed(packets, mode), owners=OWNERS))
        for one in ("anna", "ben") if name == "both" else (name,):
            heard[f"{name}: {one}"] = recording.frames(one)[:, 0]
    for name in ("anna", "ben"):
        together, alone = heard[f"both: {name}"], heard[f"{name}: {name}"]
        sound = np.flatnonzero(alone)
        found = np.flatnonzero(together)
        length = min(len(sound), len(found)) - 960
        assert length > 80_000
        np.testing.assert_array_equal(
            together[found[0] : found[0] + length], alone[sound[0] : sound[0] + length], err_msg=name
        )


def test_a_new_ssrc_does_not_go_on_with_the_old_decoder(anna: Sound) -> None:
    """Live: what a decoder still knew of the session before was heard as a crackle in the next."""
    encoder = Encoder()
    payloads = [encoder.encode(anna[n * 960 : (n + 1) * 960]) for n in range(60)]

    def heard(chain: ReceiveChain, ssrc: int, start_ms: int) -> Sound:
        sound = []
        for number, payload in enumerate(payloads):
            header = bytes([0x80, 120]) + number.to_bytes(2, "big") + (number * 960).to_bytes(4, "big")
            now = (start_ms + number * 20) * 1_000_000
            chain.push(seal(MODES[0], header + ssrc.to_bytes(4, "big") + payload, number), now)  # type: ignore[arg-type]
            for half in (0, 10_000_000):
                sound.append(chain.pull_each(now + half).get(Ssrc(ssrc), np.zeros((480, 1), np.float32))[:, 0])  # type: ignore[arg-type]
        return np.concatenate(sound)

    from captures import KEY

    fresh = heard(ReceiveChain(MODES[0], KEY), 2, 0)
    used = ReceiveChain(MODES[0], KEY)
    heard(used, 1, 0)
    np.testing.assert_array_equal(heard(used, 2, 1200), fresh)
    assert np.abs(fresh).max() > 0.05


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_changed_in_a_reconnection_opens_what_follows(
    mode: str, said: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    """The key was read once: after a reconnection every packet failed, and the recording was silent from there on."""
    first, second = bytes(range(50, 82)), bytes(range(60, 92))
    before = over_network([Sender(ANNA, said[0])], seed=1)
    after = over_network([Sender(0xC, said[1], begins_ms=2500, sequence=7, timestamp=1)], seed=1)
    datagrams = sealed(before, mode, first) + sealed(after, mode, second)
    folder = imported(tmp_path, datagrams, first, second, owners={ANNA: OWNERS[ANNA], 0xC: OWNERS[ANNA]})
    (person,) = render(folder).people
    assert (person.packets, person.lost, person.sources) == (200, 0, 2)
    assert track(folder, "anna") == said[0] + said[1]
