"""What devices have told that the MACs of their next reports are verified by."""

from __future__ import annotations

from collections.abc import Mapping

from host_tools.collector.verify import Report, decode_report


class KnownLives:
    """The ids of lives, and the newest report of each. `of` and `latest` are for any thread at any time."""

    def __init__(self) -> None:
        self._ids: dict[str, tuple[bytes, ...]] = {}
        self._latest: dict[bytes, dict[str, tuple[int, int, bytes]]] = {}

    def of(self, device: str) -> tuple[bytes, ...]:
        """The life ids that the device has reported, newest first."""
        return self._ids.get(device, ())

    def latest(self, life_id: bytes) -> Mapping[str, Report]:
        """By device, the report with the highest (boot_id, seq) of a life that has this id, as far as it is known."""
        return {device: decode_report(payload) for device, (*_, payload) in self._latest.get(life_id, {}).items()}

    def add(self, device: str, life_id: bytes) -> None:
        """The device's newest life has this id."""
        others = (known for known in self.of(device) if known != life_id)
        self._ids[device] = (life_id, *others)

    def follow(self, device: str, life_id: bytes, boot_id: int, seq: int, payload: bytes) -> None:
        """A report of a life has come, perhaps behind later ones."""
        report = boot_id, seq, payload
        devices = self._latest.get(life_id, {})
        if device in devices:
            devices[device] = max(devices[device], report)
        elif life_id:
            self._latest[life_id] = devices | {device: report}  # another thread may be reading the former one

    def stored(self, device: str, report: Report, payload: bytes) -> None:
        """A new report of the device is in the database."""
        if report.life_id and report.life_id not in self.of(device):
            self.add(device, report.life_id)
        self.follow(device, report.life_id, report.boot_id, report.seq, payload)
