"""Client and served platform, function by function, against what is publicly known of OneLink; and its traps."""

import asyncio
import base64
import hashlib
import hmac
import json
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.interface import (
    BadCredentials,
    BudgetSpent,
    Data,
    Life,
    NoAnswer,
    Progress,
    Refused,
    Scope,
)
from host_tools.platforms.onelink import functions, meaning
from host_tools.platforms.onelink.functions import Function, Kind
from host_tools.platforms.onelink.skins import Gateway
from host_tools.platforms.secret import Secret
from host_tools.platforms.served import onelink as served
from host_tools.platforms.transport import Pace
from host_tools.sim.carrier import Package as Bought
from tests.platforms.carrier_world import APPID, CHINA, INTERVAL, MB, PASSWORD, SIMS, CarrierWorld, Direct, number

MANUAL = tomllib.loads((Path(__file__).parent / "onelink.toml").read_text("utf-8"))
ONE, TWO, THREE = SIMS
CLIENT = {each.number: each for each in vars(functions).values() if isinstance(each, Function)}


def run(coroutine):
    return asyncio.run(coroutine)


# --- the table ---


@pytest.mark.parametrize("name", MANUAL)
def test_both_have_the_manuals_path(name):
    entry = MANUAL[name]
    assert CLIENT[name].path == entry["path"]
    assert CLIENT[name].kind is (Kind.CHANGE if entry.get("once") or name in ("23E04", "23A03") else Kind.QUERY)
    assert served.FUNCTIONS[entry["path"]][0] == name


def test_the_manual_has_every_function_that_the_client_uses():
    assert CLIENT.keys() - MANUAL.keys() <= {"23S00"}


