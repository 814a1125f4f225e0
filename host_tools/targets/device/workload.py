"""The built-in application: carries a scenario's `[[traffic]]` over plain sockets, to the bench's responders.

Each habit is a request of `tx` octets, answered with `rx`, every `period_s`. A request that fails is not tried
again: the next one is due a period later. What the guard does not admit is skipped, as an application in the field
would.
"""

import json
import socket

from usageguard.core.ticks import ticks_diff

TIMEOUT_S = 60
_CHUNK = 1400
_FILLING = bytes(_CHUNK)
_buffer = bytearray(_CHUNK)


class Habit:
    """One entry of `[[traffic]]`, with the next time at which it is due (seconds since the scenario's beginning)."""

    def __init__(self, entry, elapsed_s):
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
    """Seconds since the scenario's beginning, carried by ticks from what they were at `ticks`."""

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
    """One request and its answer. OSError when it did not succeed."""
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


def live(guard, carry):
    """Calls carry(guard, habit) for each habit whenever it is due; returns when none is left."""
    with open("bench.json") as file:
        bench = json.load(file)
    elapsed = Elapsed(guard, bench["elapsed_ms"], bench.get("ticks", 0))
    habits = [Habit(entry, elapsed.seconds()) for entry in bench["traffic"]]
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
            guard.sleep(min(ahead, 86_400) * 1000)
            continue
        habit.due_s += habit.period_s
        try:
            carry(guard, habit)
        except OSError:
            pass


def main(guard):
    live(guard, request)
