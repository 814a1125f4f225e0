"""The served platform, asked over a socket by clients that were written elsewhere: the requests are built as public
clients in Go, JavaScript, Java, C# and Dart build them, and the answers read as those read them, types included."""

import asyncio
import json
from urllib.parse import urlencode

import aiohttp
import pytest

from host_tools.platforms.served.http import Server
from tests.platforms.carrier_world import APPID, MB, PASSWORD, SIMS, CarrierWorld

ONE, TWO = SIMS[:2]
ICCID = "89860400000000000001"
USED = 2 * MB


async def post(session, url, parameters):
    """JSON, with numbers as they are."""
    async with session.post(url, json=parameters) as answer:
        return answer.status, await answer.read()


async def get(session, url, parameters):
    async with session.get(f"{url}?{urlencode(parameters)}") as answer:
        return answer.status, await answer.read()


def text(value):
    assert isinstance(value, str)
    return value


def whole(value):
    assert isinstance(value, int)
    return value


class Other:
    """A client. `transid` has what it puts behind the appid, however odd."""

    def __init__(self, world, base, session, send, transid, **in_token):
        self.world, self.base, self.session = world, base, session
        self.send, self.transid, self.in_token = send, transid, in_token

    async def ask(self, path, **parameters):
        status, content = await self.send(self.session, f"{self.base}/ec/{path}", parameters)
        assert status == 200
        answer = json.loads(content)
        assert text(answer["status"]) == "0", answer
        assert text(answer["message"])
        return answer["result"]

    async def token(self):
        login = {"appid": APPID, "password": PASSWORD, "transid": APPID + self.transid, **self.in_token}
        return (await self.ask("get/token", **login))[0]

    async def call(self, path, **parameters):
        token = text((await self.token())["token"])
        return await self.ask(path, **parameters, transid=APPID + self.transid, token=token)


async def go(world, base, session):
    """Asks for a token before each call, posts JSON with numbers, and decodes into structures of fixed types."""
    client = Other(world, base, session, post, "2026031009000010000000", refresh=0)
    assert whole((await client.token())["ttl"]) > 0
    (status,) = await client.call("query/sim-status", iccid=ICCID)
    assert int(text(status["cardStatus"])) == 2
    text(status["lastChangeDate"])
    (used,) = await client.call("query/sim-data-usage", iccid=ICCID)
    assert float(text(used["dataAmount"])) == USED / 1024
    await client.call("operate/network-speed", iccid=ICCID, apnName="CMIOT", serviceUsageState=92)
    world.run(minutes=31)
    (order,) = await client.call("operate/sim-apn-function", iccid=ICCID, operType=1, apnName="CMIOT")
    text(order["orderNum"])
    world.run(minutes=31)
    (services,) = await client.call("query/sim-communication-function-status", iccid=ICCID)
    (data,) = [each for each in services["serviceTypeList"] if text(each["serviceType"]) == "11"]
    assert int(text(data["serviceStatus"])) == 0
    await client.call("operate/sim-apn-function", iccid=ICCID, operType=0, apnName="CMIOT")
    world.run(minutes=31)
    (changed,) = await client.call("change/sim-status", iccid=ICCID, operType=0)
    assert text(changed["iccid"]) == ICCID, "it reads the number by which it asked"
    world.run(minutes=2)
    (status,) = await client.call("query/sim-status", iccid=ICCID)
    assert int(status["cardStatus"]) == 4


async def javascript(world, base, session):
    """Gets with a query, by a clock of twelve hours; changes too."""
    client = Other(world, base, session, get, "2026031001000000000001")
    (changed,) = await client.call("change/sim-status", operType=0, msisdn=ONE)
    assert text(changed["msisdn"]) == ONE
    asked = {"msisdns": f"{ONE}_{TWO}", "serviceType": 11, "operType": 0, "apnName": "CMIOT"}
    world.run(minutes=31)
    (job,) = await client.call("operate/sim-communication-function/batch", **asked)
    world.run(minutes=2)
    (result,) = await client.call("query/sim-batch-result", jobId=text(job["jobId"]))
    assert text(result["jobStatus"]) == "2"
    assert {text(each["resultId"]) for each in result["resultList"]} == {ONE, TWO}


async def java(world, base, session):
    """A transid of week-year, day of the year, month and milliseconds, of another length each time."""
    client = Other(world, base, session, get, "202603690903512")
    world.run(days=1)
    (month,) = await client.call("query/sim-data-usage-monthly/batch", iccids=ICCID, queryDate="202603")
    assert float(text(month["dataAmountList"][0]["dataAmount"])) == USED / 1024
    (day,) = await client.call("query/sim-data-usage-daily/batch", iccids=ICCID, queryDate="20260310")
    assert float(text(day["dataAmountList"][0]["dataAmount"])) == USED / 1024
    (margin,) = await client.call("query/sim-data-margin", msisdn=ONE)
    amounts = [float(text(margin["accmMarginList"][0][f"{name}Amount"])) for name in ("total", "use", "remain")]
    assert amounts == [30 * 1024, 2 * 1024, 28 * 1024]


async def c_sharp(world, base, session):
    """One and the same transid for all calls."""
    client = Other(world, base, session, get, "2019071002415709643582")
    (card,) = await client.call("query/sim-basic-info", iccid=ICCID)
    assert (text(card["msisdn"]), text(card["iccid"])) == (ONE, ICCID)
    (why,) = await client.call("query/sim-stop-reason", msisdn=ONE)
    assert len(text(why["stopReason"])) == 12


async def dart(world, base, session):
    """A token alone, with a date of last year; its status as a number."""
    client = Other(world, base, session, get, "2024040616273881234567")
    assert text((await client.token())["token"])


@pytest.mark.parametrize("client", [go, javascript, java, c_sharp, dart], ids=lambda each: each.__name__)
def test_another_client_finds_what_it_expects(client):
    async def run():
        world = CarrierWorld(pb=False)
        world.use(ONE, USED)
        world.run(seconds=1)
        server = Server(world.api, lambda path: "")
        base = await server.start()
        try:
            async with aiohttp.ClientSession() as session:
                await client(world, base, session)
        finally:
            await server.close()

    asyncio.run(run())
