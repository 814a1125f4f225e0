"""Control Center: the client against the simulated one, over its REST interface."""

import asyncio
import base64
import json
from contextlib import closing
from datetime import date, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from host_tools.collector.store import Store
from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.control_center import ControlCenter
from host_tools.platforms.interface import BadCredentials, Change, Data, Life, NoAnswer, Progress, Refused, Scope
from host_tools.platforms.secret import Secret
from host_tools.platforms.served import control_center as served
from host_tools.platforms.sync import Sync
from host_tools.platforms.transport import Pace
from host_tools.sim.clock import S
from tests.platforms.carrier_world import CHINA, MB, CarrierWorld

KEY = "made-up-key"


class Rest:
    """Http without a network; `errors` are raised or answered before a request, in turn."""

    def __init__(self, world, errors=()):
        sims = {card.iccid: card.imsi for card in world.cards}
        self.api = served.ControlCenter(world.carrier, sims, {"user": KEY})
        self.errors = list(errors)
        self.calls = []

    async def send(self, method, url, body, headers):
        parts = urlsplit(url)
        path = parts.path.removeprefix("/rws/api/v1/")
        self.calls.append((method, path))
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, Exception):
            raise error
        if error is not None:
            return error
        query = dict(parse_qsl(parts.query))
        status, found = self.api.answer(method, path, query, headers["Authorization"], json.loads(body) if body else {})
        return status, json.dumps(found).encode()

    async def close(self):
        pass


def client(world, http, key=KEY, cycle_day=1):
    pace = Pace(1000, None, lambda: world.clock.now_us / S, world.sleep)
    return ControlCenter(
        http, "https://cc.invalid/rws/api/v1", "user", Secret(key), pace, ChangeTimes(timedelta(minutes=5)),
        world.clock.utc, world.sleep, cycle_day=cycle_day,
    )  # fmt: skip


def run(coroutine):
    return asyncio.run(coroutine)


def iccids(world):
    return [card.iccid for card in world.cards]


def test_usage_is_in_octets_as_of_the_answer():
    world = CarrierWorld(pb=False)
    world.use(world.cards[0].msisdn, 2 * MB + 17 * 1024)
    world.run(seconds=1)
    sims = iccids(world)
    found = run(client(world, Rest(world)).usage([*sims, "89860499999999999999", "../echo"]))
    usage = found.found[sims[0]]
    assert (usage.carried_octets, usage.as_of, usage.cycle_start) == (
        2 * MB + 17 * 1024, world.clock.utc(), date(2026, 3, 1),
    )  # fmt: skip
    assert found.found.keys() == set(sims)
    assert found.problems["89860499999999999999"].code == "20000001"
    assert "is no number of a SIM" in found.problems["../echo"].message


@pytest.mark.parametrize(
    ("day", "today", "start"),
    [
        (1, "2026-03-10", "2026-03-01"),
        (27, "2026-03-10", "2026-02-27"),
        (27, "2026-03-27", "2026-03-27"),
        (27, "2026-01-10", "2025-12-27"),
        (31, "2026-03-10", "2026-02-28"),
        (31, "2026-04-30", "2026-04-30"),
    ],
)
def test_cycles_begin_on_the_accounts_day(day, today, start):
    world = CarrierWorld()
    found = client(world, Rest(world), cycle_day=day).cycle_start(datetime.fromisoformat(f"{today}T00:00+08:00"))
    assert found == date.fromisoformat(start)


def test_a_stop_is_seen_in_the_status_and_resumed():
    world = CarrierWorld()
    sim = iccids(world)[0]
    platform = client(world, http := Rest(world))

    async def there_and_back():
        seen = []
        for change in (platform.stop, platform.resume):
            (made,) = (await change([sim])).changes
            seen.append((await platform.outcome(made)).progress)
            state = (await platform.state([sim])).found[sim]
            seen.append((state.life, state.data, state.stop_reasons))
            seen.append([event.sim for event in await platform.events(date(2026, 3, 9))])
            assert (await platform.stop([sim])).held.keys() == {sim}
            world.run(minutes=6)
        return seen

    assert run(there_and_back()) == [
        Progress.DONE, (Life.STOPPED, Data.OFF, ("deactivated",)), [sim],
        Progress.DONE, (Life.ACTIVE, Data.ON, ()), [],
    ]  # fmt: skip
    assert [method for method, _ in http.calls].count("PUT") == 2


