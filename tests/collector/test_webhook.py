"""Short messages by an SMS gateway's requests."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from contextlib import closing
from urllib.parse import urlencode

import aiohttp
import pytest

from host_tools.base.errors import UsageError
from host_tools.collector.database import UnavailableError
from host_tools.collector.intake import BAD_MAC, NOT_REPORTS, Collector
from host_tools.collector.store import Store
from host_tools.collector.webhook import UNSIGNED, Gateway, receiving
from host_tools.collector.writer import Writer
from tests.collector.sealed import DEVICE, KEYS, sealed
from tests.collector.test_sms_payload import deliver

PATH = "/sms/0123456789abcdef"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def answers(gateway, *requests, store=None, keep_all=None):
    """The status of the answer to each (body, content type, headers), and the collector."""

    async def story():
        with closing(store or Store()) as kept:
            collector = Collector(kept, KEYS)
            if keep_all:
                collector.keep_all = keep_all
            writer = Writer(collector)
            tcp = socket.create_server(("127.0.0.1", 0))
            async with (
                receiving(gateway, collector, tcp, writer),
                aiohttp.ClientSession(f"http://127.0.0.1:{tcp.getsockname()[1]}") as client,
            ):
                statuses = []
                for body, kind, headers in requests:
                    async with client.post(PATH, data=body, headers={"Content-Type": kind, **headers}) as answer:
                        statuses.append(answer.status)
                async with client.post("/sms/another", data=b"") as answer:
                    assert answer.status == 404
            await writer.close()
            return statuses, collector.refusals, [(each.path, each.report.seq) for each in kept.history(DEVICE)]

    return asyncio.run(story())


def in_json(blob, coding=bytes.hex):
    return json.dumps({"results": [{"to": "1", "data": coding(blob)}]}), JSON, {}


@pytest.mark.realtime
def test_a_message_is_stored_once_and_what_is_none_is_counted():
    gateway = Gateway(PATH, "results.0.data")
    forged, broken = sealed(key=bytes(32)), b"hello"
    requests = [in_json(sealed(seq=1)), in_json(sealed(seq=1)), in_json(forged), in_json(broken)]
    requests += [(b"{", JSON, {}), (b"[]", JSON, {}), (b'{"results": 1}', JSON, {}), (b"data=00", FORM, {})]
    requests += [(b"[" * 16_000, JSON, {})]
    requests += [in_json(sealed(seq=2))]
    statuses, refusals, kept = answers(gateway, *requests)
    assert statuses == [204, 204, 400, 400, 400, 400, 400, 400, 400, 204]
    assert refusals == {BAD_MAC: 1, NOT_REPORTS: 6}
    assert kept == [("sms", 1), ("sms", 2)]


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (
            {"message": "results.0.data", "coding": "base64"},
            in_json(sealed(), lambda blob: base64.b64encode(blob).decode()),
        ),
        ({"message": "data"}, (urlencode({"from": "+86", "data": sealed().hex()}), FORM, {})),
        (
            {"message": "pdu", "kind": "tpdu"},
            (urlencode({"pdu": deliver("+8613800000000", sealed()).hex()}), FORM, {}),
        ),
    ],
    ids=["base64", "form", "tpdu"],
)
def test_shapes(options, request_):
    assert answers(Gateway(PATH, **options), request_) == ([204], {}, [("sms", 0)])


@pytest.mark.realtime
def test_a_signature_is_the_gateways(monkeypatch):
    monkeypatch.setenv("SMS_KEY", "secret")
    gateway = Gateway(PATH, "results.0.data", signature="X-Sign", secret_env="SMS_KEY")
    body, kind, _ = in_json(sealed())
    good = hmac.new(b"secret", body.encode(), hashlib.sha256).hexdigest()
    bad = hmac.new(b"another", body.encode(), hashlib.sha256).hexdigest()
    signs = [{}, {"X-Sign": bad}, {"X-Sign": good}, {"X-Sign": f"sha256={good.upper()}"}]
    statuses, refusals, kept = answers(gateway, *((body, kind, sign) for sign in signs))
    assert (statuses, refusals) == ([401, 401, 204, 204], {UNSIGNED: 2})
    assert kept == [("sms", 0)]


@pytest.mark.realtime
def test_what_cannot_be_stored_is_to_be_delivered_again():
    def full(exchanges):
        return [UnavailableError("disk full")] * len(exchanges)

    statuses, refusals, kept = answers(Gateway(PATH, "results.0.data"), in_json(sealed()), keep_all=full)
    assert (statuses, kept) == ([503], [])
    assert refusals == {"not stored (disk full)": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "gateway: Object missing required field `path`"),
        ('[gateway]\nmessage = "a"', "missing required field `path`"),
        ('[gateway]\npath = "/sms/short"\nmessage = "a"', "can be guessed"),
        (f'[gateway]\npath = "{PATH}"\nmessage = "a"\ncoding = "text"', "coding"),
        (f'[gateway]\npath = "{PATH}"\nmessage = "a"\nsignature = "X"', "give both, or neither"),
        (f'[gateway]\npath = "{PATH}"\nmessage = "a"\nsignature = "X"\nsecret_env = "NOT_SET"', "NOT_SET is not set"),
        (f'[gateway]\npath = "{PATH}"\nmessage = "a"\nmore = 1', "more"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, said):
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        Gateway.load(file)


def test_a_file(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(f'[gateway]\npath = "{PATH}"\nmessage = "data"\nkind = "tpdu"')
    assert Gateway.load(file) == Gateway(PATH, "data", kind="tpdu")
