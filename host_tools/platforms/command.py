"""`usageguard platform`: asks a carrier's management platform, stops and resumes SIMs, or serves a simulated one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.text import Text

from host_tools.base import extras, files
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing, Pairs, err, out
from host_tools.base.units import Seconds, size
from host_tools.collector.database_file import DB, DbOption, members, opened
from host_tools.platforms.account import Account
from host_tools.platforms.account import client as connect
from host_tools.platforms.account import load as load_account

if TYPE_CHECKING:
    from host_tools.platforms.interface import Outcome, Package, Platform, Problem
    from host_tools.platforms.reconcile import Reconciled

T = TypeVar("T")
FAILED = 1
_POLL_S = (5, 15, 30, 60)  # then the last again: OneLink's own clients ask after 10 minutes

app = typer.Typer(
    no_args_is_help=True,
    help="Ask a carrier's management platform, stop and resume SIMs there, or serve a simulated one.",
    epilog="Not yet run against a real account: `usageguard platform probe` asks one what is not known.",
)
AccountOption = Annotated[
    Path, typer.Option("--account", metavar="FILE", help="The account: a TOML file; its secret stands elsewhere.")
]
ACCOUNT = Path("platform.toml")
SimsArgument = Annotated[
    list[str], typer.Argument(metavar="SIM…", help="MSISDNs, ICCIDs or IMSIs, or devices that the account's file has.")
]
JsonOption = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write it as JSON.")]


def _run(path: Path, work: Callable[[Account, Platform], Awaitable[T]]) -> T:
    """Does `work` with the account's client. UsageError where the platform cannot be used."""
    account = load_account(path)
    extras.need("platform", "platforms")
    from host_tools.platforms.interface import PlatformError

    async def whole() -> T:
        platform = connect(account, path)
        try:
            return await work(account, platform)
        finally:
            await platform.close()

    try:
        return asyncio.run(whole())
    except PlatformError as error:
        raise UsageError("platform", account.platform, str(error)) from None


@app.command()
def status(sims: SimsArgument, account: AccountOption = ACCOUNT, json_file: JsonOption = None) -> None:
    """Show the state of SIMs, of their data service, and why they are stopped. Exit status 1 unless all are known."""

    async def work(of: Account, platform: Platform) -> bool:
        numbers = [of.sim(sim) for sim in sims]
        answers = await platform.state(numbers)
        names = of.names(numbers)
        if json_file:
            rows = [
                {
                    "sim": each.sim,
                    "life": each.life,
                    "data": each.data,
                    "stop_reasons": list(each.stop_reasons),
                    "raw": each.raw,
                }
                for each in answers.found.values()
            ]
            files.write_json(json_file, {"sims": rows, "problems": _as_json(answers.problems)})
        if json_file != "-":
            listing = Listing([Column("SIM"), Column("state"), Column("data"), Column("why not", least=16)])
            for sim, each in answers.found.items():
                listing.add(*map(escape, (names[sim], each.life, each.data, ", ".join(each.stop_reasons))))
            out.print(listing)
        _complain(answers.problems, names)
        return not answers.problems

    if not _run(account, work):
        raise typer.Exit(1)


@app.command()
def usage(
    sims: SimsArgument,
    account: AccountOption = ACCOUNT,
    newest: Annotated[
        bool, typer.Option("--newest", help="Ask for each SIM alone, where such a figure is newer.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Also what is left of each plan.")] = False,
    json_file: JsonOption = None,
) -> None:
    """Show what the carrier has counted this cycle, and up to when the figure is complete.

    Exit status 1 unless all SIMs are known.
    """

    async def work(of: Account, platform: Platform) -> bool:
        numbers = [of.sim(sim) for sim in sims]
        answers = await platform.usage(numbers, newest=newest)
        names = of.names(numbers)
        plans: dict[str, list[Package]] = {}
        if plan:
            plans = {sim: await platform.plan(sim) for sim in answers.found}
        if json_file:
            rows = [
                {
                    "sim": each.sim,
                    "carried_octets": each.carried_octets,
                    "cycle_start": each.cycle_start.isoformat(),
                    "as_of": each.as_of.isoformat(),
                    "source": each.source,
                    "plan": [
                        {"name": one.name, "total": one.total, "used": one.used, "left": one.left}
                        for one in plans.get(sim, [])
                    ],
                }
                for sim, each in answers.found.items()
            ]
            files.write_json(json_file, {"sims": rows, "problems": _as_json(answers.problems)})
        if json_file != "-":
            columns = [Column("SIM"), Column("used", right=True), Column("complete up to", least=16), Column("left")]
            listing = Listing(columns)
            for sim, each in answers.found.items():
                left = ", ".join(
                    f"{size(one.left)} of {one.name}" for one in plans.get(sim, []) if one.left is not None
                )
                up_to = f"{each.as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
                listing.add(*map(escape, (names[sim], size(each.carried_octets), up_to, left)))
            out.print(listing)
        _complain(answers.problems, names)
        return not answers.problems

    if not _run(account, work):
        raise typer.Exit(1)


