"""The collector's core, as the simulated network calls it: a datagram in, a datagram out."""

from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from aiocoap import ACK, CON, GET, NON, POST, RST, Code, Message
from hypothesis import given
from hypothesis import strategies as st

from host_tools.collector.intake import Collector
from host_tools.collector.order import Order
from host_tools.collector.store import Outcome, Store
from host_tools.collector.verify import BadMacError, MalformedError
from tests.collector.sealed import DEVICE, KEYS, sealed
from tests.collector.test_sms import deliver, submit

T0 = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


class World:
    def __init__(self):
        self.now = T0
        self.wanted = None
        self.asked = []
        self.collector = Collector(Store(), KEYS, lambda: self.now, self.order)
        self.heard = []
        self.collector.listeners.append(lambda received, outcome: self.heard.append(outcome))

    def order(self, device, report, now):
        self.asked.append((device, report.seq, now))
        if self.wanted is None:
            return None
        return Order(counter=self.collector.store.next_counter(device), limit=self.wanted)

    def ask(self, blob, mid=1, kind=CON, code=POST, path=("r",), token=b"ab", remote=None):
        request = Message(code=code, payload=blob, uri_path=path, _mtype=kind, _mid=mid, _token=token)
        reply = self.collector.coap(request.encode(), remote)
        return reply and Message.decode(reply)


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


@given(st.lists(st.sampled_from(["report", "report lost", "answer lost", "again", "new wish", "restart"]), max_size=40))
def test_whatever_is_lost_a_device_takes_each_order_once_and_ends_with_the_last(story):
    """Beside a device that goes by the format: a counter it has had changes nothing, a lower one is refused."""
    world, taken, wishes, told, sent = World(), [], [], [], []

    def wish(device, report, now):
        if wishes == told:
            return None
        told[:] = wishes
        return Order(counter=world.collector.store.next_counter(device), limit=wishes[-1])

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
    assert world.collector.store.orders(DEVICE) == []
