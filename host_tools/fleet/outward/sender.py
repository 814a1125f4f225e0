"""Sends what the alerts' book has for each channel, until it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from host_tools.collector.connect import BUSY_S, connected
from host_tools.collector.database import StoreError
from host_tools.fleet.alerts import AlertBook
from host_tools.fleet.outward.channels import Channel
from host_tools.fleet.outward.http import SendError

_LOOK_S = 2.0
_RETRY_S = 5.0  # where the database does not answer


class Sender:
    """A thread with a connection of its own for each channel: a slow one keeps no other waiting. What a thread has
    claimed when the process ends is sent by the next one, once the claim has run out."""

    def __init__(self, db: str | Path, channels: Mapping[str, Channel]) -> None:
        self._db = db
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=each, name=f"alerts-{each[0]}", daemon=True)
            for each in channels.items()
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Waits for messages that are being sent, each for as long as that may take."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str, channel: Channel) -> None:
        while not self._stop.is_set():
            try:
                with closing(connected(self._db, BUSY_S, upgrade=False)) as database:
                    book = AlertBook(database)
                    while not self._stop.is_set():
                        self._stop.wait(channel.pause_s if step(book, name, channel) else _LOOK_S)
            except StoreError:
                self._stop.wait(_RETRY_S)


def step(book: AlertBook, name: str, channel: Channel) -> bool:
    """Sends one message, if there is anything to say; whether there was."""
    alerts = book.claim(name, datetime.now(UTC), channel.most)
    if not alerts:
        return False
    try:
        channel.send(alerts, time.time())
    except SendError as error:
        book.failed(name, alerts, str(error), datetime.now(UTC))
    except Exception as error:  # whatever a receiver brings about is to keep no other alert from it
        book.failed(name, alerts, type(error).__name__, datetime.now(UTC))
    else:
        book.sent(name, alerts, datetime.now(UTC))
    return True