DataOption = Annotated[bool, typer.Option("--data", help="The data service alone, not the SIM.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
WaitOption = Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to wait for the outcome, as in 5m.")]


@app.command()
def stop(
    sims: SimsArgument,
    account: AccountOption = ACCOUNT,
    data: DataOption = False,
    yes: YesOption = False,
    wait: WaitOption = "10m",
) -> None:
    """Stop SIMs at the carrier. Exit status 1 unless all are stopped."""
    _change("stop", sims, account, data, yes, wait)


@app.command()
def resume(
    sims: SimsArgument,
    account: AccountOption = ACCOUNT,
    data: DataOption = False,
    yes: YesOption = False,
    wait: WaitOption = "10m",
) -> None:
    """Resume SIMs at the carrier. Exit status 1 unless all are resumed."""
    _change("resume", sims, account, data, yes, wait)


def _change(verb: str, sims: list[str], path: Path, data: bool, yes: bool, wait: str) -> None:
    patience = _duration("--wait", wait)
    of = load_account(path)
    numbers = list(dict.fromkeys(of.sim(sim) for sim in sims))
    what = f"{verb} {'the data of ' if data else ''}{len(numbers):,} SIM{'s' * (len(numbers) > 1)}"
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("platform", what, "nobody can be asked whether that is meant", "give --yes")
        if not typer.confirm(f"{what.capitalize()} ({', '.join(numbers[:5])}{', …' * (len(numbers) > 5)})?"):
            raise UsageError("platform", what, "was not confirmed", "nothing was changed")

    async def work(of: Account, platform: Platform) -> bool:
        from host_tools.platforms.interface import Scope

        names = of.names(numbers)
        change = platform.stop if verb == "stop" else platform.resume
        ordered = await change(numbers, Scope.DATA if data else Scope.SIM)
        for sim, until in ordered.held.items():
            err.print(
                f"{escape(names[sim])}: was changed a short time ago; try again at {until:%H:%M} UTC", markup=False
            )
        _complain(ordered.problems, names)
        _complain(ordered.unsure, names, "not known whether it was done; see `usageguard platform status`")
        well = not (ordered.held or ordered.problems or ordered.unsure)
        for each in ordered.changes:
            outcome = await _waited(platform, each, patience)
            _complain(outcome.problems, names)
            done = [names[sim] for sim in each.sims if sim not in outcome.problems]
            if done:
                out.print(f"{verb} is {outcome.progress.value}: {', '.join(done)}", markup=False)
            well = well and outcome.progress == "done" and not outcome.problems
        return well

    if not _run(path, work):
        raise typer.Exit(FAILED)


async def _waited(platform: Platform, change: Any, patience: int) -> Outcome:
    """The change's outcome, or how far it is when patience ends."""
    from host_tools.platforms.interface import Progress

    waits = list(_POLL_S)
    end = time.monotonic() + patience
    while True:
        outcome = await platform.outcome(change)
        left = end - time.monotonic()
        if outcome.progress not in (Progress.WAITING, Progress.RUNNING) or left <= 0:
            return outcome
        await asyncio.sleep(min(waits[0], left))
        waits = waits[1:] or waits


@app.command()
def sync(
    account: AccountOption = ACCOUNT,
    db: DbOption = DB,
    every: Annotated[str, typer.Option(metavar="TIME", help="Again and again, as in 1h, until Ctrl-C.")] = "",
) -> None:
    """Bring usage and states into the collector's database, and the carrier's figures to the devices.

    A device whose carrier has counted more gets that figure as an order, with the answer to its next report. Exit
    status 1 where the platform did not answer everything.
    """
    pause = _duration("--every", every, 60) if every else 0
    while True:
        complete = _sync_once(account, db)
        if not pause:
            break
        time.sleep(pause)
    if not complete:
        raise typer.Exit(FAILED)


def _sync_once(path: Path, db: str) -> bool:
    from host_tools.platforms.sync import Sync

    async def work(of: Account, platform: Platform) -> bool:
        if not of.sims:
            raise UsageError(str(path), "sims", "has no SIM", 'write "tracker-001" = "1440000000001"')
        with opened(db) as store:
            done = await Sync(path.stem, of.sims, platform, store, of.group).run(datetime.now(UTC))
        out.print(f"{done.figures:,} figures, {done.states:,} states", markup=False)
        for order in done.orders:
            out.print(f"ordered for {order}", markup=False)
        for device, kind, detail in done.alarms:
            out.print(f"alarm for {device}: {kind}: {detail}", markup=False)
        for device, problem in done.problems.items():
            err.print(f"{device}: {problem}", markup=False)
        if done.problem:
            err.print(f"not complete: {done.problem}", markup=False)
        return not done.problem

    return _run(path, work)


@app.command()
def share(account: AccountOption = ACCOUNT, db: DbOption = DB) -> None:
    """Divide what is left of the account's pool among its devices, as grants with the answers to their next reports.

    Run it after `platform sync`, at least twice in the time for which a grant is valid.
    """

    async def work(of: Account, platform: Platform) -> None:
        from host_tools.platforms import grants
        from host_tools.platforms.ledger import CarrierLedger, pool_of
        from host_tools.platforms.reconcile import month_of

        if of.pool is None or not of.sims:
            raise UsageError(str(account), "pool", "is missing", 'write [pool] with first_grant = "1MB", and [sims]')
        terms = grants.Terms(
            of.pool.first_grant,
            timedelta(seconds=of.pool.valid),
            timedelta(seconds=of.pool.silent),
            of.pool.margin_permille,
            of.pool.reports_a_day,
        )
        pool = await platform.pool(of.group)
        now = datetime.now(UTC)
        start = month_of(now)
        with opened(db) as store:
            try:
                done = grants.share(store, list(of.sims), pool, terms, start, now)
            except ValueError as error:
                raise UsageError("platform share", of.group, str(error)) from None
            CarrierLedger(store.database).put_pool(pool_of(of.group, start, now, pool, done.shares))
        out.print(f"{size(done.committed)} of {size(done.total)} were granted before", markup=False)
        for device, octets in done.granted.items():
            out.print(f"ordered for {device}: grant={size(octets)}", markup=False)
        if done.silent:
            out.print(f"silent, so not granted anew: {', '.join(done.silent)}", markup=False)

    _run(account, work)


@app.command()
def reconcile(
    devices: Annotated[list[str] | None, typer.Argument(metavar="DEVICE|@TAG…", help="These alone.")] = None,
    account: AccountOption = ACCOUNT,
    db: DbOption = DB,
    json_file: JsonOption = None,
) -> None:
    """Compare what devices and carrier have counted, by what `platform sync` has brought: the furthest apart first.

    The contract's additions are the account's `[rating]`. Asks no platform.
    """
    from host_tools.platforms.ledger import CarrierLedger
    from host_tools.platforms.reconcile import Rating, ordered
    from host_tools.platforms.reconcile import reconcile as compare
    from host_tools.platforms.sync import facts_of

    of = load_account(account)
    rating = Rating(of.rating.per_packet_octets, of.rating.session_round, of.rating.margin_permille)
    found, without = [], []
    with opened(db) as store:
        ledger = CarrierLedger(store.database)
        for device in members(store, devices or of.sims):
            newest = ledger.newest(device)
            facts = facts_of(store, newest) if newest else None
            if facts is None:
                why = "no report of that period had come by then" if newest else "the carrier has told nothing"
                without.append((device, why))
            else:
                found.append(compare(facts, rating))
    found = ordered(found)
    if json_file:
        files.write_json(json_file, [_reconciled(each) for each in found])
    if json_file != "-":
        listing = Listing(
            [
                Column("device"),
                Column("complete up to", least=16),
                Column("carrier", right=True),
                Column("device", right=True),
                Column("difference", right=True),
                Column("a packet", right=True),
                Column("may be", least=24),
                Column("beyond that", right=True),
            ]
        )
        for each in found:
            facts = each.facts
            parts = ", ".join(f"{name} {size(octets)}" for name, octets in each.parts.items() if octets)
            a_packet = f"{each.octets_a_packet:+.1f}" if each.octets_a_packet is not None else ""
            lost = f"; {facts.lost:,} reports are missing" if facts.lost else ""
            listing.add(
                *map(
                    escape,
                    (
                        facts.device,
                        f"{facts.as_of:%Y-%m-%d %H:%M}",
                        size(facts.carrier),
                        f"{size(facts.carried)} ±{size(facts.bound)}",
                        _signed(each.difference),
                        a_packet,
                        parts + lost,
                        _signed(each.beyond) if each.beyond else "",
                    ),
                )
            )
        out.print(listing)
    for device, why in without:
        err.print(f"{device}: {why}", markup=False)


def _signed(octets: int) -> str:
    return f"{'-' if octets < 0 else '+'}{size(abs(octets))}"


def _reconciled(each: Reconciled) -> dict[str, Any]:
    facts = each.facts
    return {
        "device": facts.device,
        "cycle_start": facts.cycle_start.isoformat(),
        "as_of": facts.as_of.isoformat(),
        "carrier_octets": facts.carrier,
        "carried_octets": facts.carried,
        "rated_octets": facts.rated,
        "error_bound_octets": facts.bound,
        "reported_at": facts.reported_at.isoformat(),
        "packets": facts.packets,
        "sessions": facts.sessions,
        "reports_lost": facts.lost,
        "difference": each.difference,
        "may_be": each.parts,
        "beyond": each.beyond,
        "octets_a_packet": each.octets_a_packet,
        "permille": each.permille,
    }


def _duration(option: str, text: str, least: int = 0) -> int:
    try:
        seconds = Seconds.parse(text)
    except ValueError as error:
        raise UsageError(option, "", str(error)) from None
    if seconds < least:
        raise UsageError(option, text, "is too often", f"give {least} s or more")
    return seconds


@app.command()
def probe(
    account: AccountOption = ACCOUNT,
    pb: Annotated[str, typer.Option(metavar="SIM", help="A SIM of OneLink-PB.")] = "",
    ct: Annotated[str, typer.Option(metavar="SIM", help="A SIM of OneLink-CT.")] = "",
    used_up: Annotated[
        str, typer.Option(metavar="SIM", help="A SIM that was stopped because its data is used up.")
    ] = "",
    expired: Annotated[str, typer.Option(metavar="SIM", help="A SIM that was stopped because its package ended.")] = "",
    change: Annotated[
        bool, typer.Option("--change", help="Also switch the APN of --ct on twice, where it is on, to see a refusal.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the figures of --ct for five minutes.")] = False,
    json_file: Annotated[str, typer.Option("--json", metavar="FILE|-", help="Where to write the answers.")] = "-",
) -> None:
    """Ask a real OneLink account what no public source says, and print masked JSON that may be shared.

    Not yet run against a real account.
    """
    named = {"pb": pb, "ct": ct, "used-up": used_up, "expired": expired}

    async def work(of: Account, platform: Platform) -> dict[str, Any]:
        from host_tools.platforms.account import onelink_skins
        from host_tools.platforms.onelink.probe import probe as ask

        sims = {which: of.sim(sim) for which, sim in named.items() if sim}
        async with onelink_skins(of, account) as (one, other):
            return await ask(
                one,
                other,
                sims,
                lambda: datetime.now(UTC),
                asyncio.sleep,
                apn=of.apn if change else "",
                watch=watch,
            )

    if load_account(account).platform != "onelink":
        raise UsageError("platform probe", str(account), "is no account of OneLink", 'it has platform = "onelink"')
    files.write_json(json_file, _run(account, work))


@app.command()
def serve(
    world: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file: the customer, SIMs, rating and faults.")],
    port: Annotated[int, typer.Option(help="The TCP port; 0 picks a free one.", min=0, max=65_535)] = 8086,
    host: Annotated[str, typer.Option(help="The IP address to listen on.")] = "127.0.0.1",
    speed: Annotated[int, typer.Option(help="How many times faster than real time its carrier lives.", min=1)] = 1,
) -> None:
    """Serve a simulated OneLink, and Control Center, over HTTP until Ctrl-C."""
    extras.need("platform serve", "platforms")
    from host_tools.platforms.served import world as worlds

    running = worlds.Running(worlds.load(world), datetime.now(UTC))
    asyncio.run(_serve(running, host, port, speed))


async def _serve(running: Any, host: str, port: int, speed: int) -> None:
    import signal

    from host_tools.platforms.served.faults import Faults
    from host_tools.platforms.served.http import Server
    from host_tools.platforms.served.onelink import FUNCTIONS

    begin = time.monotonic()

    def tick() -> None:
        running.advance((time.monotonic() - begin) * speed)

    server = Server(
        running.api, lambda path: FUNCTIONS.get(path, ("", None))[0], Faults(running.faults), tick, running.rest
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        url = await server.start(host, port)
    except OSError as error:
        raise UsageError("--port", str(port), (error.strerror or str(error)).lower()) from None
    out.print(f"OneLink is served at {url}", markup=False)
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await server.close()
    out.print(Pairs([(number, Text(f"{count:,} calls")) for number, count in sorted(running.api.calls.items())]))


def _complain(problems: dict[str, Problem], names: dict[str, str], else_hint: str = "") -> None:
    for sim, problem in problems.items():
        hint = problem.remedy or else_hint
        text = f"{names.get(sim, sim)}: {problem.message}" + (f"; {hint}" if hint else "")
        err.print(text, markup=False)


def _as_json(problems: dict[str, Problem]) -> dict[str, dict[str, str]]:
    return {sim: {"code": each.code, "message": each.message, "remedy": each.remedy} for sim, each in problems.items()}
