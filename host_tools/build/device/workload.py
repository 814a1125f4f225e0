"""The built-in application: generates a scenario's `[[traffic]]` with plain sockets to the simulated responders.

Each habit is a request of `tx` octets, answered with `rx`, every `period_s`, or once. A failed request, also one that
the guard does not admit, is not repeated; the next one is due a period later. By its `manners` the application may also
repeat it at once, or end with the error. It `pauses` between requests by `guard.sleep`, or by `time.sleep`.
"""

import json
import socket
import time

from usageguard.core.ticks import ticks_diff

TIMEOUT_S = 60
RETRIES = {"greedy": 50}
_CHUNK = 1400
_FILLING = bytes(_CHUNK)
_buffer = bytearray(_CHUNK)


class Habit:
    """One entry of `[[traffic]]`, with the time when it is due next (seconds since the scenario's start)."""

    def __init__(self, number, entry, elapsed_s):
        self.number = number
        self.traffic_class = entry["class"]
        self.kind = entry["kind"]
        self.host = entry["host"]
        self.port = entry["port"]
        self.tx = entry["tx"]
        self.rx = entry["rx"]
        self.period_s = entry["period_s"]
        self.until_s = entry["until_s"]
        self.due_s = entry["from_s"]
        if self.due_s < elapsed_s:
            self.due_s += (elapsed_s - self.due_s + self.period_s - 1) // self.period_s * self.period_s


class Elapsed:
    """Seconds since the scenario's start: `elapsed_ms` at `ticks`, and counted by ticks from there."""

    def __init__(self, guard, elapsed_ms, ticks=0):
        self._hal = guard.hal
        self._ticks = ticks
        self._s, self._ms = divmod(elapsed_ms, 1000)

    def seconds(self):
        now = self._hal.ticks_ms()
        self._ms += ticks_diff(now, self._ticks)
        self._ticks = now
        self._s += self._ms // 1000
        self._ms %= 1000
        return self._s


def request(guard, habit):
    """Sends one request and reads its answer. Raises OSError when it fails."""
    with guard.traffic(habit.traffic_class):
        sock = socket.socket()
    try:
        sock.settimeout(TIMEOUT_S)
        sock.connect((habit.host, habit.port))
        tx = max(8, habit.tx)
        sock.write(b"UG" + tx.to_bytes(2, "big") + habit.rx.to_bytes(4, "big"))
        left = tx - 8
        while left > 0:
            left -= sock.write(_FILLING, min(left, _CHUNK))
        left = habit.rx
        while left > 0:
            got = sock.readinto(_buffer, min(left, _CHUNK))
            if not got:
                raise OSError(104, "cut short")
            left -= got
    finally:
        sock.close()


def attempt(manners, request, guard, habit):
    """Calls request(guard, habit), once or more by the application's manners. Raises its OSError if those are to crash.

    Tells the bench of each, for counting: its habit, and how it ended.
    """
    for _ in range(1 + RETRIES.get(manners, 0)):
        guard.hal.event("~begun", habit.number)
        try:
            request(guard, habit)
            guard.hal.event("~done", habit.number)
            return
        except OSError as error:
            guard.hal.event("~failed", habit.number, error.args[0] if error.args else 0)
            if manners == "crashing":
                raise


def live(guard, carry, bench=None):
    """Calls carry(guard, habit) whenever a habit is due; returns when none is left. `bench` is what bench.json has."""
    if bench is None:
        with open("bench.json") as file:
            bench = json.load(file)
    pauses = bench.get("pauses")
    elapsed = Elapsed(guard, bench["elapsed_ms"], bench.get("ticks", 0))
    habits = [Habit(number, entry, elapsed.seconds()) for number, entry in enumerate(bench["traffic"])]
    while habits:
        habit = habits[0]
        for other in habits:
            if other.due_s < habit.due_s:
                habit = other
        if habit.until_s and habit.due_s >= habit.until_s:
            habits.remove(habit)
            continue
        ahead = habit.due_s - elapsed.seconds()
        if ahead > 0:
            if pauses == "time":
                time.sleep(min(ahead, 86_400))
            elif pauses == "deep-sleep":
                guard.deep_sleep(min(ahead, 86_400) * 1000, bench["modem_asleep"])
            else:
                guard.sleep(min(ahead, 86_400) * 1000)
            continue
        habit.due_s += habit.period_s
        attempt(bench.get("manners", "polite"), carry, guard, habit)


def main(guard):
    live(guard, request)
