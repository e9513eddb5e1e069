"""What a server tells Prometheus. `docs/how-to/run-a-server.md` lists the names."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from raccall import __version__
from raccall.server.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

WANTED = frozenset(
    {
        "received",
        "opened",
        "forwarded",
        "sent",
        "roamed",
        "discovery",
        "rtcp",
        "rtcp_answered",
        "keepalive",
    }
)
"""The relay's counts of what went well. All others are reasons why something was dropped."""


class ServerMetrics(Collector):
    """Reads a service when it is asked; call it in the server's event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition format, of CONTENT_TYPE."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        return []  # nothing is to be collected while registering

    def collect(self) -> Iterator[Metric]:
        yield _gauge("raccall_info", "Always 1.", {__version__: 1}, "version")
        yield from self._relay()
        yield from self._voices()
        yield from self._rooms()
        yield from self._encryption()
        tunnels = self._service.tunnels
        yield _gauge("raccall_tunnels", "Voice sessions that ever used the tunnel and are connected.", tunnels.open)
        carried = {"to_relay": tunnels.to_relay, "to_clients": tunnels.to_clients, "dropped": tunnels.dropped}
        yield _counter("raccall_tunnel_datagrams", "Datagrams in WebSockets, by what became of them.", carried, "way")
        lag_s = self._service.watch.loop_lag_s
        yield _gauge("raccall_event_loop_lag_seconds", "Worst delay of the control plane in the last seconds.", lag_s)

    def _relay(self) -> Iterator[Metric]:
        counts = self._service.relay.counters()
        packets = {name: counts[name] for name in sorted(WANTED & counts.keys())}
        yield _counter("raccall_relay_datagrams", "Datagrams of the media port, by event.", packets, "event")
        yield _latency(*self._service.relay.latency())
        drops = {name: count for name, count in counts.items() if name not in WANTED}
        yield _counter("raccall_relay_drops", "What the relay dropped or refused, by reason.", drops, "reason")

    def _voices(self) -> Iterator[Metric]:
        sums = self._service.watch.sums
        ways = {"up": sums["received"], "down": sums["sent"]}
        yield _counter("raccall_voice_packets", "Packets from members (up) and to them (down).", ways, "hop")
        size = {"up": sums["received_bytes"], "down": sums["sent_bytes"]}
        yield _counter("raccall_voice_bytes", "Their bytes, without UDP and IP headers.", size, "hop")
        yield _counter("raccall_voice_lost_packets", "Lost between members and the server.", sums["lost"])
        voices = self._service.watch.voices.values()
        up = [voice.up_loss_pct for voice in voices if voice.up_loss_pct is not None]
        down = [voice.down_loss_pct for voice in voices]
        mean = {"up": _mean(up) / 100, "down": _mean(down) / 100}
        yield _gauge("raccall_loss_ratio", "Mean over members, of the last seconds.", mean, "hop")
        worst = {"up": max(up, default=0.0) / 100, "down": max(down, default=0.0) / 100}
        yield _gauge("raccall_worst_loss_ratio", "Of the member who loses most.", worst, "hop")

    def _encryption(self) -> Iterator[Metric]:
        refusals = dict(self._service.calls.encryption.refusals())
        says = "Messages of end-to-end encryption that were not relayed, and answers that never came."
        yield _counter("raccall_encryption_refusals", says, refusals, "reason")

    def _rooms(self) -> Iterator[Metric]:
        rooms = self._service.rooms.all()
        yield _gauge("raccall_rooms", "Rooms there are.", len(rooms))
        yield _gauge("raccall_rooms_in_call", "Rooms with somebody in them.", sum(bool(room.members) for room in rooms))
        yield _gauge("raccall_members", "People and recorders in calls.", sum(len(room.members) for room in rooms))
        yield _gauge("raccall_recordings", "Recorders in calls.", sum(len(room.recorders) for room in rooms))
        sessions = {"control": len(self._service.hub), "voice": len(self._service.calls)}
        yield _gauge("raccall_sessions", "Sessions, lost ones that may resume included.", sessions, "kind")


Values = float | Mapping[str, float]
"""One number, or one for each value of the label."""


def _latency(counts: list[tuple[float, int]], longer: int, sum_s: float) -> Metric:
    """Prometheus wants how many were at most so long, those of shorter ones included."""
    says = "From the kernel's receive timestamp until the last copy was sent, of sampled datagrams."
    so_far = accumulate(count for _, count in counts)
    buckets = [(f"{bound:g}", float(upto)) for (bound, _), upto in zip(counts, so_far, strict=True)]
    total = sum(count for _, count in counts) + longer
    family = HistogramMetricFamily("raccall_forward_latency_seconds", says)
    family.add_metric([], [*buckets, ("+Inf", float(total))], sum_s)
    return family


def _gauge(name: str, says: str, values: Values, label: str | None = None) -> Metric:
    return _filled(GaugeMetricFamily(name, says, labels=[label] if label else []), values)


def _counter(name: str, says: str, values: Values, label: str | None = None) -> Metric:
    return _filled(CounterMetricFamily(name, says, labels=[label] if label else []), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    if isinstance(values, Mapping):
        for label, value in values.items():
            family.add_metric([label], value)
    else:
        family.add_metric([], values)
    return family


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
