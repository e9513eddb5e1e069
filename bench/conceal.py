"""What is heard of speech on lossy links: our jitter buffer and decoder beside libopus's other ways to conceal.

A fixed list of clips, mono, 32 kb/s, through SendChain; of its packets 6.5, 10 and 21 % are lost, in bursts of 1.9 on
average with a long tail (libopus's own model of losses), and the encoder is told so. Three listeners get the rest:

- classic PLC: whatever is lost is made up by repetition;
- LBRR + classic: the last of each burst from its copy in the packet after it, the others by repetition;
- ours: ReceiveChain as a client has it, with a constant delay, for PESQ takes stretched time for damage.

PESQ (wide band, ITU-T P.862.2) against the clip before the encoder, the mean of all clips and seeds. PLCMOS v2, which
needs no original, stands beside it, also of ReceiveChain with a delay that follows the network, as it does in a call.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.client import OWN_SPEECH, SHARED_SPEECH, level
from bench.plots import axes_of, save
from bench.report import Report, Row, note
from raccall.audio.files import Samples, read_samples
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, SAMPLE_RATE_HZ, Nanos
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.codec import Decoder, payload_has_lbrr
from raccall.wire.packet import Packet

CLAIM = (
    "Speech that lost 6.5, 10 and 21 % of its packets has a PESQ 0.5, 0.5 and 0.9 above classic PLC, "
    "and at least that of LBRR + classic"
)
GAINS = {6.5: 0.5, 10.0: 0.5, 21.0: 0.9}
"""PESQ above classic PLC, by the packets lost in %."""
LOSS_MODEL = {6.5: 5, 10.0: 10, 21.0: 20}
"""Which file of bench/losses a loss is taken from. Each holds 30 000 packets as bits, 1 is lost, drawn once with the
generator that libopus 1.6.1 comes with (BSD-3-Clause), which was trained on losses of real calls."""
LOSSES = Path(__file__).parent / "losses"
SEEDS = (1, 2, 3, 4, 5)
CLIPS = (
    "arctic_aew_a0001",
    "arctic_aew_a0002",
    "arctic_aew_a0003",
    "arctic_axb_a0004",
    "arctic_axb_a0006",
    "libri_198-209-0000",
    "libri_3436-172162-0000",
    "lj_0001",
    "lj_0003",
)
QUICK_CLIPS, QUICK_SEEDS = ("arctic_aew_a0001", "lj_0001", "libri_198-209-0000"), (1, 2)
BITRATE_BPS = 32_000
DELAY_MS = 40
"""Of ReceiveChain: a packet and its successor, which may repair it, are there."""
LEAD_S, TAIL_S = 0.5, 0.3
"""Silence around a clip, where nothing is lost: jitter buffers and PESQ find their place."""
PESQ_HZ = 16_000
PROCESSES = 2

MODE, KEY = "aead_aes256_gcm_rtpsize", bytes(32)
START = 1_000_000 * NANOS_PER_MS
OURS, OURS_FOLLOWING, CLASSIC, LBRR = "ours", "ours, delay follows", "classic PLC", "LBRR + classic"

Lost = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Call:
    """A clip, and what the network leaves of it."""

    clip: Samples
    loss_pct: float
    lost: Lost
    """Of each packet."""
    datagrams: list[bytes]


@dataclass(frozen=True, slots=True)
class Score:
    pesq: float
    plcmos: float


def measure(quick: bool) -> Report:
    if problem := missing_judges():
        row = Row.unmeasured(OURS, "peer", problem)
        return Report(claim=CLAIM, unit="PESQ", rows=[row])
    clips = [level(samples) for samples in clips_of(QUICK_CLIPS if quick else CLIPS)]
    seeds = QUICK_SEEDS if quick else SEEDS
    work = [(clip, loss_pct, seed) for loss_pct in GAINS for clip in clips for seed in seeds]
    note(f"{len(work)} calls, each heard in four ways")
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        scores = list(pool.map(scores_of, *zip(*work, strict=True), chunksize=4))
    by_loss = {
        loss_pct: [found for (_, loss, _), found in zip(work, scores, strict=True) if loss == loss_pct]
        for loss_pct in GAINS
    }
    plot(by_loss)
    return Report(claim=CLAIM, unit="PESQ", rows=[row for loss, found in by_loss.items() for row in rows(loss, found)])


def missing_judges() -> str:
    """What to do to have PESQ and PLCMOS, if they are not here."""
    found = all(find_spec(name) for name in ("pesq", "speechmos", "onnxruntime"))
    return "" if found else "PESQ and PLCMOS are not installed: pip install 'raccall[bench]'"


def clips_of(names: tuple[str, ...]) -> list[Samples]:
    """48 kHz mono."""
    paths = [SHARED_SPEECH / f"{name}.flac" for name in names]
    if not all(path.exists() for path in paths):
        paths = sorted(OWN_SPEECH.glob("*.flac"))
    return [read_samples(path) for path in paths]


def rows(loss_pct: float, scores: list[dict[str, Score]]) -> list[Row]:
    pesq = {name: fmean(score[name].pesq for score in scores) for name in scores[0]}
    plcmos = {name: fmean(score[name].plcmos for score in scores) for name in scores[0]}
    aim = pesq[CLASSIC] + GAINS[loss_pct]
    against = {f"{CLASSIC} + {GAINS[loss_pct]}": (CLASSIC, aim), LBRR: (LBRR, pesq[LBRR])}
    return [
        Row(
            name=f"{loss_pct} % lost, beside {what}",
            value=pesq[OURS],
            against=theirs,
            kind="peer",
            limit=1.0,
            better="higher",
            beside={
                "its PESQ": pesq[name],
                "PLCMOS ours": plcmos[OURS],
                "theirs": plcmos[name],
                "with a delay that follows": plcmos[OURS_FOLLOWING],
            },
        )
        for what, (name, theirs) in against.items()
    ]


def scores_of(clip: Samples, loss_pct: float, seed: int) -> dict[str, Score]:
    call = make_call(clip, loss_pct, seed)
    return {name: score(call.clip, listen(call)) for name, listen in LISTENERS.items()}


def usual_sender(expected_loss_pct: int) -> SendChain:
    return SendChain(1, MODE, KEY, bitrate_bps=BITRATE_BPS, expected_loss_pct=expected_loss_pct)


def make_call(clip: Samples, loss_pct: float, seed: int, sender: Callable[[int], SendChain] = usual_sender) -> Call:
    """`sender` gets the loss in % that it is to expect."""
    lead, tail = (np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32) for seconds in (LEAD_S, TAIL_S))
    spoken = np.concatenate([lead, clip, tail])
    spoken = np.pad(spoken, (0, -len(spoken) % FRAME_SAMPLES))
    send = sender(round(loss_pct))
    frames = spoken.reshape(-1, FRAME_SAMPLES)
    datagrams = [send.push(frame, arrival(number)) or b"" for number, frame in enumerate(frames)]
    first, last = (round(seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES) for seconds in (LEAD_S, TAIL_S))
    lost = np.zeros(len(frames), np.bool_)
    lost[first:-last] = bursts(loss_pct, len(frames) - first - last, seed)
    return Call(spoken, loss_pct, lost, datagrams)


def bursts(loss_pct: float, packets: int, seed: int) -> Lost:
    """Of the model's losses the piece that loses most nearly `loss_pct`, of 50 drawn: short ones vary by chance."""
    bits = np.frombuffer(bytes.fromhex((LOSSES / f"{LOSS_MODEL[loss_pct]}.hex").read_text()), np.uint8)
    lost = np.unpackbits(bits).astype(np.bool_)
    begins = np.random.default_rng((seed, packets)).integers(0, len(lost) - packets, 50)
    return min(
        (lost[begin : begin + packets] for begin in begins), key=lambda piece: abs(piece.mean() - loss_pct / 100)
    )


