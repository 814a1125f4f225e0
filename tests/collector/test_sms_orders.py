"""Orders that go out by an SMS gateway, and what a device makes of them."""

import base64
import json
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qsl

import cbor2
import pytest
from usageguard.core.mac import mac0_open
from usageguard.modem.mailbox import user_data
from usageguard.upstream.sms_orders import SmsOrders

from host_tools import cli
from host_tools.collector.order import Grant, Order
from host_tools.collector.store import Store
from host_tools.collector.verify import decode_report, seal_sms_order
from host_tools.sim.modem import tpdu
from tests.collector.sealed import DEVICE, KEY, LIFE, full

NUMBER = "+8613800138001"
AAD = b"S" + LIFE + DEVICE.encode()


class Gateway(BaseHTTPRequestHandler):
    status = 202

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        read = json.loads if self.headers["Content-Type"] == "application/json" else lambda text: dict(parse_qsl(text))
        self.server.got.append((self.path, self.headers["Authorization"], read(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def gateway(status=202):
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.got, server.status = [], status
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "reports.sqlite"
    payload = cbor2.dumps(full())
    with closing(Store(path)) as store:
        store.add(DEVICE, decode_report(payload), payload, datetime.now(UTC) - timedelta(hours=1), "coap")
    (tmp_path / "keys.toml").write_text(f'"{DEVICE}" = "{KEY.hex()}"\n')
    return path


def outgoing(db, url="http://127.0.0.1:9", more="", numbers=f'"{DEVICE}" = "{NUMBER}"'):
    text = f'[outgoing]\nurl = "{url}"\nnumber = "to"\nmessage = "data"\n{more}\n[numbers]\n{numbers}\n'
    (db.parent / "gateway.toml").write_text(text)


def order(what, *argv, sms="gateway.toml", keys=("--keys", "keys.toml")):
    return cli.run(["order", what, DEVICE, "--by", "Li", "--sms", sms, *keys, *argv]) or 0


def given(db):
    with closing(Store(db)) as store:
        return [(each.what, each.state.value) for each in store.book.given()], store.book.pending(DEVICE)


@pytest.mark.parametrize(
    ("more", "coded"),
    [
        ("", bytes.hex),
        ('coding = "base64"\nbody = "form"', lambda octets: base64.b64encode(octets).decode()),
        ('coding = "text"\nfields = { kind = "7bit" }', lambda octets: base64.b64encode(octets).decode()),
    ],
)
def test_the_gateway_gets_an_order_that_the_device_opens(db, monkeypatch, more, coded):
    monkeypatch.setenv("SMS_TOKEN", "Bearer t")
    with gateway() as server:
        url = f"http://127.0.0.1:{server.server_port}/send"
        outgoing(db, url, f'authorization_env = "SMS_TOKEN"\n{more}')
        assert order("stop") == 0
    sealed = seal_sms_order(KEY, DEVICE, LIFE, Order(counter=1, stop=1))
    expected = {"to": NUMBER, "data": coded(sealed)} | ({"kind": "7bit"} if "kind" in more else {})
    assert server.got == [("/send", "Bearer t", expected)]
    assert cbor2.loads(mac0_open(KEY, AAD, sealed)) == [1, {1: 1}]
    assert given(db) == ([("stop by SMS", "sent")], Order(counter=1, stop=1))


def test_an_order_by_sms_goes_before_all_that_waits(db, capsys):
    assert cli.run(["order", "limit=5MB", DEVICE]) in (0, None)
    assert cli.run(["order", "resume", DEVICE]) in (0, None)
    assert order("stop", sms="-") == 0
    printed = "".join(capsys.readouterr().out.split())
    assert seal_sms_order(KEY, DEVICE, LIFE, Order(counter=2, stop=1)).hex().upper() in printed
    states, pending = given(db)
    assert pending == Order(counter=2, stop=1)
    assert states == [("limit=5MB", "waiting"), ("resume", "superseded"), ("stop by SMS", "sent")]


@pytest.mark.parametrize("status", [500, None])
def test_what_the_gateway_does_not_take_waits_for_the_next_report(db, capsys, status):
    with gateway(status or 202) as server:
        outgoing(db, f"http://127.0.0.1:{server.server_port}/s3cret" if status else "http://127.0.0.1:1/s3cret")
        assert order("stop") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the SMS gateway has not taken it" in told
    assert "s3cret" not in told
    assert given(db) == ([("stop by SMS", "sent")], Order(counter=1, stop=1)), "sent with the next answer again"


def test_a_device_has_so_many_messages_a_day(db, capsys):
    with gateway() as server:
        outgoing(db, f"http://127.0.0.1:{server.server_port}", "most_per_day = 2")
        assert [order(what) for what in ("stop", "resume", "stop")] == [0, 0, 2]
    assert "has had 2 short messages within a day" in capsys.readouterr().err
    assert len(server.got) == len(given(db)[0]) == 2


@pytest.mark.parametrize(
    ("what", "argv", "said"),
    [
        ("used=1MB", {}, "set_used would be wrong when it comes late"),
        ("new-sim=0", {}, "new_sim would be wrong"),
        ("stop", {"keys": ()}, "--keys: is missing"),
        ("stop", {"sms": "bare.toml"}, "tracker-001: has no number"),
        ("stop", {"sms": "no-url.toml"}, "outgoing.url: is not a URL"),
        ("stop", {"sms": "token.toml"}, "NOT_SET is not set"),
        ("stop", {"keys": ("--keys", "others.toml")}, "tracker-001: has no key there"),
    ],
)
def test_bad_input_orders_nothing(db, capsys, what, argv, said):
    outgoing(db, numbers="")
    (db.parent / "gateway.toml").rename(db.parent / "bare.toml")
    outgoing(db, "gateway.example")
    (db.parent / "gateway.toml").rename(db.parent / "no-url.toml")
    outgoing(db, more='authorization_env = "NOT_SET"')
    (db.parent / "gateway.toml").rename(db.parent / "token.toml")
    outgoing(db)
    (db.parent / "others.toml").write_text(f'"tracker-009" = "{KEY.hex()}"\n')
    assert order(what, **argv) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert given(db) == ([], None)


class Device:
    """The device's side: `counter` is that of the last order applied."""

    def __init__(self, counter=4):
        self.orders = []
        self.events = []
        self.mailbox = SimpleNamespace(refused=0)
        hal = SimpleNamespace(ticks_ms=lambda: 7, event=lambda *event: self.events.append(event))
        config = SimpleNamespace(device_id=DEVICE, key=KEY)
        account = SimpleNamespace(standing=SimpleNamespace(counter=counter))
        ledger = SimpleNamespace(life_id=LIFE)
        SmsOrders(config, hal, ledger, account, self.mailbox, lambda *order: self.orders.append(order))


@pytest.mark.parametrize("coded", [bytes, base64.b64encode])
def test_a_device_takes_its_own_new_orders(coded):
    device = Device()
    device.mailbox.take(coded(seal_sms_order(KEY, DEVICE, LIFE, Order(counter=5, stop=1, limit=9))))
    assert (device.orders, device.mailbox.refused) == ([(5, {1: 1, 2: 9}, 7)], 0)


STOP = Order(counter=5, stop=1)
GOOD = seal_sms_order(KEY, DEVICE, LIFE, STOP)


@pytest.mark.parametrize(
    "octets",
    [
        *(b"", b"\x84", b"hello", bytes(140), GOOD[:-1], GOOD + b"\x00", GOOD[:-1] + bytes([GOOD[-1] ^ 1])),
        *(base64.b64encode(GOOD)[:-4], base64.b64encode(GOOD[:-1])),
        seal_sms_order(bytes(32), DEVICE, LIFE, STOP),
        seal_sms_order(KEY, "tracker-002", LIFE, STOP),
        seal_sms_order(KEY, DEVICE, b"else", STOP),
        *(seal_sms_order(KEY, DEVICE, LIFE, Order(counter=counter, stop=1)) for counter in (1, 4)),
        seal_sms_order(KEY, DEVICE, LIFE, Order(counter=5, grant=Grant(305, 9, 9, 9))),
        *(seal_sms_order(KEY, DEVICE, LIFE, SimpleNamespace(encode=lambda what=what: cbor2.dumps(what)))
          for what in (5, [5], [5, 6], ["5", {}], [5, {1: 1}, 0], {})),
    ],
)  # fmt: skip
def test_whatever_else_comes_changes_nothing_and_is_counted(octets):
    device = Device()
    device.mailbox.take(octets)
    assert (device.orders, device.mailbox.refused, device.events) == ([], 1, [("sms-refused", 1)])


def arrived(coding, data, first=0x04):
    """An SMS-DELIVER behind the address of a service centre, as AT+CMGR shows it."""
    unit = tpdu.deliver("+8613900000000", coding, data, datetime(2026, 3, 1, tzinfo=UTC))
    return bytes.fromhex("07916831080200F0") + bytes((first,)) + unit[1:]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 25, 120, 140])
def test_user_data_is_what_was_sent(size):
    octets = bytes(range(100, 100 + size)) if size < 150 else b""
    assert user_data(arrived(tpdu.OCTETS, octets)) == octets
    assert user_data(arrived(0xF5, octets)) == octets, "8-bit data with a class"
    text = base64.b64encode(octets[:120])
    assert user_data(arrived(tpdu.GSM7, text)) == text


@pytest.mark.parametrize("pdu", [
    *(b"", b"\x00", arrived(4, b"x" * 9)[:-1], arrived(4, b"x" * 9, 0x44), arrived(4, b"x" * 9, 0x01)),
    arrived(tpdu.UCS2, "中".encode("utf-16-be")),
])  # fmt: skip
def test_other_messages_are_none(pdu):
    with pytest.raises((ValueError, IndexError)):
        user_data(pdu)