def fields(value, prefix=""):
    """The fields of an object, those in lists behind the list's name."""
    for name, inner in value.items():
        if isinstance(inner, list):
            for each in inner:
                yield from fields(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def allowed(field, patterns):
    return any(field == each or (each.endswith("*") and field.startswith(each[:-1])) for each in patterns)


def check_call(path, parameters, answer):
    """One call that was made, against the manual."""
    number = served.FUNCTIONS[path][0]
    entry = MANUAL[number]
    names = set(parameters) - {"transid", "token"}
    for needed in entry["needs"]:
        plural = "s" if needed == "sims" else ""
        choices = {f"{kind}{plural}" for kind in ("msisdn", "iccid", "imsi")} if needed in ("sim", "sims") else {needed}
        assert len(choices & names) == 1, (number, needed, names)
        names -= choices
    assert names <= set(entry.get("may", ())), number
    if answer["status"] != "0":
        return number
    for each in answer["result"]:
        found = set(fields(each))
        for field in found:
            assert allowed(field, [*entry["result"], *entry.get("may_result", ())]), (number, field)
    if answer["result"] and "resultList" not in answer["result"][0]:
        assert {field for field in entry["result"] if "." not in field} <= set(answer["result"][0]), number
    return number


async def every_function(world, http):
    """Calls each of the client's methods once."""
    client = world.client(http)
    await client.usage(SIMS)
    await client.usage(SIMS, newest=True)
    await client.day([ONE, TWO], date(2026, 3, 10))
    await client.plan(ONE)
    await client.pool("7001")
    await client.used_in_pool(ONE)
    await client.members("7001")
    await client.stop([ONE])
    await client.stop([TWO, THREE])
    job = (await client.alarms(SIMS, (1 * MB, 2 * MB, 3 * MB))).changes[0]
    assert (await client.outcome(job)).progress is Progress.DONE
    world.run(hours=1)
    await client.state(SIMS)
    await client.history(ONE)
    await client.events(date(2026, 3, 11))
    await client.resume([ONE])
    change = (await client.resume([TWO, THREE])).changes[0]
    world.run(hours=1)
    await client.outcome(change)
    await client.state(SIMS)
    order = (await client.stop([ONE], Scope.DATA)).changes[0]
    await client.stop([TWO, THREE], Scope.DATA)
    await client.outcome(order)
    world.run(hours=1)
    await client.throttle(ONE, 512_000)
    await client.cap(ONE, 5 * MB)


def test_every_call_is_as_the_manual_has_it():
    world = CarrierWorld(pool=90 * MB)
    for sim in SIMS:
        world.use(sim, 4096)
    world.run(days=1)
    http = Direct(world)
    run(every_function(world, http))
    made = {check_call(*call) for call in http.calls}
    assert made == MANUAL.keys()
    assert all(answer["status"] == "0" for _, _, answer in http.calls)


# --- figures and their units ---


def test_kilobytes_are_octets_and_one_function_has_octets():
    world = CarrierWorld(pool=90 * MB, pb=False)
    world.use(ONE, 300 * 1024 + 256)
    client = world.client()

    async def figures():
        newest = (await client.usage([ONE], newest=True)).found[ONE]
        return newest.carried_octets, await client.used_in_pool(ONE), (await client.pool("7001"))[0]

    used, in_pool, pool = run(figures())
    assert used == in_pool == 307_456
    assert (pool.total, pool.used, pool.left) == (90 * MB, 307_456, 90 * MB - 307_456)


@pytest.mark.parametrize(
    ("pb", "as_of", "octets"), [(True, "2026-03-11T00:00", 1024), (False, "2026-03-11T09:00", 3072)]
)
def test_a_figure_says_up_to_when_it_counts(pb, as_of, octets):
    world = CarrierWorld(pb=pb)
    world.use(ONE, 1024)
    world.run(hours=23)
    world.use(ONE, 2048)
    world.run(hours=1)
    found = run(world.client().usage([ONE], newest=True)).found[ONE]
    assert (found.carried_octets, found.as_of) == (octets, datetime.fromisoformat(f"{as_of}+08:00"))
    assert found.cycle_start == date(2026, 3, 1)
    batch = run(world.client().usage(SIMS)).found
    assert batch[ONE].as_of == datetime(2026, 3, 11, tzinfo=CHINA)
    assert {sim: each.carried_octets for sim, each in batch.items()} == {ONE: 1024, TWO: 0, THREE: 0}


def test_on_the_first_of_a_month_nothing_of_it_is_known_yet():
    world = CarrierWorld(start="2026-03-31T09:00:00+08:00")
    world.use(ONE, 1024)
    world.run(hours=24)
    found = run(world.client().usage([ONE])).found[ONE]
    assert (found.carried_octets, found.as_of) == (0, datetime(2026, 4, 1, tzinfo=CHINA))


def test_days_add_up_to_the_month():
    world = CarrierWorld()
    for octets in (1024, 2048, 4096):
        world.use(ONE, octets)
        world.run(days=1)
    client = world.client()

    async def figures():
        days = [(await client.day([ONE], date(2026, 3, day))).found[ONE] for day in (10, 11, 12)]
        return days, (await client.usage([ONE])).found[ONE].carried_octets

    assert run(figures()) == ([1024, 2048, 4096], 7168)


@given(st.decimals(min_value=0, max_value=10**9, places=3))
def test_an_amount_is_never_less_than_it_says(amount):
    octets = meaning.octets(str(amount), meaning.KB)
    assert 0 <= octets - amount * 1024 < 1


@pytest.mark.parametrize("text", [" ", None, ""])
def test_one_blank_is_no_amount(text):
    assert meaning.octets(text, meaning.KB) is None


@pytest.mark.parametrize("text", ["NaN", "-1", "1,5", "Infinity", "1e99", "abc"])
def test_what_is_no_amount_is_not_taken_for_one(text):
    with pytest.raises(ValueError, match="is not an amount"):
        meaning.octets(text, meaning.KB)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260310", "2026-03-11T00:00"),
        ("20260310235959", "2026-03-10T23:59:59"),
        ("2026-03-10 23:59:59", "2026-03-10T23:59:59"),
        (" ", "2026-03-15T00:00"),
    ],
)
def test_deadlines(text, expected):
    now = datetime(2026, 3, 15, 8, tzinfo=CHINA)
    assert meaning.until(text, now) == datetime.fromisoformat(f"{expected}+08:00")


# --- states and reasons ---


@pytest.mark.parametrize(
    ("platform", "status", "life"),
    [
        ("OneLink-PB", "00", Life.ACTIVE), ("OneLink-PB", "01", Life.STOPPED), ("OneLink-PB", "02", Life.STOPPED),
        ("OneLink-PB", "03", Life.GONE), ("OneLink-PB", "04", Life.GONE), ("OneLink-PB", "05", Life.GONE),
        ("OneLink-PB", "06", Life.SILENT), ("OneLink-PB", "07", Life.SILENT), ("OneLink-PB", "99", Life.GONE),
        ("OneLink-CT", "1", Life.SILENT), ("OneLink-CT", "2", Life.ACTIVE), ("OneLink-CT", "4", Life.STOPPED),
        ("OneLink-CT", "6", Life.TEST), ("OneLink-CT", "7", Life.STOCK), ("OneLink-CT", "8", Life.GONE),
        ("OneLink-CT", "9", Life.GONE), ("OneLink-CT", "02", Life.UNKNOWN), ("OneLink-PB", "2", Life.UNKNOWN),
        ("", "00", Life.UNKNOWN),
    ],
)  # fmt: skip
def test_a_status_means_what_its_platform_says(platform, status, life):
    assert meaning.life(platform, status) is life


