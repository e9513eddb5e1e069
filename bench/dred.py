"""What deep redundancy (DRED) is worth beside LBRR, and what it costs, at bitrates at which it is sent.

The clips and bursts of loss of `bench conceal`, at 48 and 64 kb/s, once with `dred_ms` and once without; both are heard
by ReceiveChain with the same constant delay, in which five packets fit, and judged by PESQ. Below 48 kb/s SendChain
sends no redundancy: ARCHITECTURE.md tells what it did to speech there.

Beside: kb/s of payloads, the part of the frames that was made up, CPU time of both chains per 20 ms.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import fmean
from time import thread_time_ns

from bench.client import level
from bench.conceal import (
    CLIPS,
    KEY,
    MODE,
    PROCESSES,
    QUICK_CLIPS,
    QUICK_SEEDS,
    Call,
    arrival,
    clips_of,
    listen,
    make_call,
    missing_judges,
    score,
)
from bench.report import Report, Row, note
from raccall.audio.files import Samples
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.wire.packet import Packet

CLAIM = "Where the bitrate has room for it, deep redundancy beside LBRR never costs PESQ, and gains 0.1 at 21 % loss"
BITRATES_BPS = (48_000, 64_000)
GAINS = {6.5: 0.0, 10.0: 0.0, 21.0: 0.1}
"""PESQ above LBRR and deep concealment alone, by the packets lost in %. At 6.5 % libopus tells nothing here."""
SEEDS = (1, 2, 3)
DRED_MS = 500
DELAY_MS = 100


@dataclass(frozen=True, slots=True)
class Heard:
    pesq: float
    plcmos: float
    kbps: float
    """Of payloads."""
    made_up_pct: float
    send_us: float
    receive_us: float
    """CPU time per 20 ms."""


def measure(quick: bool) -> Report:
    if problem := missing_judges():
        row = Row.unmeasured("DRED", "peer", problem)
        return Report(claim=CLAIM, unit="PESQ", rows=[row])
    clips = [level(samples) for samples in clips_of(QUICK_CLIPS if quick else CLIPS)]
    settings = [(bitrate_bps, loss_pct) for bitrate_bps in BITRATES_BPS for loss_pct in GAINS]
    voices = [(clip, seed) for clip in clips for seed in (QUICK_SEEDS[:1] if quick else SEEDS)]
    work = [(*setting, *voice, dred_ms) for setting in settings for voice in voices for dred_ms in (0, DRED_MS)]
    note(f"{len(work)} calls")
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        heard = list(pool.map(hear, *zip(*work, strict=True), chunksize=4))
    return Report(claim=CLAIM, unit="PESQ", rows=list(rows(settings, heard)))


def rows(settings: list[tuple[int, float]], heard: list[Heard]) -> Iterator[Row]:
    each = len(heard) // len(settings)
    for number, (bitrate_bps, loss_pct) in enumerate(settings):
        found = heard[number * each : (number + 1) * each]
        without, told = found[0::2], found[1::2]
        aim = mean(without, "pesq") + GAINS[loss_pct]
        yield Row(
            name=f"{bitrate_bps // 1000} kb/s, {loss_pct} % lost, beside LBRR + deep PLC + {GAINS[loss_pct]}",
            value=mean(told, "pesq"),
            against=aim,
            kind="peer",
            limit=1.0,
            better="higher",
            beside={
                f"{what} {whose}": mean(calls, field)
                for what, field in (
                    ("PESQ", "pesq"),
                    ("PLCMOS", "plcmos"),
                    ("kb/s", "kbps"),
                    ("made up %", "made_up_pct"),
                    ("send µs", "send_us"),
                    ("receive µs", "receive_us"),
                )
                for whose, calls in (("without", without), ("with", told))
            },
        )


def mean(calls: list[Heard], field: str) -> float:
    return fmean(getattr(call, field) for call in calls)


def hear(bitrate_bps: int, loss_pct: float, clip: Samples, seed: int, dred_ms: int) -> Heard:
    def sender(expected_loss_pct: int) -> SendChain:
        return SendChain(1, MODE, KEY, bitrate_bps=bitrate_bps, expected_loss_pct=expected_loss_pct, dred_ms=dred_ms)

    before = thread_time_ns()
    call = make_call(clip, loss_pct, seed, sender)
    between = thread_time_ns()
    receive, sound = listen(call, DELAY_MS, DELAY_MS)
    after = thread_time_ns()
    frames = len(call.datagrams)
    judged = score(call.clip, sound)
    return Heard(
        pesq=judged.pesq,
        plcmos=judged.plcmos,
        kbps=payload_bytes(call) * 8 / (frames * 20),
        made_up_pct=100 * receive.report().sources[0].concealed / frames,
        send_us=(between - before) / frames / 1000,
        receive_us=(after - between) / frames / 1000,
    )


def payload_bytes(call: Call) -> int:
    receive = ReceiveChain(MODE, KEY)
    receive.set_decoding(False)
    packets = [receive.push(datagram, arrival(number)) for number, datagram in enumerate(call.datagrams)]
    return sum(len(Packet.parse(packet.rtp).payload) for packet in packets if packet is not None)
