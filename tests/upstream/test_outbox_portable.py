from usageguard.core import cbor
from usageguard.core.mac import mac0_open, mac0_seal, mac0_tag
from usageguard.core.octets import Octets
from usageguard.modem.messenger import SENT
from usageguard.upstream.outbox import APPLICATION_CRASH, BOOT, FINAL, Outbox

from tests.portable import without_heap

KEY = bytes(range(32))
LIFE = bytearray(b"life")
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
        self.sms = self
        self.busy = False
        self.state = SENT

    def ready(self):
        return self.up

    def evidence(self):
        return 1, 0, 33, 40, 20, 2

    def renew(self):
        pass

    answered = renew

    def send(self, to, what):
        """A datagram of so many octets; or as a Messenger, to a number."""
        if to == "+1":
            self.messages.append(what)
        else:
            self.sent.append(bytes(to[:what]))
        return True


def random(n):
    return bytes([0x55] * n)


def outbox(now=0):
    used = Octets((1 << 34) + 5)
    ledger = {"sms": 0, "life_id": memoryview(LIFE), "boot_id": 7, "cycle_id": 305, "carried": used, "rated": used}
    ledger["carried_base"] = ledger["rated_base"] = Octets(9)
    policy = Record({"level": 0, "reasons": 0, "warned": 0})
    standing = Record({"counter": 21})
    account = Record({"standing": standing, "refused": 2, "sim": 0, "cost_fen": lambda used: used.value() >> 30})
    admission = Record({"commit": lambda: None, "used": used, "error_bound_octets": lambda: 4096})
    admission.meter = Record({"packets": 700, "sessions": 3})
    upstream = Record({"host": "h", "interval_s": 3600, "sms_number": "+1", "max_sms_per_cycle": 3, "mqtt": None})
    config = Record({"device_id": "dev", "key": KEY, "upstream": upstream})
    path = Path()
    box = Outbox(config, Record({"random": random}), Record(ledger), policy, account, admission, path, now)
    box._crash_code = -3
    return box, policy, path


def acknowledge(box, path, now, seq, *order):
    fields = [1, 9000, 60]
    fields.extend(order)
    ack = mac0_seal(KEY, b"Alifedev" + bytes([0, 0, 0, 7, 0, 0, 0, seq]), cbor.encode(fields))
    reply = b"\x62\x44" + path.sent[-1][2:6] + b"\xff" + ack
    box.receive(now, reply, len(reply))


def report(blob):
    """The fields of a full report, or of a routine one."""
    try:
        return cbor.decode(mac0_open(KEY, b"Udev", blob))
    except ValueError:
        return cbor.decode(mac0_open(KEY, b"Rlifedev", blob))


def test_report_and_acknowledgement():
    box, _, path = outbox()
    times = []
    box.on_time = lambda day, second, now: times.append((day, second, now))
    box.step(0)
    expected = [3, 7, 0, 305, (1 << 34) + 5, (1 << 34) + 5, 9, 9, 4096, 0, 0, 0, 0, -3, BOOT, 21, 2, 16]
    expected += [b"life", b"", 0, 700, 3, 1, 0, 33, 40, 20, 2]
    assert report(path.sent[0][9:]) == expected, report(path.sent[0][9:])
    acknowledge(box, path, 70, 0)
    assert times == [(9000, 60, 70)], times
    assert box.due_ms(70) == 3600000 - 70, box.due_ms(70)
    box.step(3600000)
    brief = path.sent[1][9:]
    period = cbor.encode((1 << 34) - 4)
    told = b"\x01" + period + period + b"\x19\x10\x00"
    assert brief[:-12] == told, "the next sequence number, what the period used, and the error bound"
    state = cbor.encode([3, 7, 305, 9, 9, 0, 0, 0, 0, -3, 21, 2, 16])
    assert brief[-12:] == b"life" + mac0_tag(KEY, b"Blifedev" + state, told)
    empty = mac0_tag(KEY, b"Alifedev" + bytes([0, 0, 0, 7, 0, 0, 0, 1]), b"")
    reply = b"\x62\x44" + path.sent[1][2:6] + b"\xff" + empty
    box.receive(3600100, reply, len(reply))
    assert (box.reports_acked, len(times)) == (2, 1)
    box.crashed(5)
    box.step(7200100)
    assert report(path.sent[2][9:])[13:15] == [5, APPLICATION_CRASH]


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


class Verdict:
    cause = 11


def test_a_report_of_a_stopped_device_tells_why():
    box, policy, _ = outbox()
    asked = []

    def judge(ask):
        asked.append(ask)
        if len(asked) == 3:
            raise MemoryError
        return [Verdict] if len(asked) == 1 else []

    box.on_verdict = judge
    assert report(box._sealed(True, True))[20] == 0
    assert asked == [], "data flows: nothing is loaded for it"
    policy.level = TERMINATED
    assert report(box._sealed(True, True))[20] == 11
    assert [report(box._sealed(True))[20] for _ in range(2)] == [0, 0], "nothing found, and no memory for it"
    assert len(report(box._sealed(False))) == 18
    assert asked == [False] * 3, "at once, and without a probe"


def test_stop_by_sms():
    box, policy, path = outbox()
    box.step(0)
    acknowledge(box, path, 70, 0)
    path.up = False
    policy.level = TERMINATED
    policy.reasons = 2
    box.step(100)
    fields = cbor.decode(mac0_open(KEY, b"Udev", path.messages[0]))
    assert (fields[14], fields[18]) == (FINAL, b"life"), "full: it may come to a collector that knows of no life"
    assert len(fields) == 21, "without details"
    assert len(path.messages[0]) <= 140


def test_idle_steps_allocate_nothing():
    box, policy, path = outbox()
    box.step(0)
    acknowledge(box, path, 70, 0)

    def idle():
        for now in range(100, 3500000, 5000):
            box.step(now)
            box.due_ms(now)

    without_heap(idle)
    policy.level = TERMINATED
    policy.reasons = 2
    path.up = False
    box.step(3500100)

    def stopped():
        for now in range(3510000, 90000000, 60000):
            box.step(now)
            box.due_ms(now)

    without_heap(stopped)
    assert len(path.messages) == 1, len(path.messages)