@pytest.mark.parametrize(
    ("digits", "reasons"),
    [
        ("200000000000", ("product-expired",)),
        ("020000000000", ("imei-separation",)),
        ("000200000000", ("m2m-management",)),
        ("000020000020", ("credit-control", "forced")),
        ("000000002000", ("customer",)),
        ("000000000200", ("region",)),
        ("002000000000", ("digit-2",)),
        ("000000000000", ()),
        (" ", ()),
    ],
)
def test_stop_reasons(digits, reasons):
    assert meaning.stop_reasons(digits) == reasons


@pytest.mark.parametrize("pb", [True, False])
def test_used_up_data_is_a_paused_service_of_a_normal_sim(pb):
    world = CarrierWorld(allowance=10 * 1024, pb=pb)
    world.use(ONE, 11 * 1024)
    world.run(days=1)
    found = run(world.client().state([ONE])).found[ONE]
    assert (found.life, found.data, found.stop_reasons) == (Life.ACTIVE, Data.OFF, ("data-used-up",))
    assert found.raw["cardStatus"] == ("00" if pb else "2")


@pytest.mark.parametrize("pb", [True, False])
@pytest.mark.parametrize("many", [False, True])
def test_a_stop_and_a_resume_by_the_customer(pb, many):
    """The digits of the single function and of the batch differ: with the other's, nothing or the opposite happens."""
    world = CarrierWorld(pb=pb)
    client, sims = world.client(), [ONE, TWO] if many else [ONE]

    async def there_and_back():
        seen = []
        for change in (client.stop, client.resume):
            ordered = await change(sims)
            assert (ordered.held, ordered.problems, ordered.unsure) == ({}, {}, {})
            (made,) = ordered.changes
            seen.append((await client.outcome(made)).progress)
            world.run(seconds=40)
            seen.append((await client.outcome(made)).progress)
            world.run(seconds=40)
            seen.append((await client.outcome(made)).progress)
            states = (await client.state(SIMS)).found
            seen.append([(states[sim].life, states[sim].data, states[sim].stop_reasons) for sim in sims])
            assert states[THREE].life is Life.ACTIVE
            world.run(minutes=40)
        return seen

    steps = [Progress.WAITING, Progress.RUNNING, Progress.DONE]
    assert run(there_and_back()) == [
        *steps, [(Life.STOPPED, Data.OFF, ("customer",))] * len(sims),
        *steps, [(Life.ACTIVE, Data.ON, ())] * len(sims),
    ]  # fmt: skip


@pytest.mark.parametrize("many", [False, True])
def test_data_alone_is_stopped_and_resumed(many):
    world = CarrierWorld()
    client, sims = world.client(), [ONE, TWO] if many else [ONE]

    async def there_and_back():
        seen = []
        for change in (client.stop, client.resume):
            await change(sims, Scope.DATA)
            world.run(minutes=31)
            states = (await client.state(sims)).found.values()
            seen += [(state.life, state.data, state.stop_reasons) for state in states]
        return seen

    off, on = (Life.ACTIVE, Data.OFF, ("data-paused",)), (Life.ACTIVE, Data.ON, ())
    assert run(there_and_back()) == [off] * len(sims) + [on] * len(sims)


def test_the_digits_of_each_change():
    world = CarrierWorld()
    http = Direct(world)
    client = world.client(http)

    async def all_changes():
        for scope in Scope:
            for sims in ([ONE], [TWO, THREE]):
                for change in (client.stop, client.resume):
                    world.run(hours=1)
                    await change(sims, scope)

    run(all_changes())
    sent = {}
    for path, parameters, _ in http.calls:
        if "operType" in parameters:
            sent.setdefault(served.FUNCTIONS[path][0], []).append(parameters["operType"])
    assert sent == {name: list(entry["digits"].values()) for name, entry in MANUAL.items() if "digits" in entry}


