"""What Prometheus reads: the fleet's figures now, and those of each device where they are not too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from host_tools.fleet.alerts import AlertBook
from host_tools.fleet.index import Choice, Reader, Row
from host_tools.fleet.rules import RULES
from host_tools.fleet.standing import State

MOST_DEVICES = 10_000
"""With more, there are sums alone: a series for each figure of each device would be too much for a server."""
CONTENT_TYPE = CONTENT_TYPE_LATEST
_OF_DEVICE: tuple[tuple[str, str, Callable[[Row], int | None]], ...] = (
    ("used", "Rated bytes that the device counts in this billing period.", lambda row: row.used),
    ("error_bound", "How far the device's count may be off.", lambda row: row.bound),
    ("allowance", "Its allowance in this billing period.", lambda row: row.allowance if row.allowance >= 0 else None),
    ("unexplained", "Of the carrier's count, by nothing.", lambda row: row.beyond if row.compared else None),
)


@dataclass(frozen=True)
class Figures:
    """What is exposed. `rows`: all devices; None where they are too many. `sums`: used and allowed octets of all."""

    states: Mapping[int, int]
    sums: tuple[int, int]
    open: Mapping[str, int]
    waiting: Mapping[str, int]
    rows: Sequence[Row] | None


def read(reader: Reader, alerts: AlertBook, most: int = MOST_DEVICES) -> Figures:
    summary = reader.summary()
    rows = list(reader.every(Choice(sort="device"))) if summary.devices <= most else None
    waiting = {each.channel: each.notices for each in alerts.waiting()}
    return Figures(summary.states, reader.sums(), alerts.open_by_rule(), waiting, rows)


def exposed(figures: Figures) -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Exposed(figures))
    return generate_latest(registry)


class _Exposed(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        devices = GaugeMetricFamily("usageguard_devices", "Devices by their most urgent state.", labels=["state"])
        for state in State:
            devices.add_metric([state.word], figures.states.get(state, 0))
        yield devices
        used, allowed = figures.sums
        yield GaugeMetricFamily("usageguard_used_bytes", "Rated bytes of all devices in their periods.", used)
        yield GaugeMetricFamily("usageguard_allowance_bytes", "Allowances of all devices that have one.", allowed)
        alerts = GaugeMetricFamily("usageguard_alerts_open", "Alerts that nobody has seen to.", labels=["rule"])
        for rule in RULES:
            alerts.add_metric([rule], figures.open.get(rule, 0))
        yield alerts
        notices = GaugeMetricFamily("usageguard_notices_waiting", "Messages still to be sent.", labels=["channel"])
        for channel, count in figures.waiting.items():
            notices.add_metric([channel], count)
        yield notices
        if figures.rows is None:
            return
        for name, text, value in _OF_DEVICE:
            family = GaugeMetricFamily(f"usageguard_device_{name}_bytes", text, labels=["device"])
            for row in figures.rows:
                octets = value(row)
                if octets is not None:
                    family.add_metric([row.device], octets)
            yield family
        seen = GaugeMetricFamily(
            "usageguard_device_last_report_timestamp_seconds", "When the last report arrived.", labels=["device"]
        )
        states = ", ".join(f"{each.value} {each.name.lower().replace('_', ' ')}" for each in State)
        state = GaugeMetricFamily("usageguard_device_state", f"{states}.", labels=["device"])
        for row in figures.rows:
            seen.add_metric([row.device], datetime.fromisoformat(row.seen).timestamp())
            state.add_metric([row.device], row.state)
        yield seen
        yield state
