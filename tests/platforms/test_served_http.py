"""The served platform over real sockets: with our client, with requests as other clients make them, and its faults."""

import asyncio
import json
from datetime import timedelta
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.control_center import ControlCenter
from host_tools.platforms.interface import NoAnswer, Progress
from host_tools.platforms.secret import Secret
from host_tools.platforms.served import control_center
from host_tools.platforms.served.faults import Fault, Faults, Kind
from host_tools.platforms.served.http import Server
from host_tools.platforms.served.onelink import FUNCTIONS
from host_tools.platforms.transport import Aiohttp, Pace
from tests.platforms.carrier_world import APPID, PASSWORD, SIMS, CarrierWorld

ONE = SIMS[0]
MARGIN = "23U07"


def number(path):
    return FUNCTIONS.get(path, ("", None))[0]


def served(scenario, *faults, timeout_s=5.0):
    """Runs `scenario(world, server, url, client)`."""

    async def run():
        world = CarrierWorld()
        server = Server(world.api, number, Faults(list(faults)))
        url = await server.start()
        client = world.client(Aiohttp(timeout_s), url)
        try:
            return await scenario(world, server, url, client)
        finally:
            await client.close()
            await server.close()

    return asyncio.run(run())


def test_get_with_a_query_and_post_with_json_are_the_same():
    """As the clients in C# and Java ask, and those in PHP and Go: one of them with a 12-hour clock in its transid."""

    async def scenario(world, server, url, client):
        async with aiohttp.ClientSession() as session:
            login = {"appid": APPID, "password": PASSWORD, "transid": f"{APPID}2026031009000000000001"}
            async with session.get(f"{url}/ec/get/token?{urlencode(login)}") as answer:
                first = json.loads(await answer.read())
            async with session.post(f"{url}/ec/get/token", json=login) as answer:
                second = json.loads(await answer.read())
            token = first["result"][0]["token"]
            assert (first["status"], second["result"][0]["token"]) == ("0", token)
            assert isinstance(first["result"][0]["ttl"], int)
            query = {"transid": f"{APPID}20260310010000123456", "token": token, "msisdn": ONE}
            async with session.get(f"{url}/ec/query/sim-status?{urlencode(query)}") as answer:
                got = json.loads(await answer.read())
            async with session.post(f"{url}/ec/query/sim-status", json=query) as answer:
                assert json.loads(await answer.read()) == got
        return got

    assert served(scenario) == {
        "status": "0", "message": "正确", "result": [{"cardStatus": "00", "lastChangeDate": " "}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.CODE, MARGIN, 2, code="500"),
        Fault(Kind.HTTP, MARGIN, 2, code="502"),
        Fault(Kind.GARBAGE, MARGIN, 2),
        Fault(Kind.FORM, MARGIN, 2),
        Fault(Kind.LOST, MARGIN, 2),
        Fault(Kind.CODE, MARGIN, 1, code="12021"),
        Fault(Kind.CODE, "25000", 1, code="19010"),
        Fault(Kind.HTTP, "", 2, after=1, code="503"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.function}",
)
def test_the_client_gets_over_a_fault_that_passes(fault):
    async def scenario(world, server, url, client):
        found = await client.plan(ONE)
        return found[0].total, server.faults.pending

    assert served(scenario, fault) == (30 << 20, [])


def test_a_platform_that_hangs_is_given_up_and_its_change_is_unsure():
    async def scenario(world, server, url, client):
        await client.plan(ONE)
        ordered = await client.stop([ONE])
        return ordered, [path for path, _ in server.requests]

    ordered, paths = served(scenario, Fault(Kind.HANG, "23S03", 5), timeout_s=0.2)
    assert ordered.unsure.keys() == {ONE}
    assert paths.count("change/sim-status") == 1


def test_control_center_is_served_beside_it():
    async def scenario():
        world = CarrierWorld(pb=False)
        world.use(ONE, 2048)
        sim = world.cards[0].iccid
        rest = control_center.ControlCenter(world.carrier, {sim: world.cards[0].imsi}, {"user": "key"})
        server = Server(world.api, number, None, lambda: world.run(seconds=0), rest)
        url = (await server.start()).replace("/v5", "/rws/api/v1")
        pace = Pace(1000, None, lambda: 0.0, world.sleep)
        changes = ChangeTimes(timedelta(0))
        client = ControlCenter(Aiohttp(), url, "user", Secret("key"), pace, changes, world.clock.utc, world.sleep)
        try:
            used = (await client.usage([sim])).found[sim].carried_octets
            (change,) = (await client.stop([sim])).changes
            status, _ = await client._http.send("PUT", f"{url}/devices/{sim}", b"[", {})
            return used, (await client.outcome(change)).progress, status
        finally:
            await client.close()
            await server.close()

    assert asyncio.run(scenario()) == (2048, Progress.DONE, 400)


def test_a_slow_answer_is_waited_for():
    async def scenario(world, server, url, client):
        return await client.plan(ONE)

    assert served(scenario, Fault(Kind.SLOW, MARGIN, seconds=0.05))


def test_a_platform_that_is_not_there():
    async def scenario(world, server, url, client):
        await server.close()
        ordered = await client.stop([ONE])
        with pytest.raises(NoAnswer, match="cannot be reached"):
            await client.plan(ONE)
        return ordered

    ordered = served(scenario)
    assert ordered.problems.keys() == {ONE}
    assert not ordered.unsure


def test_an_answer_without_an_end_is_not_read_to_it(monkeypatch):
    monkeypatch.setattr("host_tools.platforms.transport._MOST_OCTETS", 100)

    async def scenario(world, server, url, client):
        with pytest.raises(NoAnswer, match="has no end"):
            await client.usage(SIMS)

    served(scenario)


def test_nothing_follows_a_redirect_with_a_secret():
    asked = []

    async def scenario():
        async def elsewhere(request):
            asked.append(request.path)
            raise web.HTTPTemporaryRedirect("/stolen")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", elsewhere)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = Aiohttp()
        try:
            return await http.send("POST", f"http://127.0.0.1:{runner.addresses[0][1]}/v5", b"{}", {})
        finally:
            await http.close()
            await runner.cleanup()

    assert asyncio.run(scenario())[0] == 307
    assert asked == ["/v5"]