def test_a_history_has_the_old_state_first():
    world = CarrierWorld()
    client = world.client()

    async def stopped():
        await client.stop([ONE])
        world.run(minutes=5)
        return await client.history(ONE), await client.events(date(2026, 3, 9))

    history, events = run(stopped())
    assert history == [(Life.ACTIVE, Life.STOPPED, "2026-03-10 09:01:00")]
    assert [(event.sim, event.what, event.day) for event in events] == [(ONE, "stopped", date(2026, 3, 10))]


def test_events_cost_a_call_for_each_state_and_day_and_page():
    world = CarrierWorld(sims=120)
    client = world.client(http := Direct(world))
    sims = [number(index) for index in range(1, 121)]

    async def stopped():
        await client.stop(sims)
        world.run(minutes=5)
        http.calls.clear()
        return await client.events(date(2026, 3, 10))

    assert sorted(event.sim for event in run(stopped())) == sims
    assert len(http.calls) == 5  # three pages of "02", one of "01" and of CT's "4"


# --- changes: interval, batches, refusals ---


def test_a_sim_inside_its_interval_is_held_back_and_the_others_go():
    world = CarrierWorld()
    client = world.client()

    async def twice():
        await client.stop([TWO])
        world.run(minutes=10)
        ordered = await client.stop(SIMS)
        world.run(minutes=5)
        return ordered, (await client.state(SIMS)).found

    ordered, states = run(twice())
    assert ordered.held == {TWO: datetime(2026, 3, 10, 9, 30, tzinfo=CHINA)}
    assert [change.sims for change in ordered.changes] == [(ONE, THREE)]
    assert all(state.life is Life.STOPPED for state in states.values())


def test_a_batch_with_one_that_another_program_has_changed_fails_whole():
    world = CarrierWorld()
    client, other = world.client(), world.client()

    async def race():
        await other.stop([TWO])
        world.run(minutes=5)
        (change,) = (await client.stop(SIMS)).changes
        world.run(minutes=5)
        outcome = await client.outcome(change)
        again = await client.stop([ONE])  # it was not changed, so it need not wait
        return outcome, again

    outcome, again = run(race())
    assert outcome.progress is Progress.FAILED
    assert outcome.problems.keys() == set(SIMS)
    assert "fails all of its batch" in outcome.problems[ONE].remedy
    assert len(again.changes) == 1


def test_change_times_outlive_the_process(tmp_path):
    file = tmp_path / "changes.json"
    now = datetime(2026, 3, 10, tzinfo=UTC)
    ChangeTimes(INTERVAL, file).put([ONE], now)
    again = ChangeTimes(INTERVAL, file)
    assert again.free_at(ONE, now + timedelta(minutes=29)) == now + INTERVAL
    assert again.free_at(ONE, now + INTERVAL) is None
    again.forget([ONE])
    assert ChangeTimes(INTERVAL, file).free_at(ONE, now) is None


def test_a_hundred_go_in_one_batch():
    world = CarrierWorld(sims=230)
    client = world.client(http := Direct(world))
    sims = [number(index) for index in range(1, 231)]

    async def both():
        ordered = await client.stop(sims)
        return ordered, await client.usage(sims)

    ordered, usage = run(both())
    assert [len(change.sims) for change in ordered.changes] == [100, 100, 30]
    assert usage.found.keys() == set(sims)
    assert len(http.calls) == 1 + 3 + 3


@pytest.mark.parametrize("kind", ["iccid", "imsi"])
def test_sims_by_their_other_numbers(kind):
    """A batch of changes takes MSISDNs only, so these go one by one."""
    world = CarrierWorld()
    world.use(ONE, 2048)
    world.run(days=1)
    numbers = [getattr(card, kind) for card in world.cards]
    client = world.client()

    async def both():
        return (await client.usage(numbers)).found, await client.stop(numbers)

    usage, ordered = run(both())
    assert usage[numbers[0]].carried_octets == 2048
    assert [change.sims for change in ordered.changes] == [(each,) for each in numbers]


