"""Transcripts again: a client's side typed to a simulated modem in virtual time, or a modem's side served."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from host_tools.sim.modem.profile import Profile
from host_tools.sim.modem.served.far_end import FarEnd
from host_tools.sim.modem.served.modem import World
from host_tools.sim.modem.served.transcript import ACTION, CLIENT, MODEM, Entry, Player, Transcript, escape

_SETTLE_S = 5  # after the last entry


class Difference(NamedTuple):
    """The first line in which the replayed modem differs; empty where one side has ended."""

    recorded: str
    replayed: str


def replay(transcript: Transcript, profile: Profile) -> Difference | None:
    """Types the client's side, and does the actions, at their times; compares what the modem writes, line by line.

    ValueError for a transcript without times.
    """
    about = transcript.about
    start = datetime.fromisoformat(about["started"]) if "started" in about else datetime.now(UTC)
    baud, seed = int(about.get("baud", "115200")), int(about.get("seed", "1"))
    world = World(profile, baud=baud, relays={}, seed=seed, start=start)
    said = bytearray()
    world.line.to_host.deliver = said.extend
    world.modem.power(True)
    for entry in transcript.entries:
        if entry.t_us is None:
            raise ValueError("there are entries without a time; give a log of `usageguard modem --log`")
        if entry.who == MODEM:
            continue
        world.clock.run_until(entry.t_us)
        if entry.who == CLIENT:
            world.line.to_modem.write(entry.data)
        elif entry.who == ACTION:
            with contextlib.suppress(ValueError):  # it failed then as well
                world.actions.do(entry.data.decode())
    world.skip(_SETTLE_S)
    world.internet.close()
    recorded = b"".join(entry.data for entry in transcript.entries if entry.who == MODEM)
    return _first_difference(recorded, bytes(said))


def _first_difference(recorded: bytes, replayed: bytes) -> Difference | None:
    """What was recorded may end earlier: the client hung up."""
    one, other = (data.split(b"\r\n") for data in (recorded, replayed))
    for index, line in enumerate(one):
        there = other[index] if index < len(other) else b""
        if line != there and not (index == len(one) - 1 and there.startswith(line)):
            return Difference(escape(line), escape(there))
    return None


def play(entries: list[Entry], end: FarEnd, stopped: int) -> None:
    """Serves `end` as the transcript's modem until the descriptor `stopped` is readable."""
    player = Player(entries)
    todo: deque[tuple[float, bytes]] = deque()
    _plan(todo, player.greeting)
    while True:
        wait = max(0.0, todo[0][0] - time.monotonic()) if todo else None
        ready, writable, _ = select.select([stopped, *end.readers()], end.writers(), [], wait)
        if stopped in ready:
            os.read(stopped, 1)
            return
        data = end.read(ready)
        if data:
            _plan(todo, player.take(data))
        if writable:
            end.write(b"")
        while todo and todo[0][0] <= time.monotonic():
            end.write(todo.popleft()[1])


def _plan(todo: deque[tuple[float, bytes]], answers: list[tuple[int, bytes]]) -> None:
    at = max(time.monotonic(), todo[-1][0] if todo else 0.0)
    for ms, data in answers:
        at += ms / 1000
        todo.append((at, data))