def arrival(number: int) -> Nanos:
    return Nanos(START + number * 20 * NANOS_PER_MS)


def listen(call: Call, least_ms: int, most_ms: int) -> tuple[ReceiveChain, Samples]:
    """A call through a ReceiveChain whose delay stays within these; and what it played."""
    receive = ReceiveChain(MODE, KEY, min_target_ms=least_ms, max_target_ms=most_ms)
    heard = []
    for number, (datagram, lost) in enumerate(zip(call.datagrams, call.lost, strict=True)):
        now = arrival(number)
        if not lost:
            receive.push(datagram, now)
        heard += [receive.pull(Nanos(now + half * 10 * NANOS_PER_MS)) for half in range(2)]
    return receive, np.concatenate(heard)[:, 0]


def ours(call: Call) -> Samples:
    return listen(call, DELAY_MS, DELAY_MS)[1]


def ours_following(call: Call) -> Samples:
    return listen(call, 0, 500)[1]


def classic(call: Call) -> Samples:
    decoder = Decoder(deep_plc=False)
    played = [
        decoder.conceal(FRAME_SAMPLES) if lost else decoder.decode(payload)
        for payload, lost in zip(payloads(call), call.lost, strict=True)
    ]
    return np.concatenate(played)[:, 0]


def lbrr_and_classic(call: Call) -> Samples:
    decoder, found = Decoder(deep_plc=False), payloads(call)
    played = []
    for number, lost in enumerate(call.lost):
        if not lost:
            played.append(decoder.decode(found[number]))
        elif not call.lost[number + 1] and payload_has_lbrr(found[number + 1]):
            played.append(decoder.decode_lbrr(found[number + 1], FRAME_SAMPLES))
        else:
            played.append(decoder.conceal(FRAME_SAMPLES))
    return np.concatenate(played)[:, 0]


def payloads(call: Call) -> list[bytes]:
    receive = ReceiveChain(MODE, KEY)
    receive.set_decoding(False)
    packets = [receive.push(datagram, arrival(number)) for number, datagram in enumerate(call.datagrams)]
    return [Packet.parse(packet.rtp).payload for packet in packets if packet is not None]


LISTENERS: dict[str, Callable[[Call], Samples]] = {
    OURS: ours,
    OURS_FOLLOWING: ours_following,
    CLASSIC: classic,
    LBRR: lbrr_and_classic,
}


def score(said: Samples, heard: Samples) -> Score:
    from pesq import pesq
    from speechmos import plcmos

    length = min(len(said), len(heard))
    said_16k, heard_16k = (
        np.clip(soxr.resample(sound[:length], SAMPLE_RATE_HZ, PESQ_HZ), -1, 1) for sound in (said, heard)
    )
    return Score(float(pesq(PESQ_HZ, said_16k, heard_16k, "wb")), float(plcmos.run(heard_16k, PESQ_HZ)["plcmos"]))


def plot(by_loss: dict[float, list[dict[str, Score]]]) -> None:
    """bench/results/conceal.png."""
    if (axes := axes_of(1, 2)) is None:
        return
    for axis, name in zip(axes.flat, ("pesq", "plcmos"), strict=True):
        for listener in LISTENERS:
            means = [fmean(getattr(score[listener], name) for score in scores) for scores in by_loss.values()]
            axis.plot(list(by_loss), means, "o-", label=listener)
        axis.set(xlabel="packets lost, %", ylabel=name.upper())
        axis.legend()
    save(axes, "conceal")