@pytest.mark.parametrize(
    ("cause", "code", "remedy"),
    [("exhausted", "12100", "top the plan up"), ("expired", "12099", "renew"), ("arrears", "12098", "see its reasons")],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_refused_resume_is_an_outcome(cause, code, remedy, many):
    world = CarrierWorld()
    sims = [ONE, TWO] if many else [ONE]
    for sim in sims:
        world.carrier.stop(world.imsi[sim], cause)
    client = world.client()

    async def resume():
        ordered = await client.resume(sims)
        if not many:
            return ordered.problems
        world.run(minutes=5)
        outcome = await client.outcome(ordered.changes[0])
        assert outcome.progress is Progress.FAILED
        return outcome.problems

    problems = run(resume())
    assert {sim: problem.code for sim, problem in problems.items()} == dict.fromkeys(sims, code)
    assert all(remedy in problem.remedy for problem in problems.values())


def test_a_batch_that_is_done_in_part():
    world = CarrierWorld()
    world.carrier.stop(world.imsi[TWO], "expired")
    client = world.client()

    async def part():
        await client.stop([ONE, THREE])
        world.run(minutes=40)
        (change,) = (await client.resume(SIMS)).changes
        world.run(minutes=5)
        return await client.outcome(change)

    outcome = run(part())
    assert outcome.progress is Progress.DONE
    assert {sim: problem.code for sim, problem in outcome.problems.items()} == {TWO: "12099"}


def test_sims_that_are_not_ours_do_not_keep_the_others_from_an_answer():
    world = CarrierWorld(sims=40)
    world.api._cards[7] = served.Card(number(8), "89860400000000000008", world.cards[7].imsi, "another")
    sims = [*(number(index) for index in range(1, 41)), "1440999999999", "nonsense"]
    answers = run(world.client().usage(sims))
    codes = {sim: problem.code for sim, problem in answers.problems.items()}
    assert codes == {number(8): "12009", "1440999999999": "12010", "nonsense": ""}
    assert answers.found.keys() == set(sims) - codes.keys()
    types = run(world.client().state([number(8), ONE]))
    assert (types.problems[number(8)].code, types.found.keys()) == ("12009", {ONE})


def test_a_cap_is_added_then_altered_then_lifted():
    world = CarrierWorld(pool=90 * MB)
    client = world.client()

    async def caps():
        seen = []
        for octets in (5 * MB + 17, 7 * MB, None):
            assert not (await client.cap(ONE, octets)).problems
            seen.append(world.carrier.news(world.imsi[ONE]).sim_cap)
        return seen

    assert run(caps()) == [5 * MB, 7 * MB, None]


def test_rates_and_alarms_that_onelink_does_not_have():
    client = CarrierWorld().client()
    with pytest.raises(Refused, match="512,000"):
        run(client.throttle(ONE, 64_000))
    with pytest.raises(Refused, match="rise"):
        run(client.alarms([ONE], (2 * MB, 2 * MB, 3 * MB)))
    with pytest.raises(ValueError, match="whole megabytes"):
        run(client.alarms([ONE], (2, 3, 4)))


# --- what is ordered, and when it ends ---


def test_a_package_has_its_last_day():
    world = CarrierWorld(plan={"package": Bought(12), "activated": date(2026, 1, 1)})
    (package,) = run(world.client().plan(ONE))
    assert (package.total, package.expires) == (30 * MB, date(2026, 12, 31))
    (package,) = run(CarrierWorld().client().plan(ONE))
    assert package.expires is None


def offered(id, end, name=""):
    return {"offeringId": id, "offeringName": name, "effectiveDate": " ", "expiriedDate": end, "apnName": " "}


@pytest.mark.parametrize(
    ("ordered", "ends"),
    [
        ([], {"流量套餐": None}),
        ([offered("100001", "2026-12-31 23:59:59")], {"流量套餐": date(2026, 12, 31)}),
        ([offered("100001", " ")], {"流量套餐": None}),
        ([offered("100001", "some day")], {"流量套餐": None}),
        # renewed: what follows on the order before it
        ([offered("100001", each) for each in ("20261231235959", "20271231235959")], {"流量套餐": date(2027, 12, 31)}),
        ([offered("100001", each) for each in ("20261231235959", " ")], {"流量套餐": None}),
        # beside the allowance
        ([offered("7", "20260401", "语音")], {"流量套餐": None, "语音": date(2026, 4, 1)}),
    ],
)
def test_what_is_ordered_tells_when_it_ends(ordered, ends):
    world = CarrierWorld()
    body = json.dumps({"status": "0", "message": "正确", "result": [{"offeringInfoList": ordered}]}).encode()
    packages = run(world.client(Failing(Direct(world), "query/ordered-offerings", [(200, body)])).plan(ONE))
    assert {each.name: each.expires for each in packages} == ends
    assert [each.total for each in packages] == [30 * MB] + [None] * (len(ends) - 1)


def test_a_contract_without_that_function_has_its_allowances():
    world = CarrierWorld()
    body = json.dumps({"status": "11000", "message": "no such function", "result": []}).encode()
    (package,) = run(world.client(Failing(Direct(world), "query/ordered-offerings", [(200, body)])).plan(ONE))
    assert (package.total, package.expires) == (30 * MB, None)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2027-01-01 00:00:00", date(2026, 12, 31)),  # it ends as the day begins
        ("2026-12-31 23:59:59", date(2026, 12, 31)),
        ("20261231", date(2026, 12, 31)),
        ("2026-12-31", date(2026, 12, 31)),
        ("2026-13-31", None),
        ("2026-12", None),
        (" ", None),
        (None, None),
    ],
)
def test_a_last_day(text, day):
    assert meaning.last_day(text) == day


