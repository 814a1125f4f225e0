"""CTWing's client against answers in the form that public clients have recorded, with the manual's own signature."""

import asyncio
from datetime import date
from urllib.parse import parse_qsl

import pytest

from host_tools.platforms.ctwing import Ctwing, signature
from host_tools.platforms.interface import BadCredentials, Data, Life, NoAnswer, Progress, Refused, Scope
from host_tools.platforms.secret import Secret
from tests.platforms.recorded import KEY, NOW, Recorded, client

SIM, OTHER = "1064900000001", "1064900000002"
FLOW = "POST api/v1/batchQry/batchQryFlowByMonth"
STATUS = "GET openapi/v1/prodinst/queryCardMainStatus"
CUT = "GET 5gcmp/openapi/v1/common/singleCutNet"
NUMBER = "GET 5gcmp/openapi/v1/common/disabledNumberService"
LIMIT = "GET 5gcmp/openapi/v1/common/offNetAction"


def row(sim, amount, **others):
    return {"accessNumber": sim, "result": "1", "unit": "MB", "flowAmount": amount, "month": "202603", "status": "0",
            "statusDesc": "查询成功", **others}  # fmt: skip


def flow(*rows):
    return {"code": 0, "msg": "查询成功", "data": [*rows]}


def status(code, net="未断网"):
    product = {"productMainStatusCd": code, "productMainStatusName": "…", "operatorDefinitionStatusName": ""}
    return {"result": "0", "resultMsg": "处理成功！", "netBlockStatusName": net, "productInfo": [product]}


def done(code="0000", text="成功"):
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><SvcCont><Response><RspType>0</RspType><RspCode>{code}</RspCode>"
        f"<RspDesc>{text}</RspDesc></Response><GROUP_TRANSACTIONID>1000000190</GROUP_TRANSACTIONID></SvcCont>"
    ).encode()


def asked(call, answers):
    """What `call(platform)` returns, and what it has asked for."""
    http = Recorded(answers)
    return asyncio.run(call(client(Ctwing, http, customer="2500000001"))), http.asked


def test_the_manuals_example_of_a_signature():
    body = '{"name":"xf","age":"dd"}'
    signed = signature("a=1&b=2&c=3", body, Secret("d1209cfefe895364e03"), "20201101021435")
    assert signed == "3863613035653132306631333231313733383637376333326536316631643934"


def test_usage_of_a_month_in_octets():
    found, ((_, _, body, headers),) = asked(
        lambda platform: platform.usage([SIM, OTHER, "1064900000003", "x/y"]),
        {FLOW: flow(row(SIM, "42118.59"), row(OTHER, "1.5", status="-1", statusDesc="号码不存在"))},
    )
    usage = found.found[SIM]
    assert usage.carried_octets == round(42118.59 * 1024 * 1024)
    assert (usage.cycle_start, usage.as_of) == (date(2026, 3, 1), NOW)
    assert found.problems[OTHER].message == "号码不存在"
    assert "leaves it out" in found.problems["1064900000003"].message
    assert "no number" in found.problems["x/y"].message
    assert body == {"custNumber": "2500000001", "accessNumber": [SIM, OTHER, "1064900000003"]}
    assert (headers["AppKey"], headers["Timestamp"]) == ("user", "20260310010000"), "in UTC"


def test_a_figure_of_another_month_or_unit_is_none():
    found, _ = asked(lambda platform: platform.usage([SIM]), {FLOW: flow(row(SIM, "1", month="202602"))})
    assert found.problems[SIM].message == "the figure is that of 202602"
    found, _ = asked(lambda platform: platform.usage([SIM]), {FLOW: flow(row(SIM, "2", unit="KB"))})
    assert found.found[SIM].carried_octets == 2048
    with pytest.raises(NoAnswer):
        asked(lambda platform: platform.usage([SIM]), {FLOW: flow(row(SIM, "1", unit="Mbit"))})


def test_batches_of_a_hundred():
    sims = [str(1_064_900_000_000 + number) for number in range(150)]
    answers = {FLOW: [flow(*(row(sim, "1") for sim in sims)) for _ in range(2)]}
    found, calls = asked(lambda platform: platform.usage(sims), answers)
    assert len(found.found) == 150
    assert [len(body["accessNumber"]) for _, _, body, _ in calls] == [100, 50]


