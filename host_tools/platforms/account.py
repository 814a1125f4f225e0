"""A customer's account on a platform, as a TOML file has it, and the client that speaks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from host_tools.base import extras, files, toml
from host_tools.base.errors import UsageError
from host_tools.base.toml import Table
from host_tools.base.units import Octets, Seconds
from host_tools.platforms import secret
from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.interface import Platform

if TYPE_CHECKING:
    from host_tools.platforms.onelink.skins import V5

SECRET_VARIABLE = "USAGEGUARD_PLATFORM_SECRET"
_HINT = "name a file that describes the account: see host_tools/platforms/README.md"
_EXAMPLES = {
    "platform": 'write platform = "onelink"',
    "url": 'write url = "https://api.iot.10086.cn/v5"',
    "user": "give the appid, or the key's id",
}


class Terms(Table, frozen=True):
    """What the contract says that the carrier adds to the octets that it carries."""

    per_packet_octets: int = 0
    session_round: Octets = Octets(0)
    margin_permille: int = 0


class PoolTerms(Table, frozen=True):
    """How the pool `group` is divided: see grants.Terms. `first_grant` is that of the members' plans."""

    first_grant: Octets
    valid: Seconds = Seconds(2 * 86_400)
    silent: Seconds = Seconds(30 * 3600)
    margin_permille: int = 20
    reports_a_day: Octets = Octets(3 << 10)


class Account(Table, frozen=True):
    """`user` is OneLink's appid, the gateway's key id, Control Center's user, CTWing's AppKey or 1NCE's API user.
    `sims` has the SIM of each device."""

    platform: Literal["onelink", "onelink-gateway", "control-center", "ctwing", "1nce"]
    url: str
    user: str
    secret_file: str = ""
    apn: str = "CMIOT"
    group: str = ""
    offering: str = ""
    customer: str = ""  # CTWing's number of the enterprise
    cycle_day: int = 1  # Control Center's and 1NCE's; Unicom's is 27
    utc_offset_min: int = 480
    change_interval: Seconds = Seconds(1800)
    calls_per_s: float = msgspec.field(default=5.0)
    budget: int = 2000  # calls of one command
    rating: Terms = msgspec.field(default_factory=Terms)
    pool: PoolTerms | None = None
    sims: dict[str, str] = {}

    def sim(self, name: str) -> str:
        """The SIM of a device, or the number itself."""
        return self.sims.get(name, name)

    def names(self, sims: Iterable[str]) -> dict[str, str]:
        """The devices of SIMs, where they have one."""
        devices = {sim: device for device, sim in self.sims.items()}
        return {sim: devices.get(sim, sim) for sim in sims}


def load(path: Path) -> Account:
    """Reads an account's file. UsageError for anything that is none."""
    account = toml.convert(files.table(path, _HINT), Account, str(path), _EXAMPLES)
    if not account.url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise UsageError(str(path), "url", "is not https", "a password or token would be readable on the way")
    if not 0 < account.calls_per_s <= 100:
        raise UsageError(str(path), "calls_per_s", "is out of range", "give 0.01 to 100")
    if account.platform == "ctwing" and not account.customer:
        raise UsageError(str(path), "customer", "is missing", "give the enterprise's number, as its portal shows it")
    if not 1 <= account.cycle_day <= 31:
        raise UsageError(str(path), "cycle_day", "is out of range", "give 1 to 31")
    if account.pool is not None and not account.group:
        raise UsageError(str(path), "pool", "has no group", "write the pool's id as group")
    if account.pool is not None and not 0 <= account.pool.margin_permille < 1000:
        raise UsageError(str(path), "pool.margin_permille", "is out of range", "give 0 to 999")
    twice = {sim for sim in account.sims.values() if list(account.sims.values()).count(sim) > 1}
    if twice:
        raise UsageError(str(path), "sims", "two devices have one SIM", "give each its own")
    return account


@asynccontextmanager
async def onelink_skins(account: Account, path: Path) -> AsyncIterator[tuple[V5, V5]]:
    """Two clients of one account, neither of which knows of the other, but which keep its pace together."""
    from host_tools.platforms.onelink.skins import V5
    from host_tools.platforms.transport import Aiohttp, Pace

    pace = Pace(account.calls_per_s, account.budget, time.monotonic)
    one, other = (V5(Aiohttp(), account.url, account.user, _secret(account, path), pace, _now) for _ in range(2))
    try:
        yield one, other
    finally:
        await one.close()
        await other.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _secret(account: Account, path: Path) -> secret.Secret:
    file = path.parent / account.secret_file if account.secret_file else None
    return secret.load(SECRET_VARIABLE, file, str(path))


def client(account: Account, path: Path) -> Platform:
    """The account's client. Its secret is in the environment or beside the file, where the times of changes are."""
    extras.need("platform", "platforms")
    from host_tools.platforms.onelink.adapter import Names, OneLink
    from host_tools.platforms.onelink.skins import V5, Gateway
    from host_tools.platforms.transport import Aiohttp, Pace

    pace = Pace(account.calls_per_s, account.budget, time.monotonic)
    changes = ChangeTimes(timedelta(seconds=account.change_interval), path.with_suffix(".changes.json"))
    if account.platform in ("control-center", "ctwing", "1nce"):
        from host_tools.platforms.control_center import ControlCenter
        from host_tools.platforms.ctwing import Ctwing
        from host_tools.platforms.one_nce import OneNce

        given = Aiohttp(), account.url, account.user, _secret(account, path), pace, changes, _now, asyncio.sleep
        if account.platform == "ctwing":
            return Ctwing(*given, customer=account.customer)
        terms = {"cycle_day": account.cycle_day, "utc_offset_min": account.utc_offset_min}
        return ControlCenter(*given, **terms) if account.platform == "control-center" else OneNce(*given, **terms)
    kind = V5 if account.platform == "onelink" else Gateway
    return OneLink(
        kind(Aiohttp(), account.url, account.user, _secret(account, path), pace, _now),
        changes,
        _now,
        asyncio.sleep,
        names=Names(account.apn, account.group, account.offering),
        change_interval=timedelta(seconds=account.change_interval),
        calls_per_s=account.calls_per_s,
    )