# --- token, budget, faults ---


def test_a_token_is_fetched_once_and_again_when_it_is_old():
    world = CarrierWorld()
    client = world.client()

    async def hours():
        for _ in range(5):
            await client.plan(ONE)
            world.run(minutes=50)

    run(hours())
    assert world.api.calls == {"25000": 3, "23U07": 5, "23R00": 5}  # for the hours 0, 1:40 and 3:20


def test_many_calls_at_once_share_one_token():
    world = CarrierWorld()
    client = world.client()

    async def at_once():
        await asyncio.gather(*(client.plan(ONE) for _ in range(10)))
        world.api.forget_tokens()
        await asyncio.gather(*(client.plan(ONE) for _ in range(10)))

    run(at_once())
    assert world.api.calls["25000"] == 2


def test_two_programs_of_one_account_do_not_take_each_others_token():
    world = CarrierWorld()
    first, second = world.client(one := Direct(world)), world.client(two := Direct(world))

    async def turns():
        for _ in range(3):
            await first.plan(ONE)
            await second.plan(ONE)

    run(turns())
    assert all(answer["status"] == "0" for _, _, answer in one.calls + two.calls)
    assert world.api.calls["25000"] == 2


class Failing:
    """Http that fails some calls of a path, before or after the platform has carried them out."""

    def __init__(self, inner, path, errors, before=True):
        self._inner, self._path, self._errors, self._before = inner, path, list(errors), before
        self.calls = 0

    async def send(self, method, url, body, headers):
        if not url.endswith(self._path):
            return await self._inner.send(method, url, body, headers)
        self.calls += 1
        error = self._errors.pop(0) if self._errors else None
        if error is None:
            return await self._inner.send(method, url, body, headers)
        if not self._before:
            await self._inner.send(method, url, body, headers)
        if isinstance(error, Exception):
            raise error
        return error

    async def close(self):
        pass


def code(status):
    return 200, json.dumps({"status": status, "message": "x", "result": []}).encode()