def test_a_limit_that_is_reached_stops_the_data_of_an_active_sim():
    world = CarrierWorld(allowance=MB, pb=False)
    world.use(world.cards[0].msisdn, 2 * MB)
    world.run(minutes=1)
    sim = iccids(world)[0]
    state = run(client(world, Rest(world)).state([sim])).found[sim]
    assert (state.life, state.data, state.stop_reasons) == (Life.ACTIVE, Data.OFF, ("data-used-up",))


def test_a_sync_asks_for_states_once_though_no_allowance_is_told():
    world = CarrierWorld(pb=False)
    http = Rest(world)
    sims = {f"tracker-{index}": iccid for index, iccid in enumerate(iccids(world))}
    with closing(Store()) as store:
        for states in (3, 0):
            http.calls.clear()
            done = run(Sync("cc", sims, client(world, http), store).run(world.clock.utc()))
            assert (done.figures, done.states, done.problem) == (3, states, "")
    assert len(http.calls) == 3 + 1  # usage, and the list of changes


def test_pages_of_fifty():
    world = CarrierWorld(sims=120)
    for card in world.cards:
        world.carrier.stop(card.imsi)
    http = Rest(world)
    assert len(run(client(world, http).events(date(2026, 3, 10)))) == 120
    assert len(http.calls) == 3


LOST = NoAnswer("lost", sure=False)
FAULTS = [LOST, (503, b"<html>"), (200, b"{"), (200, b"[]"), (429, b"{}")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_get_is_repeated_and_a_put_never(fault):
    world = CarrierWorld()
    sim = iccids(world)[0]
    assert run(client(world, Rest(world, [fault] * 2)).usage([sim])).found
    assert world.waited == [2.0, 8.0]
    ordered = run(client(world, http := Rest(world, [fault])).stop([sim]))
    assert len(http.calls) == 1
    refused = fault == (429, b"{}")
    assert (ordered.problems if refused else ordered.unsure).keys() == {sim}


def test_a_wrong_key_is_said_without_it():
    world = CarrierWorld()
    with pytest.raises(BadCredentials, match="Invalid credentials") as error:
        run(client(world, Rest(world), key="other-key").plan(iccids(world)[0]))
    assert "other-key" not in str(error.value)
    assert base64.b64encode(b"user:other-key").decode() not in str(error.value)


def test_what_it_does_not_do_it_says():
    world = CarrierWorld()
    platform = client(world, Rest(world))
    for call in (platform.stop(iccids(world), Scope.DATA), platform.pool("p"), platform.cap("s", 1)):
        with pytest.raises(Refused):
            run(call)
    assert not platform.capabilities.can.stop_data_only


def test_a_retired_sim_is_refused():
    world = CarrierWorld()
    world.carrier.stop(world.cards[0].imsi, "cancelled")
    sim = iccids(world)[0]
    platform = client(world, Rest(world))
    assert run(platform.resume([sim])).problems[sim].code == "20000008"
    assert run(platform.state([sim])).found[sim].life is Life.GONE


def test_midnight_in_china_is_not_midnight_elsewhere():
    world = CarrierWorld(start="2026-04-01T00:30:00+08:00")
    assert world.clock.utc().date() == date(2026, 3, 31)
    assert client(world, Rest(world)).cycle_start(world.clock.utc()) == date(2026, 4, 1)
    assert world.clock.utc().astimezone(CHINA).date() == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("status", "progress"), [("DEACTIVATED", Progress.DONE), ("ACTIVATED", Progress.RUNNING), (None, Progress.RUNNING)]
)
def test_a_change_is_done_once_the_sim_has_the_status_that_was_wanted(status, progress):
    class Answering:
        async def send(self, method, url, body, headers):
            return 200, json.dumps({"status": status} if status else {}).encode()

    platform = client(CarrierWorld(), Answering())
    change = Change("DEACTIVATED:8986000000000000001", "stop-sim", ("8986000000000000001",))
    assert run(platform.outcome(change)).progress is progress