@pytest.mark.parametrize(
    ("answer", "life", "data", "reasons"),
    [
        (status("1"), Life.SILENT, Data.ON, ()),
        (status("2"), Life.TEST, Data.ON, ()),
        (status("3"), Life.STOPPED, Data.OFF, ("test-deactivated",)),
        (status("4"), Life.ACTIVE, Data.ON, ()),
        (status("4", "已断网"), Life.ACTIVE, Data.OFF, ("data-cut",)),
        (status("4", ""), Life.ACTIVE, Data.UNKNOWN, ()),
        (status("5"), Life.STOPPED, Data.OFF, ("stopped",)),
        (status("6"), Life.STOPPED, Data.OFF, ("operator-managed",)),
        (status("7"), Life.GONE, Data.OFF, ()),
        ({"result": "0", "productInfo": []}, Life.UNKNOWN, Data.UNKNOWN, ()),
    ],
)
def test_states(answer, life, data, reasons):
    found, _ = asked(lambda platform: platform.state([SIM]), {STATUS: answer})
    state = found.found[SIM]
    assert (state.life, state.data, state.stop_reasons) == (life, data, reasons)


@pytest.mark.parametrize(
    ("verb", "scope", "path", "asks", "then"),
    [
        ("stop", Scope.DATA, CUT, {"action": "ADD"}, status("4", "已断网")),
        ("resume", Scope.DATA, CUT, {"action": "DEL"}, status("4")),
        ("stop", Scope.SIM, NUMBER, {"acctCd": "", "orderTypeId": "19"}, status("5")),
        ("resume", Scope.SIM, NUMBER, {"acctCd": "", "orderTypeId": "20"}, status("4")),
    ],
)
def test_changes_are_asked_for_once_and_seen_in_the_status(verb, scope, path, asks, then):
    async def change(platform):
        (made,) = (await getattr(platform, verb)([SIM], scope)).changes
        held = (await platform.stop([SIM])).held
        return [(await platform.outcome(made)).progress for _ in range(2)], held

    (progress, held), calls = asked(change, {path: done(), STATUS: [status("1", ""), then]})
    assert progress == [Progress.RUNNING, Progress.DONE]
    assert held.keys() == {SIM}
    query = dict(parse_qsl(calls[0][1].partition("?")[2], keep_blank_values=True))
    assert query == {"access_number": SIM, **asks}


def test_a_refusal_and_a_change_that_is_not_answered():
    refused = done("-9", "不能重复订购")
    made, _ = asked(lambda platform: platform.stop([SIM], Scope.DATA), {CUT: refused})
    assert (made.problems[SIM].code, "不能重复订购" in made.problems[SIM].message) == ("-9", True)
    for lost in (NoAnswer("lost", sure=False), b"<SvcCont><Resp", (502, b"<html>"), b"<html><p>busy</p></html>"):
        made, calls = asked(lambda platform: platform.stop([SIM], Scope.DATA), {CUT: lost})
        assert made.unsure.keys() == {SIM}
        assert len(calls) == 1


def test_a_limit_is_changed_or_made():
    made, calls = asked(lambda platform: platform.cap(SIM, 30 << 20), {LIMIT: [done("-1", "未订购达量断网"), done()]})
    assert made.changes
    queries = [dict(parse_qsl(path.partition("?")[2])) for _, path, *_ in calls]
    assert [query["action"] for query in queries] == ["2", "1"]
    assert queries[0] | {"action": ""} == {"access_number": SIM, "action": "", "quota": "30", "type": "1"}
    _, calls = asked(lambda platform: platform.cap(SIM, None), {LIMIT: done()})
    assert "quota=-1" in calls[0][1], "without its rule a SIM that was cut off would stay so"
    made, calls = asked(lambda platform: platform.cap(SIM, 1 << 20), {LIMIT: NoAnswer("lost", sure=False)})
    assert (made.unsure.keys(), len(calls)) == ({SIM}, 1)


def test_a_query_is_repeated_and_a_wrong_key_said_without_it():
    found, calls = asked(lambda platform: platform.state([SIM]), {STATUS: [(503, b""), b"{", status("4")]})
    assert found.found
    assert len(calls) == 3
    with pytest.raises(BadCredentials) as error:
        asked(lambda platform: platform.state([SIM]), {STATUS: (401, {"code": 401, "msg": f"AppKey user or {KEY}"})})
    assert KEY not in str(error.value)
    with pytest.raises(Refused):
        asked(lambda platform: platform.pool("p"), {})