LOST = NoAnswer("lost", sure=False)
FAULTS = [
    LOST,
    (502, b"<html>"),
    (200, b"{"),
    (200, b"[]"),
    (200, b'{"status":"0","result":[7]}'),
    code("500"),
    code("19010"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_query_is_repeated_and_then_given_up(fault):
    world = CarrierWorld()
    http = Failing(Direct(world), "query/sim-data-margin", [fault] * 2)
    assert run(world.client(http).plan(ONE))
    assert (http.calls, world.waited) == (3, [2.0, 8.0])
    with pytest.raises(NoAnswer):
        run(world.client(Failing(Direct(world), "query/sim-data-margin", [fault] * 3)).plan(ONE))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("before", [True, False])
def test_a_change_is_never_repeated(fault, before):
    """Whether it was carried out is not known, so the SIM counts as changed, and its state is what tells."""
    world = CarrierWorld()
    http = Failing(Direct(world), "change/sim-status", [fault], before)
    client = world.client(http)

    async def stop():
        ordered = await client.stop([ONE])
        again = await client.stop([ONE])
        world.run(minutes=5)
        return ordered, again, (await client.state([ONE])).found[ONE].life

    ordered, again, life = run(stop())
    assert http.calls == 1
    assert ordered.unsure.keys() == again.held.keys() == {ONE}
    assert life is (Life.ACTIVE if before else Life.STOPPED)


def test_a_change_whose_token_is_refused_was_not_made_and_is_sent_once_more():
    world = CarrierWorld()
    client = world.client(http := Failing(Direct(world), "change/sim-status", []))

    async def stop():
        await client.plan(ONE)
        world.api.forget_tokens()
        return await client.stop([ONE])

    assert len(run(stop()).changes) == 1
    assert http.calls == 2


def test_a_change_that_cannot_be_asked_for_is_a_problem_and_sure():
    world = CarrierWorld()
    for path, errors in (("get/token", [LOST]), ("change/sim-status", [NoAnswer("cannot be reached")])):
        ordered = run(world.client(Failing(Direct(world), path, errors)).stop([ONE]))
        assert ordered.problems.keys() == {ONE}
        assert not ordered.unsure


def test_a_token_that_is_always_refused_ends():
    world = CarrierWorld()
    http = Failing(Direct(world), "query/sim-data-margin", [code("12021")] * 9)
    with pytest.raises(BadCredentials, match="12021"):
        run(world.client(http).plan(ONE))
    assert http.calls == 2


def test_a_wrong_password_is_said_without_it():
    world = CarrierWorld()
    with pytest.raises(BadCredentials, match="12022") as error:
        run(world.client(password="another-password").plan(ONE))
    assert "another-password" not in str(error.value)


def test_no_message_has_a_secret():
    world = CarrierWorld()
    told = {"status": "12010", "message": f"{APPID} {PASSWORD} is unknown", "result": []}
    http = Failing(Direct(world), "query/sim-data-margin", [(200, json.dumps(told).encode())])
    with pytest.raises(Refused) as error:
        run(world.client(http).plan(ONE))
    assert str(error.value) == "*** *** is unknown (12010)"
    assert PASSWORD not in repr(Secret(PASSWORD)) + str(Secret(PASSWORD))
    with pytest.raises(TypeError):
        Secret(PASSWORD).__reduce__()


def test_a_budget_is_not_overspent():
    world = CarrierWorld()
    client = world.client(budget=5)

    async def spend():
        await client.plan(ONE)
        await client.plan(ONE)
        with pytest.raises(BudgetSpent):
            await client.plan(ONE)
        return await client.stop([ONE])

    assert run(spend()).problems.keys() == {ONE}
    assert sum(world.api.calls.values()) == 5


def test_calls_are_one_at_a_time_and_not_too_fast():
    now, waits = [0.0], []

    async def sleep(seconds):
        waits.append(round(seconds, 3))
        now[0] += seconds

    async def calls():
        pace = Pace(5, None, lambda: now[0], sleep)
        await asyncio.gather(*(pace.turn() for _ in range(4)))
        now[0] += 10
        await pace.turn()

    run(calls())
    assert waits == [0.2, 0.2, 0.2]


# --- the newer gateway ---


def test_the_gateways_signature():
    """By the description's own words: path, line feed, sorted query, line feed, JSON with its first level sorted."""
    sent = []

    class Http:
        async def send(self, method, url, body, headers):
            sent.append((url, body, headers))
            return 200, json.dumps({"traceId": "t", "code": "0", "msg": "", "data": {"dataAmount": "1.00"}}).encode()

        async def close(self):
            pass

    async def sleep(seconds):
        raise AssertionError

    now = datetime(2026, 3, 10, tzinfo=UTC)
    pace = Pace(5, None, lambda: 0.0, sleep)
    skin = Gateway(Http(), "https://gateway.invalid/cmp/v5", "key-id", Secret("key"), pace, lambda: now)
    answer = run(skin.send("query/sim-data-usage", {"msisdn": ONE, "b": {"z": 1, "a": 2}}))
    assert (answer.code, answer.result) == ("0", [{"dataAmount": "1.00"}])
    ((url, body, headers),) = sent
    told = json.loads(body)
    assert list(told) == sorted(told)
    assert (told["ak"], told["timestamp"], len(told["nonce"]) <= 40) == ("key-id", str(int(now.timestamp())), True)
    text = b"/cmp/v5/ec/query/sim-data-usage\n\n" + body
    sign = base64.b64encode(hmac.new(b"key", text, hashlib.sha256).digest()).decode()
    assert headers["Authorization"] == f"Bearer method=HmacSHA256&sign={sign}"
    assert url == "https://gateway.invalid/cmp/v5/ec/query/sim-data-usage"
    assert b" " not in body
