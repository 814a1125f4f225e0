from usageguard.core import cbor
from usageguard.core.mac import mac0_open, mac0_seal
from usageguard.core.octets import Octets
from usageguard.upstream.outbox import BOOT, FINAL, VALIDITY_TIME, Outbox

from tests.portable import without_heap

KEY = bytes(range(32))
TERMINATED = 5


class Record:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])


class Path:
    def __init__(self):
        self.up = True
        self.registered = True
        self.sent = []
        self.messages = []

    def ready(self):
        return self.up

    def send(self, buf, n):
        self.sent.append(bytes(buf[:n]))
        return True

    def sms(self, number, octets):
        self.messages.append(octets)
        return True


def random(n):
    return bytes([0x55] * n)


def outbox(now=0):
    used = Octets((1 << 34) + 5)
    ledger = {"sms": 0, "boot_id": 7, "cycle_id": 305, "carried": used, "rated": used}
    ledger["carried_base"] = ledger["rated_base"] = Octets(9)
    guard = Record(
        {
            "ledger": Record(ledger),
            "gate": Record({"commit": lambda: None, "used": used}),
            "account": Record(
                {"standing": Record({"counter": 21}), "refused": 2, "cost_fen": lambda used: used.value() >> 30}
            ),
            "policy": Record({"level": 0, "reasons": 0, "warned": 0}),
            "app_restarts": 0,
            "crash_code": -3,
            "error_bound_octets": lambda: 4096,
        }
    )
    upstream = Record({"interval_s": 3600, "sms_number": "+1", "max_sms_per_cycle": 3})
    config = Record({"device_id": "dev", "key": KEY, "upstream": upstream})
    path = Path()
    return Outbox(config, Record({"random": random}), guard, path, now), guard, path


def acknowledge(box, path, now, seq, *order):
    fields = [1, 9000, 60]
    fields.extend(order)
    ack = mac0_seal(KEY, b"Ddev" + bytes([0, 0, 0, 7, 0, 0, 0, seq]), cbor.encode(fields))
    reply = b"\x62\x44" + path.sent[-1][2:6] + b"\xff" + ack
    box.receive(now, reply, len(reply))


def report(blob):
    return cbor.decode(mac0_open(KEY, b"Udev", blob))


def test_report_and_acknowledgement():
    box, _, path = outbox()
    times = []
    box.on_time = lambda day, second, now: times.append((day, second, now))
    box.step(0)
    expected = [1, 7, 0, 305, (1 << 34) + 5, (1 << 34) + 5, 9, 9, 4096, 0, 0, 0, 0, -3, BOOT, 21, 2, 16]
    assert report(path.sent[0][9:]) == expected, report(path.sent[0][9:])
    acknowledge(box, path, 70, 0)
    assert times == [(9000, 60, 70)], times
    assert box.due_ms(70) == 3600000 - 70, box.due_ms(70)
    box.step(3600000)
    assert report(path.sent[1][9:])[14] == VALIDITY_TIME
    assert report(path.sent[1][9:])[2] == 1, "the next sequence number"


def test_an_order():
    box, _, path = outbox()
    got = []
    box.on_order = lambda counter, orders, now: got.append((counter, orders, now))
    box.step(0)
    acknowledge(box, path, 70, 0, 22, {2: 1 << 33, 5: [9801, -7, 0]})
    assert got == [(22, {2: 1 << 33, 5: [9801, -7, 0]}, 70)], got
    box.step(3600000)
    acknowledge(box, path, 3600070, 1)
    assert len(got) == 1, "none"


def test_stop_by_sms():
    box, guard, path = outbox()
    box.step(0)
    acknowledge(box, path, 70, 0)
    path.up = False
    guard.policy.level = TERMINATED
    guard.policy.reasons = 2
    box.step(100)
    assert report(path.messages[0])[14] == FINAL
    assert len(path.messages[0]) <= 140


def test_idle_steps_allocate_nothing():
    box, guard, path = outbox()
    box.step(0)
    acknowledge(box, path, 70, 0)

    def idle():
        for now in range(100, 3500000, 5000):
            box.step(now)
            box.due_ms(now)

    without_heap(idle)
    guard.policy.level = TERMINATED
    guard.policy.reasons = 2
    path.up = False
    box.step(3500100)

    def stopped():
        for now in range(3510000, 90000000, 60000):
            box.step(now)
            box.due_ms(now)

    without_heap(stopped)
    assert len(path.messages) == 1, len(path.messages)
