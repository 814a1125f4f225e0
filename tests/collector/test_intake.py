"""The collector's core, as the simulated network calls it: a datagram in, a datagram out."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from aiocoap import ACK, CON, GET, NON, POST, RST, Code, Message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tools.collector import intake
from host_tools.collector.intake import BAD_MAC, Asked, Collector, Exchange, _usual
from host_tools.collector.order import Order
from host_tools.collector.store import Outcome, Store
from host_tools.collector.verify import BadMacError, MalformedError
from tests.collector.sealed import DEVICE, KEYS, LIFE, brief, full, routine, sealed
from tests.collector.test_sms_payload import deliver, submit

T0 = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


class World:
    def __init__(self):
        self.now = T0
        self.wanted = None
        self.asked = []
        self.collector = Collector(Store(), KEYS, lambda: self.now, self.order)
        self.heard = []
        self.collector.listeners.append(lambda received, kept: self.heard.append(kept.outcome))

    def order(self, device, report, now):
        self.asked.append((device, report.seq, now))
        if self.wanted is None:
            return None
        return Order(counter=self.collector.store.book.next_counter(device), limit=self.wanted)

    def ask(self, blob, mid=1, kind=CON, code=POST, path=("r",), token=b"ab", remote=None):
        request = Message(code=code, payload=blob, uri_path=path, _mtype=kind, _mid=mid, _token=token)
        reply = self.collector.coap(request.encode(), remote)
        return reply and Message.decode(reply)


def post(blob, mid):
    return Message(code=POST, payload=blob, uri_path=("r",), _mtype=CON, _mid=mid, _token=b"ab").encode()


def code(reply):
    return Message.decode(reply).code


@pytest.fixture
def world():
    return World()


def test_report_is_kept_and_acknowledged(world):
    reply = world.ask(sealed(), mid=77, token=b"xy")
    assert (reply.mtype, reply.mid, reply.token, reply.code) == (ACK, 77, b"xy", Code.CHANGED)
    day = (T0 - datetime(2000, 1, 1, tzinfo=UTC)).days
    assert cbor2.loads(cbor2.loads(reply.payload)[2]) == [1, day, 43200]
    assert world.collector.store.latest(DEVICE).received_at == T0
    assert world.heard == [Outcome.NEW]


def test_retransmission_is_answered_the_same_and_not_processed_again(world):
    first = world.ask(sealed())
    world.now += timedelta(seconds=90)
    assert world.ask(sealed()).payload == first.payload
    assert world.heard == [Outcome.NEW]


def test_duplicate_in_a_new_exchange_is_acknowledged_with_the_present_time(world):
    first = world.ask(sealed(), mid=1)
    world.now += timedelta(seconds=90)
    assert world.ask(sealed(), mid=2).payload != first.payload
    assert world.heard == [Outcome.NEW, Outcome.DUPLICATE]
    assert world.collector.store.reports_received(DEVICE) == 1


def test_message_ids_are_per_remote_and_for_their_lifetime(world):
    world.ask(sealed(), remote="a")
    world.ask(sealed(), remote="b")
    world.now += timedelta(seconds=248)
    world.ask(sealed(), remote="a")
    assert len(world.heard) == 3


@pytest.mark.parametrize("lives", [(b"", b""), (LIFE, b"next")], ids=["version 1", "version 2"])
def test_what_is_acknowledged_after_a_ledgers_loss_is_kept(world, lives):
    """Boot ids begin again at 1, and each number comes with other content than the first time."""
    acknowledged = 0
    for life_id, boots in zip(lives, (39, 30), strict=True):
        for boot_id in range(1, boots + 1):
            for seq in range(10):
                octets = (100 if acknowledged < 390 else 10) * boot_id + seq
                report = sealed(boot_id=boot_id, seq=seq, carried_octets=octets, life_id=life_id)
                acknowledged += world.ask(report, mid=acknowledged).code is Code.CHANGED
    assert acknowledged == 690
    assert world.collector.store.reports_received(DEVICE) == acknowledged
    assert world.collector.store.latest(DEVICE).report.carried_octets == 309
    (alarm,) = world.collector.store.alarms(DEVICE)
    assert alarm.kind == ("new_life" if lives[0] else "sequence_reused")


def test_a_routine_report_of_a_life_nobody_told_is_refused_until_it_is_told(world):
    assert world.ask(routine(), mid=1).code is Code.UNAUTHORIZED
    assert world.ask(sealed(life_id=LIFE), mid=2).code is Code.CHANGED
    assert world.ask(routine(seq=1), mid=3).code is Code.CHANGED
    assert [received.report.life_id for received in world.collector.store.history(DEVICE)] == [LIFE, LIFE]


def test_a_brief_report_is_kept_whole_and_acknowledged_by_a_mac_alone(world, tmp_path):
    world.collector.store = Store(tmp_path / "reports.sqlite")
    whole = cbor2.dumps(
        full(cycle_id=306, warned=5, carried_base=40, rated_base=50, carried_octets=60, rated_octets=60)
    )
    assert world.ask(brief(cbor2.loads(whole)), mid=1).code is Code.UNAUTHORIZED
    assert world.ask(sealed(payload=whole), mid=2).code is Code.CHANGED
    assert len(world.ask(brief(cbor2.loads(whole)), mid=3).payload) == 8
    world.collector.store.close()
    world.collector.store = Store(tmp_path / "reports.sqlite")
    world.wanted = 7
    answer = cbor2.loads(world.ask(brief(cbor2.loads(whole), seq=10), mid=4).payload)
    assert len(cbor2.loads(answer[2])) == 5, "with an order there is a time as well"
    history = [received.report for received in world.collector.store.history(DEVICE)]
    assert [report.seq for report in history] == [0, 9, 10]
    assert {(report.cycle_id, report.warned, report.life_id) for report in history} == {(306, 5, LIFE)}
    assert (history[1].carried_octets, history[1].rated_octets, history[1].reporting_reason) == (5_040, 6_050, 4)
    assert world.ask(brief(cbor2.loads(whole)), mid=5).code is Code.CHANGED
    assert world.heard[-1] is Outcome.DUPLICATE
    assert world.collector.store.alarms(DEVICE) == []


def test_a_brief_report_in_a_state_that_another_collector_has_kept(world, tmp_path, monkeypatch):
    """They share a database; what is not known here is looked for there once."""
    other = World()
    for each in (world, other):
        each.collector.store = Store(tmp_path / "reports.sqlite")
    assert world.ask(sealed(payload=cbor2.dumps(full())), mid=1).code is Code.CHANGED
    later = full(seq=1, counter=7)
    assert other.ask(sealed(payload=cbor2.dumps(later)), mid=2).code is Code.CHANGED
    assert world.ask(brief(later), mid=3).code is Code.UNAUTHORIZED, "a file has one collector"
    monkeypatch.setattr(world.collector.store.database, "postgresql", True)
    assert len(world.ask(brief(later), mid=4).payload) == 8
    assert world.ask(brief(full(counter=8), seq=10), mid=5).code is Code.UNAUTHORIZED
    assert world.ask(brief(later, life_id=b"BBBB"), mid=6).code is Code.UNAUTHORIZED, "of a life that nobody knows"


def test_a_report_that_is_not_kept_is_not_acknowledged_and_may_come_again(world):
    world.collector.store.close()
    reply = world.ask(sealed())
    assert (reply.code, reply.payload, world.heard) == (Code.SERVICE_UNAVAILABLE, b"", [])
    world.collector.store = Store()
    assert world.ask(sealed()).code is Code.CHANGED
    assert world.heard == [Outcome.NEW]


def test_non_confirmable(world):
    reply = world.ask(sealed(), kind=NON)
    assert (reply.mtype, reply.code, reply.token) == (NON, Code.CHANGED, b"ab")


@pytest.mark.parametrize(
    ("blob", "code"),
    [(sealed(key=bytes(32)), Code.UNAUTHORIZED), (b"", Code.BAD_REQUEST), (sealed()[:-1], Code.BAD_REQUEST)],
)
def test_refused(world, blob, code):
    reply = world.ask(blob)
    assert (reply.code, reply.payload) == (code, b"")
    assert world.collector.rejected == 1
    assert world.collector.store.devices() == []


def test_other_resources_and_methods(world):
    assert world.ask(sealed(), path=("x",)).code == Code.NOT_FOUND
    assert world.ask(sealed(), mid=2, path=()).code == Code.NOT_FOUND
    assert world.ask(b"", mid=3, code=GET).code == Code.METHOD_NOT_ALLOWED
    assert world.heard == []


def test_ping_is_reset(world):
    reply = Message.decode(world.collector.coap(b"\x40\x00\x12\x34"))
    assert (reply.mtype, reply.mid, reply.code) == (RST, 0x1234, Code.EMPTY)


@pytest.mark.parametrize("datagram", ["", "40", "60000001", "70000001", "80020001"])
def test_no_answer(world, datagram):
    """Cut short, an empty ACK, a RST, another version."""
    assert world.collector.coap(bytes.fromhex(datagram)) is None


@given(st.binary(max_size=120), st.booleans())
def test_any_datagram_is_survived(tail, posts):
    world = World()
    world.collector.coap((b"\x42\x02\x00\x01ab\xb1r" if posts else b"") + tail)
    assert world.heard == []


def test_sms(world):
    world.collector.sms(submit("+8613800000000", sealed(seq=1)))
    world.collector.sms(deliver("+8613800000000", sealed(seq=2)))
    world.collector.sms_user_data(sealed(seq=3))
    kept = world.collector.store.history(DEVICE)
    assert [(received.path, received.report.seq) for received in kept] == [("sms", 1), ("sms", 2), ("sms", 3)]


def test_sms_after_coap_is_a_duplicate(world):
    world.ask(sealed())
    world.collector.sms_user_data(sealed())
    assert world.heard == [Outcome.NEW, Outcome.DUPLICATE]


def test_sms_refused(world):
    with pytest.raises(BadMacError):
        world.collector.sms(submit("10086", sealed(key=bytes(32))))
    with pytest.raises(MalformedError):
        world.collector.sms(submit("10086", b"hello"))
    with pytest.raises(MalformedError):
        world.collector.sms(b"")
    assert world.collector.rejected == 3


def ordered(reply):
    """[counter, keys] of the order in a reply, [] without one."""
    return cbor2.loads(cbor2.loads(reply.payload)[2])[3:]


def test_an_order_is_sent_until_a_report_shows_it(world):
    assert ordered(world.ask(sealed(seq=0), mid=1)) == []
    world.wanted = 500
    assert ordered(world.ask(sealed(seq=1), mid=2)) == [1, {2: 500}]
    world.wanted = 600
    assert ordered(world.ask(sealed(seq=1), mid=3)) == [1, {2: 500}]
    assert ordered(world.ask(sealed(seq=2), mid=4)) == [1, {2: 500}]
    assert [seq for _, seq, _ in world.asked] == [0, 1], "nobody is asked while an order is open"
    assert ordered(world.ask(sealed(seq=3, counter=1), mid=5)) == [2, {2: 600}]
    world.wanted = None
    assert ordered(world.ask(sealed(seq=1), mid=6)) == [2, {2: 600}], "a late copy shows nothing"
    assert ordered(world.ask(sealed(seq=4, counter=2), mid=7)) == []
    assert world.asked[-1] == (DEVICE, 4, T0)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["report", "report lost", "answer lost", "again", "new wish", "restart"]), max_size=40))
def test_whatever_is_lost_a_device_takes_each_order_once_and_ends_with_the_last(story):
    """Beside a device that goes by the format: a counter it has had changes nothing, a lower one is refused."""
    world, taken, wishes, told, sent = World(), [], [], [], []

    def wish(device, report, now):
        if wishes == told:
            return None
        told[:] = wishes
        return Order(counter=world.collector.store.book.next_counter(device), limit=wishes[-1])

    def report(seq, counter):
        exchanges.append(seq)
        return ordered(world.ask(sealed(seq=seq, counter=counter), mid=len(exchanges)))

    exchanges = []
    world.collector.orders = wish
    for event in [*story, "report", "report", "report"]:
        if event == "new wish":
            wishes.append(len(wishes))
        elif event == "restart":
            world.collector = Collector(world.collector.store, KEYS, lambda: world.now, wish)
        elif event == "again" and sent:
            report(*sent[-1])  # what answers an old copy is no answer to the report under way
        elif event in ("report", "report lost", "answer lost"):
            counter = taken[-1][0] if taken else 0
            sent.append((len(sent), counter))
            order = report(*sent[-1]) if event != "report lost" else []
            if order and event == "report" and order[0] != counter:
                assert order[0] > counter, "refused"
                taken.append(order)
    assert [counter for counter, _ in taken] == sorted({counter for counter, _ in taken})
    assert [keys for _, keys in taken[-1:]] == [{2: wish} for wish in wishes[-1:]]


class Device:
    """Answers to orders by the format: a key of `NOT_KNOWN` is refused."""

    NOT_KNOWN = 10

    def __init__(self, world):
        self.world = world
        self.counter = self.refused = self.seq = self.boot_id = 0
        self.taken = []
        self.sent = self.life_id = b""

    def reports(self, arrives=True, answered=True):
        self.world.now += timedelta(seconds=30)
        numbers = {"boot_id": self.boot_id, "seq": self.seq, "counter": self.counter, "refused": self.refused}
        blob = sealed(life_id=self.life_id, **numbers)
        self.sent = blob
        self.seq += 1
        if not arrives:
            return
        order = ordered(self.world.ask(blob, mid=self.seq))
        if not answered or not order or order[0] == self.counter:
            return
        assert order[0] > self.counter, "an old one"
        if self.NOT_KNOWN in order[1]:
            self.refused += 1
        else:
            self.counter, keys = order
            self.taken.append(keys)

    def boots(self):
        self.boot_id += 1
        self.seq = self.refused = 0

    def loses_its_ledger(self):
        self.life_id = bytes([*LIFE[:3], LIFE[3] ^ 1])
        self.boot_id = self.seq = self.refused = self.counter = 0


class Wishes:
    """An owner with a list of orders, in keys by name; `stop_wanted` is for the next report."""

    def __init__(self, collector, *keys):
        self.collector = collector
        self.keys = list(keys)
        self.stop_wanted = False
        collector.orders, collector.stops = self.order, self.stop

    def order(self, device, report, now):
        if self.stop_wanted:
            return self.stop(device, report, now)
        return self._next(**self.keys.pop(0)) if self.keys else None

    def stop(self, device, report, now):
        wanted, self.stop_wanted = self.stop_wanted, False
        return self._next(stop=1) if wanted else None

    def _next(self, **keys):
        return Order(counter=self.collector.store.book.next_counter(DEVICE), **keys)


def test_a_refused_order_is_retired_and_told_and_the_next_one_goes(world):
    device = Device(world)
    owner = Wishes(world.collector, {"limit": 1}, {"release": 1}, {"limit": 2})
    for _ in range(6):
        device.reports()
    assert device.taken == [{2: 1}, {2: 2}]
    (alarm,) = world.collector.store.alarms(DEVICE)
    assert (alarm.kind, alarm.detail.split(":")[0]) == ("order_refused", "order 2")
    device.boots()
    owner.keys = [{"limit": 3}]
    device.reports()
    device.reports()
    assert device.taken[-1] == {2: 3}, "a refusal is not forgotten with the boot that counted it"


def test_keys_that_a_device_has_no_part_for_are_told(world):
    device = Device(world)
    Wishes(world.collector, {"limit": 1})
    device.reports()
    device.refused += 1
    device.reports()
    (alarm,) = world.collector.store.alarms(DEVICE)
    assert (alarm.kind, alarm.detail.split(":")[0]) == ("order_refused", "order 1")
    assert world.collector.store.book.pending(DEVICE) is None


def test_a_stop_is_never_behind_anything(world):
    device = Device(world)
    owner = Wishes(world.collector, {"limit": 1, "stop": 0}, {"limit": 2})
    device.reports(answered=False)
    owner.stop_wanted = True
    device.reports(answered=False)
    for _ in range(4):
        device.reports()
    assert device.taken == [{1: 1}, {2: 1}, {2: 2}], "what it overrides is left out"


STEPS = st.sampled_from(["report", "report lost", "answer lost", "wish", "bad wish", "stop", "boot", "late copy"])


@settings(deadline=None, max_examples=20)
@given(st.lists(STEPS, max_size=20))
@example(["report", "wish", "late copy", "stop", "answer lost", "stop"])
def test_whatever_is_lost_every_wish_is_taken_once_in_turn_and_a_stop_first(story):
    world = World()
    device = Device(world)
    owner = Wishes(world.collector)
    wishes = 0
    for step in [*story, *["report"] * 45]:
        if step == "wish":
            wishes += 1
            owner.keys.append({"limit": wishes})
        elif step == "bad wish":
            owner.keys.append({"release": 1})
        elif step == "stop":
            owner.stop_wanted = True
        elif step == "boot":
            device.boots()
        elif step == "late copy":
            if device.sent:
                world.now += timedelta(minutes=5)
                world.ask(device.sent, mid=9999)
        else:
            stop, taken = owner.stop_wanted, len(device.taken)
            device.reports(step != "report lost", step == "report")
            if stop and step == "report":
                assert device.taken[taken:] == [{1: 1}], "at once"
    assert [keys[2] for keys in device.taken if 2 in keys] == list(range(1, wishes + 1))
    assert {alarm.kind for alarm in world.collector.store.alarms(DEVICE)} <= {"order_refused"}
    assert any(1 in keys for keys in device.taken) == ("stop" in story)
    assert sum(1 in keys for keys in device.taken) <= story.count("stop")


def test_orders_are_each_devices_own(world):
    world.wanted = 500
    other = sealed(device="tracker-002", key=KEYS["tracker-002"])
    assert ordered(world.ask(sealed(), mid=1)) == [1, {2: 500}]
    assert ordered(world.ask(other, mid=2)) == [1, {2: 500}]
    assert ordered(world.ask(sealed(seq=1, counter=1), mid=3)) == [2, {2: 500}]


def test_a_short_message_is_not_answered_and_takes_no_order(world):
    world.wanted = 500
    world.collector.sms_user_data(sealed())
    assert world.asked == []
    assert world.collector.store.book.sent(DEVICE) == []


@given(st.binary(max_size=8), st.binary(min_size=1, max_size=90), st.integers(0, 0xFFFF))
def test_the_usual_request_is_read_and_answered_as_a_coap_library_does(token, payload, mid):
    datagram = Message(code=POST, payload=payload, uri_path=("r",), _mtype=CON, _mid=mid, _token=token).encode()
    asked = Asked(True, datagram[2 : 4 + len(token)])
    assert _usual(datagram) == (asked, payload)
    reply = World().collector._reply(asked, Code.CHANGED, payload)
    assert reply == Message(code=Code.CHANGED, payload=payload, _mtype=ACK, _mid=mid, _token=token).encode()


@given(st.binary(max_size=24), st.binary(max_size=12), st.booleans())
def test_what_is_taken_for_usual_is_so(head, tail, with_path):
    datagram = head + (b"\xb1r\xff" if with_path else b"") + tail
    if usual := _usual(datagram):
        request = Message.decode(datagram)
        assert (request.code, request.mtype, request.opt.uri_path) == (POST, CON, ("r",))
        asked, payload = usual
        repeated = request.mid.to_bytes(2, "big") + request.token
        assert (asked.confirmable, asked.id_and_token, payload) == (True, repeated, request.payload)


def test_a_life_that_another_collector_was_told_is_looked_up(database, monkeypatch):
    monkeypatch.setattr(Collector, "is_sure", False)  # as where a server has the database
    with closing(Store(database)) as one, closing(Store(database)) as other:
        here, there = Collector(one, KEYS), Collector(other, KEYS)
        assert code(there.coap(post(routine(), 1))) is Code.UNAUTHORIZED, "nobody knows it"
        here.coap(post(sealed(life_id=LIFE), 2))
        there._looked.clear()
        forged = there.receive(post(routine(key=bytes(32), seq=1), 3), "elsewhere")
        (refused,) = there.keep_all([forged])
        assert code(there.answer(forged, refused)) is Code.UNAUTHORIZED
        assert code(there.coap(post(routine(seq=1), 4))) is Code.CHANGED
        assert there.refusals == {BAD_MAC: 2}
        for mid in range(5, 9):
            there.receive(post(routine(key=bytes(32), seq=1), mid), "elsewhere")
        assert there.refusals == {BAD_MAC: 6}, "they make no more work"
        there.now = lambda: T0 - timedelta(days=9000)
        assert isinstance(there.receive(post(routine(key=bytes(32), seq=1), 9), "elsewhere"), Exchange)
        assert one.reports_received(DEVICE) == 2


def test_what_is_no_report_of_a_life_that_is_looked_up_takes_no_other_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Collector, "is_sure", False)
    path = tmp_path / "reports.sqlite"
    with closing(Store(path)) as one, closing(Store(path)) as other:
        here, there = Collector(one, KEYS), Collector(other, KEYS)
        here.coap(post(sealed(life_id=LIFE), 1))
        blobs = routine(payload=cbor2.dumps([1, 2, 3])), sealed(life_id=LIFE, seq=1)
        taken = [there.receive(post(blob, 2 + mid), None) for mid, blob in enumerate(blobs)]
        answers = [there.answer(*each) for each in zip(taken, there.keep_all(taken), strict=True)]
        assert [code(each) for each in answers] == [Code.UNAUTHORIZED, Code.CHANGED]


def test_answers_are_forgotten_when_there_are_too_many(world, monkeypatch):
    monkeypatch.setattr(intake, "_MOST_REMEMBERED", 3)
    for mid in range(50):
        world.ask(sealed(seq=mid), mid=mid)
    assert len(world.collector._answered | world.collector._answered_before) <= 4
    assert world.ask(sealed(seq=0), mid=0).code is Code.CHANGED
    assert world.heard[-1] is Outcome.DUPLICATE
